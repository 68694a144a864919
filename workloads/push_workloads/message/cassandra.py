"""History in Cassandra: the store that replicas share.

A message is written under the time it was sent, not the time of the write: the log may give it again at any time, and
an old copy must never bring back what was removed since. How far a log is written is written under its seq as time, so
that the highest wins whatever the order of arrival: a compare-and-max without a conditional write.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Final

from push_workloads.common.cassandra import Cassandra, Statement, together
from push_workloads.common.cassandra_schema import Checks, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.message.buckets import Bucket, Buckets, day_of
from push_workloads.message.model import Message, Position
from push_workloads.message.store import LogState

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.messages (
      conversation text, day bigint, slice int, sent_at bigint, message_id text,
      sender text, recipient_id text, kind text, ref text, content blob,
      PRIMARY KEY ((conversation, day, slice), sent_at, message_id)
    ) WITH CLUSTERING ORDER BY (sent_at DESC, message_id DESC)
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.conversation_days (
      conversation text, day bigint, slice int,
      PRIMARY KEY (conversation, day, slice)
    ) WITH CLUSTERING ORDER BY (day DESC, slice ASC)
    """,
    "CREATE TABLE IF NOT EXISTS {ks}.log_states (shard int, epoch text, seq bigint, PRIMARY KEY (shard, epoch))",
)
DAYS_READ: Final = 100
_NEWEST: Final = Position(2**62, "")
_STATEMENTS: Final = {
    "message": """
        INSERT INTO {ks}.messages
          (conversation, day, slice, sent_at, message_id, sender, recipient_id, kind, ref, content)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?""",
    "bucket": "INSERT INTO {ks}.conversation_days (conversation, day, slice) VALUES (?, ?, ?)",
    "state": "INSERT INTO {ks}.log_states (shard, epoch, seq) VALUES (?, ?, ?) USING TIMESTAMP ?",
    "log_state": "SELECT seq FROM {ks}.log_states WHERE shard = ? AND epoch = ?",
    "days": "SELECT conversation, day, slice FROM {ks}.conversation_days WHERE conversation = ? AND day <= ? LIMIT ?",
    "slices": "SELECT conversation, day, slice FROM {ks}.conversation_days WHERE conversation = ? AND day = ?",
    "page": """
        SELECT conversation, sent_at, message_id, sender, recipient_id, kind, ref, content FROM {ks}.messages
        WHERE conversation = ? AND day = ? AND slice = ? AND (sent_at, message_id) < (?, ?) LIMIT ?""",
}


class CassandraStore:
    """A HistoryStore."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement], buckets: Buckets) -> None:
        self._cassandra = cassandra
        self._statements = statements
        self._buckets = buckets

    async def append(self, shard: int, state: LogState, messages: Sequence[Message]) -> None:
        """In this order: a bucket is listed before it holds anything, and the state never runs ahead of the messages.
        A crash in between leaves an empty bucket, or messages that are written again."""
        placed = [(self._buckets.place(message), message) for message in _distinct(messages)]
        await self._list({bucket for bucket, _ in placed if not self._buckets.is_listed(bucket)})
        await together(self._write(bucket, message) for bucket, message in placed)
        await self._cassandra.write(self._statements["state"], shard, state.epoch, state.seq, state.seq)

    async def log_state(self, shard: int, epoch: str) -> LogState | None:
        row = await self._cassandra.row(self._statements["log_state"], shard, epoch)
        return LogState(epoch, row["seq"]) if row else None

    async def page(self, conversation: str, before: Position | None, limit: int) -> list[Message]:
        before = before or _NEWEST
        rows: list[Message] = []
        day = day_of(before.sent_at)
        while len(rows) < limit and (days := await self._days(conversation, day)):
            rows += await self._newest(days, before, limit - len(rows))
            day = days[-1][0].day - 1
        return rows[:limit]

    async def _list(self, buckets: Iterable[Bucket]) -> None:
        fresh = list(buckets)
        await together(self._cassandra.write(self._statements["bucket"], *bucket) for bucket in fresh)
        for bucket in fresh:
            self._buckets.listed(bucket)

    async def _write(self, bucket: Bucket, message: Message) -> None:
        _, *columns = message
        await self._cassandra.write(self._statements["message"], *bucket, *columns, message.sent_at * 1000)

    async def _days(self, conversation: str, newest: int) -> list[list[Bucket]]:
        """The buckets up to a day, by day, newest first; the last day is whole too."""
        rows = await self._cassandra.rows(self._statements["days"], conversation, newest, DAYS_READ)
        days = [list(slices) for _, slices in groupby((Bucket(**row) for row in rows), lambda bucket: bucket.day)]
        if len(rows) == DAYS_READ:
            last = await self._cassandra.rows(self._statements["slices"], conversation, days[-1][0].day)
            days[-1] = [Bucket(**row) for row in last]
        return days

    async def _newest(self, days: Sequence[Sequence[Bucket]], before: Position, limit: int) -> list[Message]:
        """Up to `limit` of these days: one day at first, then twice as many at a time, since most pages end in the
        first day, and a conversation of one message a week should not cost a round trip for each."""
        rows: list[Message] = []
        start, width = 0, 1
        while start < len(days) and len(rows) < limit:
            buckets = [bucket for day in days[start : start + width] for bucket in day]
            parts = await together(self._rows(bucket, before, limit) for bucket in buckets)
            rows += sorted(_distinct(row for part in parts for row in part), key=_position, reverse=True)
            start, width = start + width, width * 2
        return rows[:limit]

    async def _rows(self, bucket: Bucket, before: Position, limit: int) -> list[Message]:
        rows = await self._cassandra.rows(self._statements["page"], *bucket, *before, limit)
        return [Message(**row) for row in rows]


def _distinct(messages: Iterable[Message]) -> list[Message]:
    """One of each: a direct message is in the log twice, and a message given again may stand in two slices."""
    return list({(message.conversation, *_position(message)): message for message in messages}.values())


def _position(message: Message) -> Position:
    return Position(message.sent_at, message.message_id)


async def prepared(cassandra: Cassandra) -> dict[str, Statement]:
    return {name: await cassandra.prepare(text) for name, text in _STATEMENTS.items()}


@asynccontextmanager
async def cassandra_store(config: CassandraConfig, checks: Checks) -> AsyncIterator[CassandraStore]:
    """The store in that keyspace, made when it is not there; waits for Cassandra."""
    async with opened(config, "message", MIGRATIONS, checks) as cassandra:
        yield CassandraStore(cassandra, await prepared(cassandra), Buckets(lambda: secrets.randbelow(2**31 - 1) + 1))
