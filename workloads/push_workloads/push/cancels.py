"""What was cancelled after it had gone on its way: a mark in Redis, at which whoever sends looks before the claim.

| key | type | meaning |
|---|---|---|
| `push:cancelled:<id>` | string, EX 33 days | nothing of this push, or of this broadcast, is sent any more |

The id is that of the push or broadcast: what stands before the first `.` of a message id. The mark outlives whatever
the queue may hold (32 days).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from push_workloads.common.cache import reaching

MARK_SECONDS: Final = 33 * 86_400
_WHAT: Final = "what was cancelled"


class Cancels:
    """Each method raises Unavailable while Redis is away."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    async def cancel(self, owner_id: str) -> None:
        """From now on, of a push or a broadcast."""
        async with reaching(_WHAT):
            await self._cache.set(_key(owner_id), b"1", ex=MARK_SECONDS)

    async def is_cancelled(self, message_id: str) -> bool:
        return (await self.are_cancelled((message_id,)))[0]

    async def are_cancelled(self, message_ids: Sequence[str]) -> list[bool]:
        """For a batch of sends, in one question."""
        if not message_ids:
            return []
        async with reaching(_WHAT):
            marks = await self._cache.mget([_key(owner_of(one)) for one in message_ids])
        return [mark is not None for mark in marks]


def owner_of(message_id: str) -> str:
    """The push or broadcast that a message id belongs to; a message of a conversation belongs to itself."""
    return message_id.partition(".")[0]


def _key(owner_id: str) -> str:
    return f"push:cancelled:{owner_id}"
