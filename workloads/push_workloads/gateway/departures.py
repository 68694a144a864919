"""Asks clients to come back elsewhere, one by one at a pace: all of them (a drain), or some (a shed).

While it drains the gateway takes no new clients. A drain of the operator's can be taken back; the one of a process that
stops cannot, and ends in time.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Final

from msgspec import Struct

from push_workloads.common.errors import Conflict
from push_workloads.common.listening import Listener
from push_workloads.common.tasks import wait
from push_workloads.gateway.drain import Pace
from push_workloads.gateway.gateway import CLOSE_WAIT_SECONDS, Client, Gateway

ASKED_AT_ONCE: Final = 100  # without a turn for the others
STRAGGLER_SECONDS: Final = 0.5  # who was being let in when the drain began is found so soon
IDLE_SECONDS: Final = 60.0
STOPPING: Final = "this gateway is stopping: it does not come back, count on another one"
DRAINING: Final = "this gateway is draining, so all its clients are leaving: undrain it first"


class Draining(Struct, frozen=True):
    """A drain under way, or one that is done. `rate`: clients a second; `left`: clients that are still here."""

    rate: float
    left: int
    stopping: bool


class _Going:
    """Those who are to be asked, in the order from the last to the first."""

    def __init__(self, pace: Pace, waiting: list[Client]) -> None:
        self.pace = pace
        self.waiting = waiting
        self.asked = 0


class Departures:
    """Once in a process; `run` does the asking."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._listeners: tuple[Listener, ...] = ()
        self._drain: _Going | None = None
        self._shed: _Going | None = None
        self._stopping = False
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()  # a drain and an undrain at once must not leave the door half open

    def draining(self) -> Draining | None:
        if self._drain is None:
            return None
        return Draining(self._drain.pace.rate, len(self._gateway.clients), self._stopping)

    async def look_after(self, *listeners: Listener) -> None:
        """What the clients come by. It may drain already."""
        async with self._turn:
            self._listeners = listeners
            if self._drain is not None:
                await self._shut()

    async def drain(self, rate: float) -> None:
        """Begins to ask everybody, or goes on at another rate."""
        async with self._turn:
            if self._drain is None:
                await self._begin(Pace(rate, time.monotonic()))
            else:
                going = self._drain
                going.pace = going.pace.at_rate(rate, going.asked, time.monotonic())
            self._changed.set()

    async def undrain(self) -> None:
        """Who has not been asked stays, and others may come. Raises Conflict when the process stops."""
        async with self._turn:
            if self._stopping:
                raise Conflict(STOPPING)
            self._drain = None
            self._gateway.draining = False
            for one in self._listeners:
                await one.accept()
            self._changed.set()

    def shed(self, count: int, rate: float) -> int:
        """Begins to ask so many, drawn by lot, in place of those of an earlier call who are not asked yet. How many it
        will be; raises Conflict during a drain."""
        if self._drain is not None:
            raise Conflict(STOPPING if self._stopping else DRAINING)
        here = self._staying()
        some = random.sample(here, min(count, len(here)))
        self._shed = _Going(Pace(rate, time.monotonic()), some)
        self._changed.set()
        return len(some)

    async def stop(self) -> None:
        """Asks everybody within `drain_seconds`, and returns when they are gone; aborts whoever does not go."""
        seconds, rate = self._gateway.config.drain_seconds, float(self._gateway.config.drain_rate)
        async with self._turn:
            now, self._stopping = time.monotonic(), True
            going = self._drain or await self._begin(Pace(rate, now))
            going.pace = going.pace.to_end(seconds, rate, going.asked, len(self._staying()), now)
            self._changed.set()
        try:
            async with asyncio.timeout(seconds + CLOSE_WAIT_SECONDS):
                await self._gateway.emptied()
        except TimeoutError:
            for one in tuple(self._gateway.clients):
                one.abort()

    async def _begin(self, pace: Pace) -> _Going:
        self._shed = None
        self._drain = going = _Going(pace, [])
        self._gateway.draining = True
        await self._shut()
        return going

    async def _shut(self) -> None:
        for one in self._listeners:
            await one.leave_to_others()

    def _staying(self) -> list[Client]:
        return [one for one in self._gateway.clients if not one.closing]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed.clear()
            await wait(self._changed, self._look(time.monotonic()))

    def _look(self, now: float) -> float:
        """Asks those whose time has come; seconds until the next look."""
        going = self._drain or self._shed
        if going is None:
            return IDLE_SECONDS
        if going is self._drain and not going.waiting:
            going.waiting = self._staying()
            random.shuffle(going.waiting)
        due = going.pace.due(going.asked, len(going.waiting), now)
        self._ask(going, min(due, ASKED_AT_ONCE))
        if due > ASKED_AT_ONCE:
            return 0.0
        if going.waiting:
            return going.pace.pause(going.asked, now, random.random())  # noqa: S311 - spreads reconnects
        return STRAGGLER_SECONDS if going is self._drain else IDLE_SECONDS

    def _ask(self, going: _Going, count: int) -> None:
        """Who left by themselves cost nothing."""
        last = going.asked + count
        while going.waiting and going.asked < last:
            one = going.waiting.pop()
            if one in self._gateway.clients and not one.closing:
                one.send_away()
                going.asked += 1
                self._gateway.reconnects_asked += 1
