"""Which gateways live; what was just read is believed for a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from push_workloads.common import presence_keys as keys

CACHE_SECONDS: Final = 1.0  # against leases of 15 s; it makes the cost of a read independent of the gateways


class Leases:
    """`clock` is monotonic, in seconds."""

    def __init__(self, cache: Any, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._clock = clock
        self._known: dict[str, tuple[bool, float]] = {}  # gid → has a lease, believed until

    async def alive(self, gids: set[str]) -> set[str]:
        """Those of the gateway generations that have a lease. Raises Redis' own errors."""
        now = self._clock()
        self._known = {gid: lease for gid, lease in self._known.items() if lease[1] > now}
        unknown = sorted(gids - self._known.keys())
        if unknown:
            leases = await self._cache.mget([keys.lease(gid) for gid in unknown])
            for gid, lease in zip(unknown, leases, strict=True):
                self._known[gid] = (lease is not None, now + CACHE_SECONDS)
        # Asked again and not taken from `unknown`: another call may have dropped an entry while this one waited.
        return {gid for gid in gids if self._known.get(gid, (False, 0.0))[0]}
