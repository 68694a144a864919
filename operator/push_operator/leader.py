"""Leader election by a lease, with self-fencing: exactly one process acts, and one that is cut off stops by itself.

A lease is taken over 15 s after it was last seen to change, by the watcher's own clock. Its holder stops writing 10 s
after the *start* of its last good renewal; a request ends after 5 s. So whatever the holder began is over before
another begins, however the two machines' clocks differ. The clock runs on while a machine sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from push_operator.errors import ClusterError, NotLeading

LEASE_SECONDS: Final = 15
FENCE_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as it was read; `version` changes with every renewal."""

    holder: str
    transitions: int
    version: str


class Lease(Protocol):
    async def read(self) -> Held | None: ...

    async def write(self, holder: str, transitions: int) -> bool:
        """Over what was read last; False when it is no longer that."""


def boot_clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Election:
    """`epoch` is the number of changes of leader: who is told it can refuse an earlier leader."""

    def __init__(self, lease: Lease, identity: str, clock: Callable[[], float] = boot_clock) -> None:
        self._lease, self._identity, self._clock = lease, identity, clock
        self._renewed: float | None = None
        self._seen: tuple[str, float] = ("", 0.0)  # the version read last, and since when it is that
        self.epoch = 0

    def leads(self) -> bool:
        return self._renewed is not None and self._clock() - self._renewed < FENCE_SECONDS

    def fence(self) -> None:
        """Called before every write. Raises NotLeading when another may be leading."""
        if not self.leads():
            raise NotLeading("this process is not the leader, or cannot be sure to be")

    async def try_once(self) -> bool:
        """Takes or renews the lease if it is ours to; whether this process leads afterwards."""
        began = self._clock()
        held = await self._lease.read()
        mine = held is not None and held.holder == self._identity
        if held is not None and not mine and not self._has_lapsed(held, began):
            self._renewed = None
            return False
        transitions = held.transitions + (not mine) if held is not None else 0
        if not await self._lease.write(self._identity, transitions):
            self._renewed = None
            return False
        self._renewed, self.epoch = began, transitions
        return True

    async def release(self) -> None:
        """Lets the next one begin at once; only what is ours is given up."""
        if self._renewed is None:
            return
        self._renewed = None
        held = await self._lease.read()
        if held is not None and held.holder == self._identity:
            await self._lease.write("", held.transitions)

    def _has_lapsed(self, held: Held, now: float) -> bool:
        if self._seen[0] != held.version:
            self._seen = (held.version, now)
        return not held.holder or now - self._seen[1] >= LEASE_SECONDS


async def lead(election: Election, work: Callable[[], Awaitable[None]]) -> None:
    """Runs `work` while this process leads and cancels it when it does not; raises what `work` raises."""
    while True:
        while not await _tried(election):  # noqa: ASYNC110 - the lease is elsewhere: nothing here could wake us
            await asyncio.sleep(RETRY_SECONDS)
        _log.info("leading", extra={"epoch": election.epoch})
        worker, keeper = asyncio.ensure_future(work()), asyncio.create_task(_keep(election))
        try:
            await asyncio.wait({worker, keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (worker, keeper):
                task.cancel()
            results = await asyncio.gather(worker, keeper, return_exceptions=True)
        failure = next((one for one in results if isinstance(one, Exception | BaseExceptionGroup)), None)
        if failure is not None:
            raise failure
        _log.warning("no longer leading: standing by")


async def _keep(election: Election) -> None:
    """Renews until the lease is lost; a renewal that fails is tried again as long as the fence allows."""
    while True:
        await asyncio.sleep(RETRY_SECONDS)
        await _tried(election)
        if not election.leads():
            return


async def _tried(election: Election) -> bool:
    try:
        return await election.try_once()
    except ClusterError as error:
        _log.warning("the lease cannot be reached: %s", error)
        return False
