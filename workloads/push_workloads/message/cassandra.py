"""History in Cassandra: the store that replicas share.

A message is written under the time it was sent, not the time of the write: the log may give it again at any time, and
an old copy must never bring back what was removed since. How far a log is written is written under its seq as time, so
that the highest wins whatever the order of arrival: a compare-and-max without a conditional write.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from push_workloads.common.cassandra import RETRY_MS, Cassandra, Statement
from push_workloads.common.cassandra_schema import Checks, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Unavailable
from push_workloads.common.tasks import together
from push_workloads.message import cassandra_list, cassandra_marks, cassandra_pages
from push_workloads.message.buckets import Bucket, Buckets
from push_workloads.message.cassandra_expiry import NEVER, Expiry
from push_workloads.message.cassandra_list import ConversationList
from push_workloads.message.cassandra_marks import Marks
from push_workloads.message.cassandra_pages import Pages, distinct
from push_workloads.message.model import (
    UNREAD_LISTED,
    Latest,
    Mark,
    Message,
    Position,
    conversation_key,
    just_after,
)
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
    *cassandra_list.MIGRATIONS,
    *cassandra_marks.MIGRATIONS,
    "CREATE TABLE IF NOT EXISTS {ks}.message_ids (message_id text PRIMARY KEY, conversation text, sent_at bigint)",
    *cassandra_marks.LATER_MIGRATIONS,
)
LIST_SECONDS: Final = 8.0  # for all its reads: how many there are hangs on how the user talks
_STATEMENTS: Final = {
    "message": """
        INSERT INTO {ks}.messages
          (conversation, day, slice, sent_at, message_id, sender, recipient_id, kind, ref, content)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?""",
    "bucket": "INSERT INTO {ks}.conversation_days (conversation, day, slice) VALUES (?, ?, ?) USING TTL ?",
    "state": "INSERT INTO {ks}.log_states (shard, epoch, seq) VALUES (?, ?, ?) USING TIMESTAMP ?",
    "log_state": "SELECT seq FROM {ks}.log_states WHERE shard = ? AND epoch = ?",
    "id": "INSERT INTO {ks}.message_ids (message_id, conversation, sent_at) VALUES (?, ?, ?) "
    "USING TIMESTAMP ? AND TTL ?",
    "place_of": "SELECT conversation, sent_at FROM {ks}.message_ids WHERE message_id = ?",
    **cassandra_pages.STATEMENTS,
    **cassandra_list.STATEMENTS,
    **cassandra_marks.STATEMENTS,
}


class CassandraStore:
    """A HistoryStore."""

    def __init__(
        self, cassandra: Cassandra, statements: Mapping[str, Statement], buckets: Buckets, expiry: Expiry = NEVER
    ) -> None:
        self._cassandra = cassandra
        self._statements = statements
        self._buckets = buckets
        self._expiry = expiry
        self._pages = Pages(cassandra, statements)
        self._conversations = ConversationList(cassandra, statements, self._pages, expiry)
        self._marks = Marks(cassandra, statements)

    async def append(self, shard: int, state: LogState, messages: Sequence[Message]) -> None:
        """In this order: a conversation has its line before its bucket is listed, which is before it holds anything;
        lines go when others stand for them, and the state never runs ahead of it all. A crash in between leaves a line
        or an id whose message is about to come, an empty bucket, or what is written again."""
        messages = [message for message in distinct(messages) if self._expiry.is_kept(message)]
        placed = [(self._buckets.place(message), message) for message in messages]
        fresh = {bucket for bucket, _ in placed if not self._buckets.is_listed(bucket)}
        await self._conversations.write(messages)
        await together(self._list(bucket) for bucket in fresh)
        await together(self._name(message) for _, message in placed)
        await together(self._write(bucket, message) for bucket, message in placed)
        await self._conversations.settle(messages, fresh)
        for bucket in fresh:
            self._buckets.listed(bucket)
        await self._cassandra.write(self._statements["state"], shard, state.epoch, state.seq, state.seq)

    async def log_state(self, shard: int, epoch: str) -> LogState | None:
        row = await self._cassandra.row(self._statements["log_state"], shard, epoch)
        return LogState(epoch, row["seq"]) if row else None

    async def page(self, conversation: str, before: Position | None, limit: int) -> list[Message]:
        return await self._pages.before(conversation, before, limit)

    async def page_after(self, conversation: str, after: Position, limit: int) -> list[Message]:
        return await self._pages.after(conversation, after, limit)

    async def message(self, message_id: str) -> Message | None:
        named = await self._cassandra.row(self._statements["place_of"], message_id)
        if named is None:
            return None
        rows = await self._pages.before(named["conversation"], just_after(Position(named["sent_at"], message_id)), 1)
        return rows[0] if rows and rows[0].message_id == message_id else None

    async def conversations(self, user_id: str, after: Position | None, limit: int) -> list[Latest]:
        async with _in_time():
            return await self._conversations.page(user_id, after, limit)

    async def latest(self, conversations: Sequence[str]) -> dict[str, Message]:
        async with _in_time():
            found = await together(self._pages.before(key, None, 1) for key in conversations)
        return {key: rows[0] for key, rows in zip(conversations, found, strict=True) if rows}

    async def unread(self, user_id: str, conversation: str, read: Position | None) -> int:
        async with _in_time():
            return await self._pages.unread(user_id, conversation, read)

    async def unread_in_all(self, user_id: str, channels: Sequence[str]) -> int:
        async with _in_time():
            newest = await self._conversations.newest(user_id, UNREAD_LISTED)
            last = {conversation_key(user_id, other): place for other, place in newest.items()}
            wanted = [*last, *channels]
            read = await self._marks.reads(user_id, wanted)
            # Most conversations are read up to their last message: those are not looked at.
            left = [key for key in wanted if key not in last or key not in read or last[key] > read[key]]
            return sum(await together(self._pages.unread(user_id, key, read.get(key)) for key in left))

    async def advance(self, marks: Sequence[Mark]) -> list[Mark]:
        return await self._marks.advance(marks)

    async def marks(self, conversation: str, user_id: str | None = None) -> list[Mark]:
        return await self._marks.of(conversation, user_id)

    async def _list(self, bucket: Bucket) -> None:
        await self._cassandra.write(self._statements["bucket"], *bucket, self._expiry.of_day(bucket))

    async def _name(self, message: Message) -> None:
        named = (message.message_id, message.conversation, message.sent_at)
        await self._cassandra.write(self._statements["id"], *named, message.sent_at * 1000, self._expiry.ttl(message))

    async def _write(self, bucket: Bucket, message: Message) -> None:
        _, *columns = message
        ttl = self._expiry.ttl(message)
        await self._cassandra.write(self._statements["message"], *bucket, *columns, message.sent_at * 1000, ttl)


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(LIST_SECONDS):
            yield
    except TimeoutError as error:
        raise Unavailable("the list takes too long now; try again", retry_after_ms=RETRY_MS) from error


async def prepared(cassandra: Cassandra) -> dict[str, Statement]:
    return {name: await cassandra.prepare(text) for name, text in _STATEMENTS.items()}


@asynccontextmanager
async def cassandra_store(
    config: CassandraConfig, checks: Checks, expiry: Expiry = NEVER
) -> AsyncIterator[CassandraStore]:
    """The store in that keyspace, made when it is not there; waits for Cassandra."""
    async with opened(config, "message", MIGRATIONS, checks) as cassandra:
        yield CassandraStore(cassandra, await prepared(cassandra), _buckets(), expiry)


def _buckets() -> Buckets:
    return Buckets(lambda: secrets.randbelow(2**31 - 1) + 1)
