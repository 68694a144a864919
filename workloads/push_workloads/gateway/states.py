"""What the log of a shard holds, for many who ask at once: those who come while a question is under way share the next.

So an answer is never older than the moment in which it was asked for, and however many sockets catch up, one question
is under way for each shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from push_workloads.gateway.recovery import LogState

Ask = Callable[[int], Awaitable[LogState | None]]


class States:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._under_way: dict[int, asyncio.Task[LogState | None]] = {}
        self._next: dict[int, asyncio.Task[LogState | None]] = {}

    async def now(self, shard: int) -> LogState | None:
        """As `Log.state`; asked after this was called."""
        task = self._next.get(shard)
        if task is None:
            task = self._next[shard] = asyncio.create_task(self._after(shard, self._under_way.get(shard)))
        return await asyncio.shield(task)

    async def _after(self, shard: int, before: asyncio.Task[LogState | None] | None) -> LogState | None:
        if before is not None:
            await asyncio.wait((before,))
        self._under_way[shard] = self._next.pop(shard)
        return await self._ask(shard)
