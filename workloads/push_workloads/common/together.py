"""Redis for many tasks at once: what they ask for in one turn of the loop goes out in one pipeline.

A command of its own costs this process ten times as much as one among many (the client's pool, timeouts and
bookkeeping), and most of what a worker does in a batch is such commands.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from redis.exceptions import RedisError

from push_workloads.common.tasks import Spawner

MAX_COMMANDS: Final = 64


class Together:
    """`cache` is the client. Its commands may be in any order: whoever needs one waits for its answer."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._waiting: list[tuple[tuple[Any, ...], dict[str, Any], asyncio.Future[Any]]] = []
        self._spawner = Spawner()

    async def do(self, *command: Any, **options: Any) -> Any:
        """The answer to one command; `options` are the client's. Raises Redis' own errors."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((command, options, answer))
        if len(self._waiting) == 1:
            loop.call_soon(self._go)
        return await answer

    def _go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for first in range(0, len(waiting), MAX_COMMANDS):
            self._spawner.spawn(self._execute(waiting[first : first + MAX_COMMANDS]))

    async def _execute(self, some: list[tuple[tuple[Any, ...], dict[str, Any], asyncio.Future[Any]]]) -> None:
        pipe = self._cache.pipeline(transaction=False)
        for command, options, _ in some:
            pipe.execute_command(*command, **options)
        answers: list[Any]
        try:
            answers = await pipe.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            answers = [error] * len(some)
        for (_, _, answer), got in zip(some, answers, strict=True):
            if answer.done():  # nobody waits for it any more
                continue
            if isinstance(got, Exception):
                answer.set_exception(got)
            else:
                answer.set_result(got)
