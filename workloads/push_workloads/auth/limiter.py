"""How often something may be asked for in an hour, counted in Redis for all replicas together."""

from __future__ import annotations

from typing import Any, Final

from push_workloads.common.cache import reaching
from push_workloads.common.errors import RateLimited

WINDOW_MS: Final = 3_600_000

# KEYS[1] the counter, ARGV[1] its life in ms. One script: a crash between INCR and PEXPIRE would lock an address out.
COUNT_LUA: Final = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""


class Limiter:
    """A fixed window for each address or user, 0 for no limit. Without Redis it refuses: a limit that can be switched
    off is none. `key` begins the counters' names; `what` completes "too many …"."""

    def __init__(self, cache: Any, per_hour: int, key: str = "auth:reg", what: str = "registrations") -> None:
        self._cache = cache
        self._per_hour = per_hour
        self._key = key
        self._what = what

    async def count(self, whose: str) -> None:
        """Counts one. Raises RateLimited over the limit, Unavailable without Redis."""
        if self._per_hour == 0:
            return
        async with reaching("this"):
            count, left_ms = await self._cache.eval(COUNT_LUA, 1, f"{self._key}:{whose}", WINDOW_MS)
        if count > self._per_hour:
            raise RateLimited(f"too many {self._what}; try again later", retry_after_ms=left_ms)
