"""What was cancelled after it had gone on its way: a mark in Redis, at which whoever sends looks before the claim.

| key | type | meaning |
|---|---|---|
| `push:cancelled:<id>` | string, EX 33 days | nothing of this push, or of this broadcast, is sent any more |

The id is that of the push or broadcast: what stands before the first `.` of a message id. The mark outlives whatever
the queue may hold (32 days).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from push_workloads.common.cache import reaching

MARK_SECONDS: Final = 33 * 86_400
_WHAT: Final = "what was cancelled"


class Cancels(Protocol):
    """Each method may raise Unavailable."""

    async def cancel(self, owner_id: str) -> None:
        """From now on, of a push or a broadcast."""

    async def is_cancelled(self, message_id: str) -> bool: ...


class RedisCancels:
    """Cancels in Redis."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    async def cancel(self, owner_id: str) -> None:
        async with reaching(_WHAT):
            await self._cache.set(_key(owner_id), b"1", ex=MARK_SECONDS)

    async def is_cancelled(self, message_id: str) -> bool:
        async with reaching(_WHAT):
            return await self._cache.get(_key(owner_of(message_id))) is not None


class MemoryCancels:
    """For tests. Keeps for ever."""

    def __init__(self) -> None:
        self._owners: set[str] = set()

    async def cancel(self, owner_id: str) -> None:
        self._owners.add(owner_id)

    async def is_cancelled(self, message_id: str) -> bool:
        return owner_of(message_id) in self._owners


def owner_of(message_id: str) -> str:
    """The push or broadcast that a message id belongs to; a message of a conversation belongs to itself."""
    return message_id.partition(".")[0]


def _key(owner_id: str) -> str:
    return f"push:cancelled:{owner_id}"
