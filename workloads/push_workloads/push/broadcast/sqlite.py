"""Broadcasts and followers in one SQLite file: the embedded store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

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
from push_workloads.push.rows import Rows

MIGRATIONS: Final = (
    """
    CREATE TABLE broadcasts (
      broadcast_id TEXT PRIMARY KEY, version INTEGER NOT NULL, digest BLOB NOT NULL, asked BLOB NOT NULL,
      created_at INTEGER NOT NULL, stage TEXT NOT NULL, changed_at INTEGER NOT NULL, started_at INTEGER, place TEXT,
      seen INTEGER NOT NULL, queued INTEGER NOT NULL, ends BLOB
    ) WITHOUT ROWID;
    CREATE INDEX broadcasts_open ON broadcasts (broadcast_id) WHERE ends IS NULL;
    CREATE INDEX broadcasts_by_age ON broadcasts (created_at, broadcast_id);
    CREATE TABLE followers (
      topic TEXT NOT NULL, bucket INTEGER NOT NULL, user_id TEXT NOT NULL, granted INTEGER NOT NULL,
      PRIMARY KEY (topic, bucket, user_id)
    ) WITHOUT ROWID;
    CREATE INDEX followers_by_user ON followers (user_id, topic);
    """,
)
_COLUMNS: Final = (
    "broadcast_id, version, digest, asked, created_at, stage, changed_at, started_at, place, seen, queued, ends"
)
_ONE: Final = f"SELECT {_COLUMNS} FROM broadcasts WHERE broadcast_id = ?"  # noqa: S608 - a constant
_LISTED: Final = f"SELECT {_COLUMNS} FROM broadcasts ORDER BY created_at DESC, broadcast_id DESC LIMIT ?"  # noqa: S608
_REPLACE: Final = """
UPDATE broadcasts SET stage = ?, changed_at = ?, started_at = ?, place = ?, seen = ?, queued = ?, ends = ?,
  version = version + 1
WHERE broadcast_id = ? AND version = ?
"""
_FOLLOWERS: Final = """
SELECT user_id, granted FROM followers WHERE topic = ? AND bucket = ? AND user_id > ? ORDER BY user_id LIMIT ?
"""
_DAY_MS: Final = 86_400_000


class SqliteBroadcasts:
    """A BroadcastStore and a FollowerStore."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, broadcast: Broadcast) -> Broadcast | None:
        """Each takes those that are too old with it."""
        await self._rows.write(
            "DELETE FROM broadcasts WHERE created_at < ?", broadcast.created_at - KEEP_DAYS * _DAY_MS
        )
        columns = (*broadcast[:-1], _encoded(broadcast.ends))
        added = "INSERT OR IGNORE INTO broadcasts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        if await self._rows.write(added, *columns):
            return None
        return await self.one(broadcast.broadcast_id) or broadcast  # the one of 62 days ago may just have gone

    async def one(self, broadcast_id: str) -> Broadcast | None:
        rows = await self._rows.read(_ONE, broadcast_id)
        return _broadcast(rows[0]) if rows else None

    async def replace(self, broadcast: Broadcast) -> bool:
        _, version, _, _, _, stage, *rest, ends = broadcast
        key = (broadcast.broadcast_id, version)
        return bool(await self._rows.write(_REPLACE, stage, *rest, _encoded(ends), *key))

    async def open_ids(self) -> list[str]:
        rows = await self._rows.read("SELECT broadcast_id FROM broadcasts WHERE ends IS NULL LIMIT ?", 2 * MAX_OPEN)
        return [row[0] for row in rows]

    async def close(self, broadcast_id: str) -> None:
        return None  # its row says it

    async def listed(self, limit: int) -> list[Broadcast]:
        return [_broadcast(row) for row in await self._rows.read(_LISTED, limit)]

    async def follow(self, topic: str, follower: Follower) -> None:
        row = (topic, bucket_of(follower.user_id), *follower)
        await self._rows.write("INSERT OR REPLACE INTO followers VALUES (?, ?, ?, ?)", *row)

    async def unfollow(self, topic: str, user_id: str) -> None:
        gone = "DELETE FROM followers WHERE topic = ? AND bucket = ? AND user_id = ?"
        await self._rows.write(gone, topic, bucket_of(user_id), user_id)

    async def followed(self, user_id: str) -> list[str]:
        asked = "SELECT topic FROM followers WHERE user_id = ? ORDER BY topic LIMIT ?"
        return [row[0] for row in await self._rows.read(asked, user_id, 2 * MAX_FOLLOWED)]

    async def followers(self, topic: str, after: str | None, limit: int) -> FollowerPage:
        bucket, begin = parse_place(after)
        rows = await self._rows.read(_FOLLOWERS, topic, bucket, begin, limit)
        return page_of(bucket, [Follower(user_id, bool(granted)) for user_id, granted in rows], limit)


def _encoded(ends: Ends | None) -> bytes | None:
    return None if ends is None else msgspec.json.encode(ends)


def _broadcast(row: Sequence[Any]) -> Broadcast:
    made = Broadcast(*row)
    ends = None if row[-1] is None else msgspec.json.decode(row[-1], type=Ends)
    return made._replace(stage=Stage(made.stage), ends=ends)
