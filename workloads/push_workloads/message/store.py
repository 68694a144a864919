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
        """Writes messages and how far the log is written, together. A message that is there already stays as it is;
        within an epoch the seq only grows."""

    async def log_state(self, shard: int) -> LogState | None:
        """None when nothing of this shard was ever written."""

    async def page(self, conversation: str, before: Position | None, limit: int) -> list[Message]:
        """Up to `limit` messages before a position, newest first."""


class MemoryStore:
    """For unit tests."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Position, Message]] = {}
        self._states: dict[int, LogState] = {}

    async def append(self, shard: int, state: LogState, messages: Sequence[Message]) -> None:
        for message in messages:
            rows = self._rows.setdefault(message.conversation, {})
            rows.setdefault(Position(message.sent_at, message.message_id), message)
        held = self._states.get(shard)
        if held is None or held.epoch != state.epoch or held.seq < state.seq:
            self._states[shard] = state

    async def log_state(self, shard: int) -> LogState | None:
        return self._states.get(shard)

    async def page(self, conversation: str, before: Position | None, limit: int) -> list[Message]:
        rows = sorted(self._rows.get(conversation, {}).items(), reverse=True)
        return [message for position, message in rows if before is None or position < before][:limit]
