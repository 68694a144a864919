"""The open sessions of one user, as the gateways wrote them; and a word to a gateway to end one."""

from __future__ import annotations

from typing import Any, NamedTuple

from push_workloads.common import presence_keys as keys
from push_workloads.presence.leases import Leases


class OpenSession(NamedTuple):
    """`gid` is the gateway generation that holds it."""

    gid: str
    session_id: str
    opened: keys.Opened


class SessionList:
    """Learns which gateways live from `leases`."""

    def __init__(self, cache: Any, leases: Leases) -> None:
        self._cache = cache
        self._leases = leases

    async def read(self, user_id: str) -> list[OpenSession]:
        """The newest first. Raises Redis' own errors."""
        answer: dict[bytes, bytes] = await self._cache.hgetall(keys.user(user_id))
        held = {field.decode(): value.decode() for field, value in answer.items()}
        alive = await self._leases.alive({keys.gid_of(field) for field in held})
        found = [
            OpenSession(keys.gid_of(field), keys.session_of(field), keys.parse_opened(value))
            for field, value in held.items()
            if keys.gid_of(field) in alive
        ]
        return sorted(found, key=lambda one: (one.opened.since_ms, one.session_id), reverse=True)

    async def end(self, user_id: str, session_id: str) -> bool:
        """Tells the session's gateway, which looks every second; False when there is no such session. Raises Redis' own
        errors."""
        told = [one for one in await self.read(user_id) if one.session_id == session_id]
        for one in told:
            pipe = self._cache.pipeline(transaction=False)
            pipe.sadd(keys.to_end(one.gid), keys.ending(user_id, session_id))
            pipe.pexpire(keys.to_end(one.gid), keys.END_MS)
            await pipe.execute()
        return bool(told)
