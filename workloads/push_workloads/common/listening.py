"""Where a server takes its connections from: an address of its own, or a listening socket that processes share."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from push_workloads.common.config import Listen

Stop = Callable[[], Awaitable[None]]
Start = Callable[[socket.socket | None], Awaitable[Stop]]
"""Begins to accept, from the socket that is given (and closes it in the end) or, without one, at the address."""


class Listener:
    """Accepts connections. What queues on a shared socket can be left to the other processes for a while; an address
    cannot: where nobody else listens, a refusal in words is better than none."""

    def __init__(self, listen: Listen, start: Start) -> None:
        self._shared = _inherited(listen.fd) if listen.fd is not None else None
        self._start = start
        self._stop: Stop | None = None

    async def accept(self) -> None:
        """Begins to accept, or goes on with it."""
        if self._stop is None:
            # A copy each time: whoever accepts from it closes it, and the shared one must outlive that.
            self._stop = await self._start(self._shared.dup() if self._shared is not None else None)

    async def leave_to_others(self) -> None:
        """Does not accept any more from a shared socket; what is accepted already stays."""
        if self._shared is not None:
            await self._end()

    async def close(self) -> None:
        await self._end()
        if self._shared is not None:
            self._shared.close()

    async def _end(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            await stop()


@asynccontextmanager
async def listening(listen: Listen, start: Start) -> AsyncIterator[Listener]:
    """Accepts while open."""
    listener = Listener(listen, start)
    try:
        await listener.accept()
        yield listener
    finally:
        await listener.close()


def _inherited(fd: int) -> socket.socket:
    made = socket.socket(fileno=fd)
    made.setblocking(False)
    return made
