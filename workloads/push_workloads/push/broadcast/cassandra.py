"""Broadcasts and followers in Cassandra: the store that replicas share.

The row of a broadcast is only ever written conditionally, on its version. That it is open, and when it was made, stands
in lists beside it: a broadcast is in them before its row is there, so that none is forgotten by a crash in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from push_workloads.common.cassandra import Cassandra, Statement
from push_workloads.common.tasks import together
from push_workloads.push.broadcast.model import Broadcast, Ends, Stage
from push_workloads.push.broadcast.ports import (
    KEEP_DAYS,
    MAX_FOLLOWED,
    MAX_OPEN,
    Follower,
    FollowerPage,
    bucket_of,
    page_of,
    parse_place,
)

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.broadcasts (
      broadcast_id text PRIMARY KEY, version int, digest blob, asked blob, created_at bigint, stage text,
      changed_at bigint, started_at bigint, place text, seen bigint, queued bigint, ends blob
    )
    """,
    "CREATE TABLE IF NOT EXISTS {ks}.broadcasts_open (one text, broadcast_id text, PRIMARY KEY (one, broadcast_id))",
    """
    CREATE TABLE IF NOT EXISTS {ks}.broadcasts_by_age (
      one text, created_at bigint, broadcast_id text, PRIMARY KEY (one, created_at, broadcast_id)
    ) WITH CLUSTERING ORDER BY (created_at DESC, broadcast_id DESC)
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.push_followers (
      topic text, bucket int, user_id text, granted boolean, PRIMARY KEY ((topic, bucket), user_id)
    )
    """,
    "CREATE TABLE IF NOT EXISTS {ks}.push_followed (user_id text, topic text, PRIMARY KEY (user_id, topic))",
)
_ONE: Final = "push"
_TTL: Final = KEEP_DAYS * 86_400
STATEMENTS: Final = {
    "add": """
        INSERT INTO {ks}.broadcasts (broadcast_id, version, digest, asked, created_at, stage, changed_at, started_at,
          place, seen, queued, ends) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?""",
    "one": """
        SELECT broadcast_id, version, digest, asked, created_at, stage, changed_at, started_at, place, seen, queued,
          ends
        FROM {ks}.broadcasts WHERE broadcast_id = ?""",
    "replace": """
        UPDATE {ks}.broadcasts USING TTL ? SET version = ?, digest = ?, asked = ?, created_at = ?, stage = ?,
          changed_at = ?, started_at = ?, place = ?, seen = ?, queued = ?, ends = ?
        WHERE broadcast_id = ? IF version = ?""",
    "opened": "INSERT INTO {ks}.broadcasts_open (one, broadcast_id) VALUES (?, ?) USING TTL ?",
    "closed": "DELETE FROM {ks}.broadcasts_open WHERE one = ? AND broadcast_id = ?",
    "open_ids": "SELECT broadcast_id FROM {ks}.broadcasts_open WHERE one = ? LIMIT ?",
    "enlisted": "INSERT INTO {ks}.broadcasts_by_age (one, created_at, broadcast_id) VALUES (?, ?, ?) USING TTL ?",
    "listed": "SELECT broadcast_id FROM {ks}.broadcasts_by_age WHERE one = ? LIMIT ?",
    "follow": """
        BEGIN BATCH
          INSERT INTO {ks}.push_followers (topic, bucket, user_id, granted) VALUES (?, ?, ?, ?);
          INSERT INTO {ks}.push_followed (user_id, topic) VALUES (?, ?);
        APPLY BATCH""",
    "unfollow": """
        BEGIN BATCH
          DELETE FROM {ks}.push_followers WHERE topic = ? AND bucket = ? AND user_id = ?;
          DELETE FROM {ks}.push_followed WHERE user_id = ? AND topic = ?;
        APPLY BATCH""",
    "followed": "SELECT topic FROM {ks}.push_followed WHERE user_id = ? LIMIT ?",
    "followers": """
        SELECT user_id, granted FROM {ks}.push_followers WHERE topic = ? AND bucket = ? AND user_id > ? LIMIT ?""",
}


class CassandraBroadcasts:
    """A BroadcastStore and a FollowerStore."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement]) -> None:
        self._cassandra = cassandra
        self._statements = statements

    async def add(self, broadcast: Broadcast) -> Broadcast | None:
        made = broadcast.broadcast_id
        await self._write("opened", _ONE, made, _TTL)
        await self._write("enlisted", _ONE, broadcast.created_at, made, _TTL)
        columns = (*broadcast[:-1], _encoded(broadcast.ends))
        stands = await self._cassandra.write_if(self._statements["add"], *columns, _TTL)
        return None if stands is None else _broadcast(stands)

    async def one(self, broadcast_id: str) -> Broadcast | None:
        row = await self._cassandra.row(self._statements["one"], broadcast_id)
        return _broadcast(row) if row else None

    async def replace(self, broadcast: Broadcast) -> bool:
        broadcast_id, version, *rest, ends = broadcast
        columns = (version + 1, *rest, _encoded(ends))
        replaced = (
            await self._cassandra.write_if(self._statements["replace"], _TTL, *columns, broadcast_id, version) is None
        )
        if replaced and not broadcast.is_open:
            await self.close(broadcast_id)
        return replaced

    async def open_ids(self) -> list[str]:
        rows = await self._cassandra.rows(self._statements["open_ids"], _ONE, 2 * MAX_OPEN)
        return [row["broadcast_id"] for row in rows]

    async def close(self, broadcast_id: str) -> None:
        await self._write("closed", _ONE, broadcast_id)

    async def listed(self, limit: int) -> list[Broadcast]:
        rows = await self._cassandra.rows(self._statements["listed"], _ONE, limit)
        # One that was asked for twice at the same moment is in the list twice.
        found = await together(self.one(made) for made in dict.fromkeys(row["broadcast_id"] for row in rows))
        return [one for one in found if one is not None]

    async def follow(self, topic: str, follower: Follower) -> None:
        row = (topic, bucket_of(follower.user_id), *follower)
        await self._write("follow", *row, follower.user_id, topic)

    async def unfollow(self, topic: str, user_id: str) -> None:
        await self._write("unfollow", topic, bucket_of(user_id), user_id, user_id, topic)

    async def followed(self, user_id: str) -> list[str]:
        rows = await self._cassandra.rows(self._statements["followed"], user_id, 2 * MAX_FOLLOWED)
        return [row["topic"] for row in rows]

    async def followers(self, topic: str, after: str | None, limit: int) -> FollowerPage:
        bucket, begin = parse_place(after)
        rows = await self._cassandra.rows(self._statements["followers"], topic, bucket, begin, limit)
        return page_of(bucket, [Follower(**row) for row in rows], limit)

    async def _write(self, name: str, *values: object) -> None:
        await self._cassandra.write(self._statements[name], *values)


def _encoded(ends: Ends | None) -> bytes | None:
    return None if ends is None else msgspec.json.encode(ends)


def _broadcast(row: Mapping[str, Any]) -> Broadcast:
    ends = None if row["ends"] is None else msgspec.json.decode(row["ends"], type=Ends)
    rest = {name: row[name] for name in Broadcast._fields if name not in ("order", "stage", "ends")}
    return Broadcast(**rest, order=row["asked"], stage=Stage(row["stage"]), ends=ends)
