"""History in one SQLite file: the embedded store. One connection writes, another reads, so that pages never wait."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiosqlite

from push_workloads.common.errors import Unavailable
from push_workloads.common.sqlite import opened
from push_workloads.common.tasks import beside
from push_workloads.message.model import (
    MAX_MARKS,
    MAX_UNREAD,
    OLDEST,
    TEXT,
    UNREAD_LISTED,
    UNREAD_READ,
    Latest,
    Mark,
    Message,
    Position,
    furthest,
    listings,
    position,
)
from push_workloads.message.retention import FOR_EVER, Retention
from push_workloads.message.sqlite_sweep import keep_swept
from push_workloads.message.store import Clock, LogState, wall_clock

MIGRATIONS: Final = (
    """
    CREATE TABLE messages (
      conversation TEXT NOT NULL,
      sent_at INTEGER NOT NULL,
      message_id TEXT NOT NULL,
      sender TEXT NOT NULL,
      recipient_id TEXT NOT NULL,
      kind TEXT NOT NULL,
      ref TEXT,
      content BLOB NOT NULL,
      PRIMARY KEY (conversation, sent_at, message_id)
    ) WITHOUT ROWID;
    CREATE TABLE log_state (shard INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL);
    """,
    """
    CREATE TABLE log_states (
      shard INTEGER NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (shard, epoch)
    ) WITHOUT ROWID;
    INSERT INTO log_states SELECT shard, epoch, seq FROM log_state;
    DROP TABLE log_state;
    """,
    # The list of each user, and in it what was written before there was one.
    """
    CREATE TABLE conversations (
      user_id TEXT NOT NULL,
      other TEXT NOT NULL,
      sent_at INTEGER NOT NULL,
      message_id TEXT NOT NULL,
      conversation TEXT NOT NULL,
      PRIMARY KEY (user_id, other)
    ) WITHOUT ROWID;
    CREATE INDEX conversations_by_place ON conversations (user_id, sent_at, message_id);
    INSERT INTO conversations SELECT sender, recipient_id, sent_at, message_id, conversation FROM messages AS m
    WHERE NOT EXISTS (SELECT 1 FROM messages AS n WHERE n.conversation = m.conversation
      AND (n.sent_at, n.message_id) > (m.sent_at, m.message_id));
    INSERT OR IGNORE INTO conversations SELECT other, user_id, sent_at, message_id, conversation FROM conversations;
    """,
    """
    CREATE TABLE marks (
      conversation TEXT NOT NULL,
      user_id TEXT NOT NULL,
      kind TEXT NOT NULL,
      sent_at INTEGER NOT NULL,
      message_id TEXT NOT NULL,
      PRIMARY KEY (conversation, user_id, kind)
    ) WITHOUT ROWID;
    """,
    "CREATE INDEX messages_by_id ON messages (message_id)",
)

_INSERT = "INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_STATE = """
INSERT INTO log_states VALUES (?, ?, ?) ON CONFLICT (shard, epoch) DO UPDATE SET seq = max(seq, excluded.seq)
"""
_LIST = """
INSERT INTO conversations VALUES (?, ?, ?, ?, ?) ON CONFLICT (user_id, other) DO UPDATE
SET sent_at = excluded.sent_at, message_id = excluded.message_id
WHERE (excluded.sent_at, excluded.message_id) > (sent_at, message_id)
"""
_CONVERSATIONS = """
SELECT other, conversation, sent_at, message_id, sender, recipient_id, kind, ref, content
FROM conversations JOIN messages USING (conversation, sent_at, message_id)
WHERE user_id = ? AND (sent_at, message_id) < (?, ?) ORDER BY sent_at DESC, message_id DESC LIMIT ?
"""
_PAGE_AFTER = """
SELECT conversation, sent_at, message_id, sender, recipient_id, kind, ref, content FROM messages
WHERE conversation = ? AND (sent_at, message_id) > (?, ?) ORDER BY sent_at, message_id LIMIT ?
"""
_PAGE = """
SELECT conversation, sent_at, message_id, sender, recipient_id, kind, ref, content FROM messages
WHERE conversation = ? AND (sent_at, message_id) < (?, ?) ORDER BY sent_at DESC, message_id DESC LIMIT ?
"""
_ADVANCE = """
INSERT INTO marks VALUES (?, ?, ?, ?, ?) ON CONFLICT (conversation, user_id, kind) DO UPDATE
SET sent_at = excluded.sent_at, message_id = excluded.message_id
WHERE (excluded.sent_at, excluded.message_id) > (sent_at, message_id)
RETURNING 1
"""
_MARKS = """
SELECT user_id, kind, sent_at, message_id FROM marks WHERE conversation = ? AND user_id = coalesce(?, user_id)
ORDER BY user_id, kind LIMIT ?
"""
_MESSAGE = """
SELECT conversation, sent_at, message_id, sender, recipient_id, kind, ref, content FROM messages
WHERE message_id = ? LIMIT 1
"""
_LATEST = """
SELECT m.conversation, m.sent_at, m.message_id, m.sender, m.recipient_id, m.kind, m.ref, m.content
FROM json_each(?) AS wanted JOIN messages AS m ON m.conversation = wanted.value AND (m.sent_at, m.message_id) = (
  SELECT sent_at, message_id FROM messages WHERE conversation = wanted.value
  ORDER BY sent_at DESC, message_id DESC LIMIT 1)
"""
_UNREAD = """
SELECT count(*) FROM (
  SELECT kind, sender FROM messages WHERE conversation = ? AND (sent_at, message_id) > (?, ?)
  ORDER BY sent_at, message_id LIMIT ?
) WHERE kind = ? AND sender != ?
"""
# Of each conversation no more is read than what its own count needs.
_UNREAD_IN_ALL = """
SELECT coalesce(sum((
  SELECT count(*) FROM (
    SELECT 1 FROM (
      SELECT kind, sender FROM messages AS m WHERE m.conversation = wanted.conversation
        AND (m.sent_at, m.message_id) > (coalesce(k.sent_at, ?2), coalesce(k.message_id, ?3))
      ORDER BY m.sent_at, m.message_id LIMIT ?4
    ) WHERE kind = ?5 AND sender != ?1 LIMIT ?6)
)), 0)
FROM (
  SELECT conversation FROM (
    SELECT conversation FROM conversations WHERE user_id = ?1 ORDER BY sent_at DESC, message_id DESC LIMIT ?7)
  UNION SELECT value FROM json_each(?8)
) AS wanted LEFT JOIN marks AS k ON (k.conversation, k.user_id, k.kind) = (wanted.conversation, ?1, 'read')
"""
_NEWEST = Position(2**62, "")


class SqliteStore:
    """A HistoryStore."""

    def __init__(
        self, writer: aiosqlite.Connection, reader: aiosqlite.Connection, retention: Retention, clock: Clock
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._retention = retention
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()  # the connection has one transaction: a rollback must not drop another's

    async def append(self, shard: int, state: LogState, messages: Sequence[Message]) -> None:
        now = self._clock()
        kept = [one for one in messages if self._retention.is_kept(one.conversation, one.sent_at, now)]
        async with self.transaction() as writer:
            await writer.executemany(_INSERT, kept)
            await writer.executemany(_LIST, [_line(*listing) for listing in listings(kept)])
            await writer.execute(_STATE, (shard, state.epoch, state.seq))

    async def log_state(self, shard: int, epoch: str) -> LogState | None:
        rows = await self.read("SELECT epoch, seq FROM log_states WHERE shard = ? AND epoch = ?", (shard, epoch))
        return LogState(rows[0][0], rows[0][1]) if rows else None

    async def page(self, conversation: str, before: Position | None, limit: int) -> list[Message]:
        rows = await self.read(_PAGE, (conversation, *(before or _NEWEST), limit))
        return [Message(*row) for row in rows]

    async def page_after(self, conversation: str, after: Position, limit: int) -> list[Message]:
        rows = await self.read(_PAGE_AFTER, (conversation, *after, limit))
        return [Message(*row) for row in rows]

    async def message(self, message_id: str) -> Message | None:
        rows = await self.read(_MESSAGE, (message_id,))
        return Message(*rows[0]) if rows else None

    async def conversations(self, user_id: str, after: Position | None, limit: int) -> list[Latest]:
        rows = await self.read(_CONVERSATIONS, (user_id, *(after or _NEWEST), limit))
        last = [(other, Message(*columns)) for other, *columns in rows]
        return [Latest(other, position(message), message) for other, message in last]

    async def latest(self, conversations: Sequence[str]) -> dict[str, Message]:
        rows = await self.read(_LATEST, (json.dumps(list(conversations)),))
        return {row[0]: Message(*row) for row in rows}

    async def unread(self, user_id: str, conversation: str, read: Position | None) -> int:
        values = (conversation, *(read or OLDEST), UNREAD_READ, TEXT, user_id)
        return min(MAX_UNREAD, int((await self.read(_UNREAD, values))[0][0]))

    async def unread_in_all(self, user_id: str, channels: Sequence[str]) -> int:
        bounds = (UNREAD_READ, TEXT, MAX_UNREAD, UNREAD_LISTED)
        rows = await self.read(_UNREAD_IN_ALL, (user_id, *OLDEST, *bounds, json.dumps(list(channels))))
        return int(rows[0][0])

    async def advance(self, marks: Sequence[Mark]) -> list[Mark]:
        moved = []
        async with self.transaction() as writer:
            for mark in furthest(marks):
                values = (mark.conversation, mark.user_id, mark.kind, *mark.place)
                if list(await writer.execute_fetchall(_ADVANCE, values)):
                    moved.append(mark)
        return moved

    async def marks(self, conversation: str, user_id: str | None = None) -> list[Mark]:
        rows = await self.read(_MARKS, (conversation, user_id, MAX_MARKS))
        return [Mark(user, conversation, kind, Position(sent_at, id_)) for user, kind, sent_at, id_ in rows]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._one_at_a_time:
            try:
                yield self._writer
                await self._writer.commit()
            except sqlite3.Error as error:
                await self._writer.rollback()
                raise Unavailable(f"history cannot be written: {error}", retry_after_ms=1000) from error

    async def read(self, query: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return list(await self._reader.execute_fetchall(query, values))
        except sqlite3.Error as error:
            raise Unavailable(f"history cannot be read: {error}", retry_after_ms=1000) from error


def _line(user_id: str, other: str, message: Message) -> tuple[str, str, int, str, str]:
    return user_id, other, message.sent_at, message.message_id, message.conversation


@asynccontextmanager
async def sqlite_store(
    path: str, retention: Retention = FOR_EVER, clock: Clock = wall_clock
) -> AsyncIterator[SqliteStore]:
    """The store in the file at `path`, made when it is not there; what is kept no longer is removed from it."""
    async with opened(path, MIGRATIONS) as writer, opened(path, MIGRATIONS) as reader:
        store = SqliteStore(writer, reader, retention, clock)
        async with beside(keep_swept(store, retention, clock)):
            yield store
