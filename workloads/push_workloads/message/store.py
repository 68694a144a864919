"""The history as a port, with its in-memory twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from push_workloads.message.model import Message, Position


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


class MemoryStore:
    """For unit tests."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Position, Message]] = {}
        self._states: dict[tuple[int, str], LogState] = {}

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
        return [message for position, message in rows if before is None or position < before][:limit]
