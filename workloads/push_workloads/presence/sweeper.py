"""Ends the sessions of gateways whose lease is gone: crashed, cut off, or registered again under a new generation; and
tells of users who have been gone for the grace.

One replica sweeps, paced, in pages. Safe to stop at any line: what is left is found again by the next sweep. A gateway
that turns out to live has a new generation by then, so nothing here can end a session that is open.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from redis.exceptions import RedisError

from push_workloads.common import presence_keys as keys
from push_workloads.common.announcements import Announcement
from push_workloads.common.lock import Lock
from push_workloads.common.presence_changes import Change, PresenceChanges
from push_workloads.presence.restarts import SETTLE_SECONDS, RestartGuard

LOCK_KEY: Final = "presence:sweeper"
LOCK_MS: Final = 20_000
PAGE: Final = 200
PAUSE_BETWEEN_PAGES: Final = 0.02  # 10,000 sessions a second, so that a dead gateway of 15,000 is no storm
# A gateway's clients were cut off 10 s or more before its lease ended (it renews every 5 s, and the lease is 15 s). So
# much of that counts as grace: then offline is told within a lease and a grace after the cut, also by a busy service.
EARLY_MS: Final = 5000
_log = logging.getLogger(__name__)

# KEYS: gateways, of:<gid>, lease:<gid>; ARGV[1] gid. A write that came late keeps the gid for the next sweep.
_FORGET_LUA: Final = """
if redis.call('EXISTS', KEYS[2]) == 0 and redis.call('EXISTS', KEYS[3]) == 0 then
  return redis.call('SREM', KEYS[1], ARGV[1])
end
return 0
"""


class SweepMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.active = Gauge("push_presence_sweeper_active", "1 on the replica that sweeps", registry=registry)
        self.sessions = Counter("push_presence_swept_sessions", "Sessions ended by the sweeper", registry=registry)
        self.gateways = Counter("push_presence_swept_gateways", "Gateways found dead", registry=registry)
        self.left = Counter("push_presence_left", "Users told to have gone, after the grace", registry=registry)


@dataclass(frozen=True, slots=True)
class Pace:
    """`interval`: between two looks, in seconds. `settle`: how long a Redis that came back is left alone. `grace_ms`:
    how long a user without a session is not told to be offline."""

    interval: float = 1.0
    settle: float = SETTLE_SECONDS
    grace_ms: int = 15_000


class Sweeper:
    """`announce` tells all gateways."""

    def __init__(self, cache: Any, metrics: SweepMetrics, announce: Callable[[Announcement], None], pace: Pace) -> None:
        self._cache = cache
        self._metrics = metrics
        self._announce = announce
        self._pace = pace
        self._presence = PresenceChanges(cache)
        self._ends: dict[str, float] = {}  # by gid: when its lease ends, in the loop's seconds, as far as was seen
        self._lock = Lock(cache, LOCK_KEY, LOCK_MS)
        self._guard = RestartGuard(pace.settle)
        self._reached = False

    def waiting(self) -> str | None:
        """A readiness check; also what readers need, for it says whether Redis answers."""
        return None if self._reached else "Redis does not answer"

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                    self._reached = True
                except (RedisError, OSError, TimeoutError) as error:
                    self._reached = False
                    self._metrics.active.set(0)
                    _log.warning("presence cannot be swept: %s", type(error).__name__)
                pause = self._pace.interval if self._reached else min(1.0, self._pace.interval)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the replicas
        finally:
            self._metrics.active.set(0)

    async def close(self) -> None:
        """Lets another replica go on at once."""
        try:
            await self._lock.release()
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("the sweeper's lock ends by itself: %s", type(error).__name__)

    async def _look(self) -> None:
        # Every replica watches for restarts, and leases, active or not: the one that takes over must know of them.
        server = await self._cache.info("server")
        hold = self._guard.hold(
            str(server["run_id"]), float(server["uptime_in_seconds"]), asyncio.get_running_loop().time()
        )
        dead = await self._dead(asyncio.get_running_loop().time())
        active = await self._lock.hold()
        self._metrics.active.set(int(active))
        if active and not hold:
            for gid in dead:
                if not await self._sweep_gateway(gid):
                    return
            await self._tell_who_left()

    async def _dead(self, now: float) -> list[str]:
        """The gateways without a lease; notes when those of the others end."""
        gids = sorted(gid.decode() for gid in await self._cache.smembers(keys.GATEWAYS))
        pipe = self._cache.pipeline(transaction=False)
        for gid in gids:
            pipe.pttl(keys.lease(gid))
        left = dict(zip(gids, await pipe.execute() if gids else (), strict=True))
        alive = {gid: now + ms / 1000 for gid, ms in left.items() if ms > 0}
        self._ends = {gid: ends for gid, ends in self._ends.items() if gid in left} | alive
        return [gid for gid in gids if gid not in alive]

    async def _tell_who_left(self) -> None:
        """A page that is full may be followed by another; those of whom nothing is told have come back."""
        while True:
            for one in (told := await self._presence.settle(PAGE)):
                self._announce(one)
            self._metrics.left.inc(sum(one.status == "offline" for one in told))
            if len(told) < PAGE or not await self._lock.hold():
                return
            await asyncio.sleep(PAUSE_BETWEEN_PAGES)

    def _wait_ms(self, gid: str) -> int:
        """How long what is left of the grace is, for the users of a gateway that is gone."""
        now = asyncio.get_running_loop().time()
        since_ms = int((now - self._ends.get(gid, now)) * 1000)
        return max(0, self._pace.grace_ms - EARLY_MS - since_ms)

    async def _sweep_gateway(self, gid: str) -> bool:
        """Whether the lock was ours to the end."""
        ended = 0
        while users := [user.decode() for user in await self._cache.srandmember(keys.sessions_of(gid), PAGE)]:
            if not await self._lock.hold():
                return False
            ended += await self._end_sessions(gid, users)
            await asyncio.sleep(PAUSE_BETWEEN_PAGES)
        if await self._cache.eval(_FORGET_LUA, 3, keys.GATEWAYS, keys.sessions_of(gid), keys.lease(gid), gid):
            self._metrics.gateways.inc()
            _log.info("a gateway is gone", extra={"gateway": gid, "sessions": ended})
        return True

    async def _end_sessions(self, gid: str, users: list[str]) -> int:
        pipe = self._cache.pipeline(transaction=False)
        for user in users:
            pipe.hkeys(keys.user(user))
        held = await pipe.execute()
        dead = [
            Change(user, field.decode(), "")
            for user, fields in zip(users, held, strict=True)
            for field in fields
            if keys.gid_of(field.decode()) == gid
        ]
        for one in await self._presence.write(gid, dead, self._wait_ms(gid)):
            self._announce(one)
        await self._cache.srem(keys.sessions_of(gid), *users)
        self._metrics.sessions.inc(len(dead))
        return len(dead)
