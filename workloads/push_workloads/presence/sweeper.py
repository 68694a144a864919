"""Ends the sessions of gateways whose lease is gone: crashed, cut off, or registered again under a new generation.

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
from push_workloads.common.lock import Lock
from push_workloads.presence.restarts import SETTLE_SECONDS, RestartGuard

LOCK_KEY: Final = "presence:sweeper"
LOCK_MS: Final = 20_000
PAGE: Final = 200
PAUSE_BETWEEN_PAGES: Final = 0.02  # 10,000 sessions a second, so that a dead gateway of 15,000 is no storm
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


@dataclass(frozen=True, slots=True)
class Pace:
    """`interval`: between two looks, in seconds. `settle`: how long a Redis that came back is left alone."""

    interval: float = 5.0
    settle: float = SETTLE_SECONDS


class Sweeper:
    """`now_ms` is the clock on the wall."""

    def __init__(self, cache: Any, metrics: SweepMetrics, now_ms: Callable[[], int], pace: Pace) -> None:
        self._cache = cache
        self._metrics = metrics
        self._now_ms = now_ms
        self._pace = pace
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
        # Every replica watches for restarts, active or not: the one that takes over must know of them.
        server = await self._cache.info("server")
        hold = self._guard.hold(
            str(server["run_id"]), float(server["uptime_in_seconds"]), asyncio.get_running_loop().time()
        )
        active = await self._lock.hold()
        self._metrics.active.set(int(active))
        if active and not hold:
            await self._sweep()

    async def _sweep(self) -> None:
        gids = [gid.decode() for gid in await self._cache.smembers(keys.GATEWAYS)]
        if not gids:
            return
        leases = await self._cache.mget([keys.lease(gid) for gid in gids])
        for gid in (gid for gid, lease in zip(gids, leases, strict=True) if lease is None):
            if not await self._sweep_gateway(gid):
                return

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
        pipe = self._cache.pipeline(transaction=False)
        ended, now = 0, self._now_ms()
        for user, fields in zip(users, held, strict=True):
            dead = [field for field in fields if keys.gid_of(field.decode()) == gid]
            if dead:
                pipe.hdel(keys.user(user), *dead)
                pipe.eval(keys.LAST_SEEN_LUA, 1, keys.last_seen(user), now)
            ended += len(dead)
        pipe.srem(keys.sessions_of(gid), *users)
        await pipe.execute()
        self._metrics.sessions.inc(ended)
        return ended
