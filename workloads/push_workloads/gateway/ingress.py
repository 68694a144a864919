"""What all clients together may send: measures how late the event loop is, and lets sockets wait for their turn.

A socket that waits is not read at all, so TCP tells its client to slow down; nothing that was read is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import islice
from typing import Final, Protocol

from push_workloads.gateway.pressure import Level, Pressure, Sample, Worst

SAMPLE_SECONDS: Final = 0.05
LAG_SECONDS: Final = 10.0  # so far back goes what is told of it
BUSY_SECONDS: Final = 0.5  # who sends twice within so long is busy, and waits first


class Readable(Protocol):
    """A socket that can be left unread."""

    def read_on(self, seconds: float) -> None:
        """It has its turn, after so long."""
        ...


class Ingress:
    """Once in a process. `max_lag` (seconds) 0: nobody ever waits. `in_flight` counts the publishes without an
    answer."""

    def __init__(self, max_lag: float, max_in_flight: int, in_flight: Callable[[], int]) -> None:
        self._is_limited = max_lag > 0
        self._max_in_flight = max_in_flight
        self._pressure = Pressure(max_lag, max_in_flight)
        self._in_flight = in_flight
        self._held: dict[Readable, float] = {}  # since when; the first waits longest
        self._sent: set[Readable] = set()  # since `_sent_from`, while pressed
        self._sent_from = self._sampled_at = 0.0
        self._spared = 0
        self._lags = Worst(LAG_SECONDS)
        self.pressed = False  # read for every frame
        self.times_held = 0

    @property
    def level(self) -> Level:
        return self._pressure.level

    def worst_lag(self) -> float:
        """Seconds by which the event loop came late at worst in the last ten."""
        return self._lags.at(time.monotonic())

    @property
    def held(self) -> int:
        return len(self._held)

    def holds(self, socket: Readable) -> bool:
        return socket in self._held

    def must_wait(self, socket: Readable) -> bool:
        """For a socket that has sent something while it is pressed."""
        if self._pressure.strict or socket in self._sent:
            return True
        self._sent.add(socket)
        self._spared += 1
        return False

    def publishing(self) -> None:
        """Before each publish: thousands can come in before the next sample."""
        if self._in_flight() > self._max_in_flight and self._is_limited:
            self.pressed = True

    def hold(self, socket: Readable) -> None:
        """The socket is not read any more, and waits for its turn."""
        self._held[socket] = self._sampled_at  # no look at the clock for each frame
        self.times_held += 1

    def forget(self, socket: Readable) -> bool:
        """Whether it waited."""
        return self._held.pop(socket, None) is not None

    def full(self) -> str | None:
        """Why nobody can come in now."""
        return "this gateway is overloaded: connect again" if self.level is Level.OVERLOADED else None

    async def run(self) -> None:
        """Samples until cancelled. uvloop's own clock stands still during a turn of the loop, so it cannot tell."""
        while True:
            due = time.monotonic() + SAMPLE_SECONDS
            await asyncio.sleep(SAMPLE_SECONDS)
            now = time.monotonic()
            lag = max(0.0, now - due)
            self._lags.add(now, lag)
            if self._is_limited:
                self._sample(now, lag)

    def _sample(self, now: float, lag: float) -> None:
        self._sampled_at = now
        waited = now - next(iter(self._held.values())) if self._held else 0.0
        turns = self._pressure.sample(Sample(now, lag, self._in_flight(), len(self._held), waited, self._spared))
        self._spared = 0
        self.pressed = self.level is not Level.CALM
        if now - self._sent_from >= BUSY_SECONDS:
            self._sent, self._sent_from = set(), now
        for socket in list(islice(self._held, turns)):
            socket.read_on(now - self._held.pop(socket))
