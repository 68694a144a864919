"""Reads presence: two round trips for any number of users, one when the gateways' leases were just read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from push_workloads.common import presence_keys as keys

LEASE_CACHE_SECONDS: Final = 1.0  # against leases of 15 s; it makes the cost of a read independent of the gateways


class Presence(NamedTuple):
    """`last_seen` is the last disconnect, Unix milliseconds, None when there was none."""

    user_id: str
    online: bool
    last_seen: int | None


class PresenceReader:
    """`clock` is monotonic, in seconds."""

    def __init__(self, cache: Any, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._clock = clock
        self._leases: dict[str, tuple[bool, float]] = {}  # gid → has a lease, believed until

    async def read(self, user_ids: Sequence[str]) -> list[Presence]:
        """One for each id, in their order. Raises Redis' own errors."""
        pipe = self._cache.pipeline(transaction=False)
        for user_id in user_ids:
            pipe.hkeys(keys.user(user_id))
            pipe.get(keys.last_seen(user_id))
        answers = await pipe.execute()
        gids = [{keys.gid_of(field.decode()) for field in fields} for fields in answers[::2]]
        alive = await self.alive(set().union(*gids))
        return [
            Presence(user_id, online=not alive.isdisjoint(own), last_seen=int(seen) if seen else None)
            for user_id, own, seen in zip(user_ids, gids, answers[1::2], strict=True)
        ]

    async def alive(self, gids: set[str]) -> set[str]:
        """Those of the gateway generations that have a lease. Raises Redis' own errors."""
        now = self._clock()
        self._leases = {gid: lease for gid, lease in self._leases.items() if lease[1] > now}
        unknown = sorted(gids - self._leases.keys())
        if unknown:
            leases = await self._cache.mget([keys.lease(gid) for gid in unknown])
            for gid, lease in zip(unknown, leases, strict=True):
                self._leases[gid] = (lease is not None, now + LEASE_CACHE_SECONDS)
        # Asked again and not taken from `unknown`: another call may have dropped an entry while this one waited.
        return {gid for gid in gids if self._leases.get(gid, (False, 0.0))[0]}
