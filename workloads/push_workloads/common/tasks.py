"""Background work with a scope: it ends before whatever it uses is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

CANCEL_AGAIN_SECONDS: Final = 0.1
_log = logging.getLogger(__name__)

T = TypeVar("T")


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs the coroutines while the context is open, then cancels them and waits for their end.

    The first that fails ends the context with its error: nothing goes on half alive.
    """
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one) for one in work]
        try:
            yield
        finally:
            await _end(running)


async def _end(running: Iterable[asyncio.Task[None]]) -> None:
    """Cancels until they are gone: nats-py swallows a cancellation that hits it while it flushes. Whoever cancels this
    in the meantime waits too: what would be left then nobody would cancel any more."""
    left = {task for task in running if not task.done()}
    interrupted: asyncio.CancelledError | None = None
    while left:
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)
        except asyncio.CancelledError as error:
            interrupted = error
        left = {task for task in left if not task.done()}
    if interrupted is not None:
        raise interrupted


class Spawner:
    """Runs coroutines that belong to one client or channel: a failure is logged and ends nothing else."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancels what still runs, and waits for its end."""
        await _end(self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task failed", exc_info=task.exception())


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event, but at most so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """All of it at once; the first failure is raised when all have ended, so that nothing goes on unseen."""
    ended = await asyncio.gather(*work, return_exceptions=True)
    made = [one for one in ended if not isinstance(one, BaseException)]
    for one in ended:
        if isinstance(one, BaseException):
            raise one
    return made


async def unbroken(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Its result. When whoever waits for it is cancelled, it still has so long to come to its end, and is cancelled
    only then; the cancellation is raised afterwards."""
    task, loop = asyncio.create_task(work), asyncio.get_running_loop()
    interrupted: asyncio.CancelledError | None = None
    until: float | None = None
    while not task.done():
        try:
            await asyncio.wait({task}, timeout=None if until is None else max(0.0, until - loop.time()))
        except asyncio.CancelledError as error:  # more than one may come: see _end
            interrupted = interrupted or error
            until = until or loop.time() + seconds
        if until is not None and loop.time() >= until:
            task.cancel()
    if interrupted is not None:
        raise interrupted
    return task.result()
