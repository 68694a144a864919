"""The history as a port, with its in-memory twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from push_workloads.message.model import (
    MAX_MARKS,
    MAX_UNREAD,
    OLDEST,
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


class LogState(NamedTuple):
    """How far a shard's log is written, and which log that was."""

    epoch: str
    seq: int


class HistoryStore(Protocol):
    """Each method raises Unavailable when the store cannot be reached."""

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

    async def advance(self, marks: Sequence[Mark]) -> list[Mark]:
        """Moves marks forward and never back, whatever the order in which they come; those that moved. Of two writers
        of the same mark both may be told that it moved."""

    async def marks(self, conversation: str, user_id: str | None = None) -> list[Mark]:
        """The marks in a conversation, or those of one user in it; at most MAX_MARKS."""


class MemoryStore:
    """For unit tests."""

    def __init__(self) -> None:
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
        rows = sorted(self._rows.get(conversation, {}).items(), reverse=True)
        return [message for at, message in rows if before is None or at < before][:limit]

    async def page_after(self, conversation: str, after: Position, limit: int) -> list[Message]:
        rows = sorted(self._rows.get(conversation, {}).items())
        return [message for at, message in rows if at > after][:limit]

    async def message(self, message_id: str) -> Message | None:
        found = (row for rows in self._rows.values() for row in rows.values() if row.message_id == message_id)
        return next(found, None)

    async def conversations(self, user_id: str, after: Position | None, limit: int) -> list[Latest]:
        last = [one for rows in self._rows.values() if is_direct(one := max(rows.items())[1])]
        found = [Latest(other, position(one), one) for one in last for user, other in sides(one) if user == user_id]
        found.sort(key=lambda line: line.place, reverse=True)
        return [line for line in found if after is None or line.place < after][:limit]

    async def latest(self, conversations: Sequence[str]) -> dict[str, Message]:
        return {key: max(self._rows[key].items())[1] for key in conversations if self._rows.get(key)}

    async def unread(self, user_id: str, conversation: str, read: Position | None) -> int:
        rows = await self.page_after(conversation, read or OLDEST, UNREAD_READ)
        return min(MAX_UNREAD, sum(is_unread(row, user_id) for row in rows))

    async def advance(self, marks: Sequence[Mark]) -> list[Mark]:
        moved = [
            mark for mark in furthest(marks) if (held := self._marks.get(mark[:3])) is None or held.place < mark.place
        ]
        self._marks.update({mark[:3]: mark for mark in moved})
        return moved

    async def marks(self, conversation: str, user_id: str | None = None) -> list[Mark]:
        found = [mark for mark in self._marks.values() if mark.conversation == conversation]
        return sorted(mark for mark in found if user_id in (None, mark.user_id))[:MAX_MARKS]
