"""The history as a port, with its in-memory twin."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from push_workloads.message.model import (
    MAX_MARKS,
    MAX_UNREAD,
    OLDEST,
    UNREAD_LISTED,
    UNREAD_READ,
    Latest,
    Mark,
    Message,
    Position,
    furthest,
    is_direct,
    is_unread,
    position,
    sides,
)
from push_workloads.message.retention import FOR_EVER, Retention

Clock = Callable[[], int]
"""Unix milliseconds."""


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


class LogState(NamedTuple):
    """How far a shard's log is written, and which log that was."""

    epoch: str
    seq: int


class HistoryStore(Protocol):
    """Each method raises Unavailable when the store cannot be reached.

    A message that is older than its retention is not written, and one that is there goes: in SQLite within two hours.
    """

    async def append(self, shard: int, state: LogState, messages: Sequence[Message]) -> None:
        """Writes messages, and then how far the log is written: the state never runs ahead of them. To write a message
        again changes nothing; within an epoch the seq only grows, whoever writes it."""

    async def log_state(self, shard: int, epoch: str) -> LogState | None:
        """How far that log of the shard is written; None when nothing of it ever was."""

    async def page(self, conversation: str, before: Position | None, limit: int) -> list[Message]:
        """Up to `limit` messages before a position, newest first."""

    async def page_after(self, conversation: str, after: Position, limit: int) -> list[Message]:
        """Up to `limit` messages after a position, oldest first."""

    async def message(self, message_id: str) -> Message | None:
        """The message of this id, for as long as it is kept."""

    async def conversations(self, user_id: str, after: Position | None, limit: int) -> list[Latest]:
        """Up to `limit` direct conversations of a user, the one with the newest last message first, each once; those
        whose place comes after a position."""

    async def latest(self, conversations: Sequence[str]) -> dict[str, Message]:
        """The last message of each that has one."""

    async def unread(self, user_id: str, conversation: str, read: Position | None) -> int:
        """How many of the UNREAD_READ messages after a position are unread, at most MAX_UNREAD."""

    async def unread_in_all(self, user_id: str, channels: Sequence[str]) -> int:
        """What `unread` comes to from the user's own marks on, in these groups and the user's UNREAD_LISTED newest
        direct conversations together."""

    async def advance(self, marks: Sequence[Mark]) -> list[Mark]:
        """Moves marks forward and never back, whatever the order in which they come; those that moved. Of two writers
        of the same mark both may be told that it moved."""

    async def marks(self, conversation: str, user_id: str | None = None) -> list[Mark]:
        """The marks in a conversation, or those of one user in it; at most MAX_MARKS."""


class MemoryStore:
    """For unit tests."""

    def __init__(self, retention: Retention = FOR_EVER, clock: Clock = wall_clock) -> None:
        self._retention = retention
        self._clock = clock
        self._rows: dict[str, dict[Position, Message]] = {}
        self._states: dict[tuple[int, str], LogState] = {}
        self._marks: dict[tuple[str, ...], Mark] = {}

    async def append(self, shard: int, state: LogState, messages: Sequence[Message]) -> None:
        for message in messages:
            rows = self._rows.setdefault(message.conversation, {})
            rows.setdefault(Position(message.sent_at, message.message_id), message)
        key = (shard, state.epoch)
        self._states[key] = max(state, self._states.get(key, state))

    async def log_state(self, shard: int, epoch: str) -> LogState | None:
        return self._states.get((shard, epoch))

    async def page(self, conversation: str, before: Position | None, limit: int) -> list[Message]:
        rows = self._kept(conversation)[::-1]
        return [message for message in rows if before is None or position(message) < before][:limit]

    async def page_after(self, conversation: str, after: Position, limit: int) -> list[Message]:
        return [message for message in self._kept(conversation) if position(message) > after][:limit]

    async def message(self, message_id: str) -> Message | None:
        found = (row for key in self._rows for row in self._kept(key) if row.message_id == message_id)
        return next(found, None)

    async def conversations(self, user_id: str, after: Position | None, limit: int) -> list[Latest]:
        last = filter(is_direct, (await self.latest(list(self._rows))).values())
        found = [Latest(other, position(one), one) for one in last for user, other in sides(one) if user == user_id]
        found.sort(key=lambda line: line.place, reverse=True)
        return [line for line in found if after is None or line.place < after][:limit]

    async def latest(self, conversations: Sequence[str]) -> dict[str, Message]:
        return {key: rows[-1] for key in conversations if (rows := self._kept(key))}

    async def unread(self, user_id: str, conversation: str, read: Position | None) -> int:
        rows = await self.page_after(conversation, read or OLDEST, UNREAD_READ)
        return min(MAX_UNREAD, sum(is_unread(row, user_id) for row in rows))

    async def unread_in_all(self, user_id: str, channels: Sequence[str]) -> int:
        listed = await self.conversations(user_id, None, UNREAD_LISTED)
        keys = [line.message.conversation for line in listed] + [*channels]
        read = {
            mark.conversation: mark.place
            for mark in self._marks.values()
            if (mark.user_id, mark.kind) == (user_id, "read")
        }
        return sum([await self.unread(user_id, key, read.get(key)) for key in keys])

    def _kept(self, conversation: str) -> list[Message]:
        """Oldest first."""
        now = self._clock()
        rows = [row for _, row in sorted(self._rows.get(conversation, {}).items())]
        return [row for row in rows if self._retention.is_kept(conversation, row.sent_at, now)]

    async def advance(self, marks: Sequence[Mark]) -> list[Mark]:
        moved = [
            mark for mark in furthest(marks) if (held := self._marks.get(mark[:3])) is None or held.place < mark.place
        ]
        self._marks.update({mark[:3]: mark for mark in moved})
        return moved

    async def marks(self, conversation: str, user_id: str | None = None) -> list[Mark]:
        found = [mark for mark in self._marks.values() if mark.conversation == conversation]
        return sorted(mark for mark in found if user_id in (None, mark.user_id))[:MAX_MARKS]
