"""Tells Redis who is connected here: one lease for the gateway, a field for each session, all written in batches; and
all gateways what follows from it. The other way the presence service says which sessions their users want ended.

Cost grows with connects and disconnects, not with users: nothing is renewed per session. A gateway that finds its
lease lost (Redis restarted, or this process was frozen) takes a new generation and registers all again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError

from push_workloads.common import presence_keys as keys
from push_workloads.common.announcements import Announcement
from push_workloads.common.presence_changes import Change, PresenceChanges

FLUSH_SECONDS: Final = 0.1
RENEW_SECONDS: Final = 5.0  # a third of the lease
END_SECONDS: Final = 1.0  # between two looks for sessions to end
BATCH: Final = 200  # of one script, which Redis runs without a pause: some 3 ms
_log = logging.getLogger(__name__)
Session = tuple[str, str]  # user id, session id
Words = tuple[keys.Opened | None, ...]
End = Callable[[str, str], None]


class Open(NamedTuple):
    """A session that is open here."""

    user_id: str
    session_id: str
    opened: keys.Opened


class PresenceWriter:
    """The lease, and a field for each session, of this process. `grace_ms`: how long a user who has no session any more
    is not told to be offline. `announce` tells all gateways."""

    def __init__(self, cache: Any, instance: str, grace_ms: int, announce: Callable[[Announcement], None]) -> None:
        self._cache = cache
        self._instance = instance
        self._grace_ms = grace_ms
        self._announce = announce
        self._presence = PresenceChanges(cache)
        # The last word on each session, None for the end, and `online` before an `away` that was said since: who says
        # that is believed at once, who comes back with it is not. Emptied when the lease is given up.
        self._changes: dict[Session, Words] = {}
        self._gid = ""
        self._renewed_at = 0.0

    def waiting(self) -> str | None:
        """A readiness check."""
        return None if self._gid else "no presence lease in Redis"

    def connected(self, session: Open) -> None:
        """It is open now, or is as this says from now on."""
        key, opened = (session.user_id, session.session_id), session.opened
        first = self._changes.get(key, (None,))[0]
        stepped_back = first is not None and opened.away and not first.away
        self._changes[key] = (first, opened) if stepped_back else (opened,)

    def disconnected(self, user_id: str, session_id: str) -> None:
        self._changes[(user_id, session_id)] = (None,)

    async def run(self, here: Callable[[], Iterable[Open]], end: End) -> None:
        """Renews the lease and writes changes until cancelled; Redis away means later, never a stop.

        `here` lists the sessions that are open now; it is asked when everything must be registered again. `end` is
        called with the user's and the session's id.
        """
        renew_at = look_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= renew_at:
                    await self._renew(here)
                    self._renewed_at = loop.time()
                    renew_at = loop.time() + RENEW_SECONDS * random.uniform(0.9, 1.0)  # noqa: S311 - spreads writes
                await self._flush()
                if loop.time() >= look_at:
                    await self._end(end)
                    look_at = loop.time() + END_SECONDS
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("presence cannot be written: %s", error)
                if loop.time() - self._renewed_at > keys.LEASE_MS / 1000:
                    # The lease has run out: all of it is the sweeper's now, and is registered anew later.
                    self._gid = ""
                    self._changes.clear()
                    renew_at = 0.0
                await asyncio.sleep(random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries
            await asyncio.sleep(FLUSH_SECONDS)

    async def close(self) -> None:
        """Says goodbye for every session at once; whatever fails here the sweeper does."""
        try:
            await self._flush()
            if self._gid:
                await self._cache.delete(keys.lease(self._gid))
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("presence could not be ended: %s", error)

    async def _end(self, end: End) -> None:
        asked = await self._cache.smembers(keys.to_end(self._gid))
        if asked:
            for member in asked:
                end(*keys.parse_ending(member.decode()))
            await self._cache.srem(keys.to_end(self._gid), *asked)  # afterwards: twice does no harm

    async def _renew(self, here: Callable[[], Iterable[Open]]) -> None:
        lease = {"px": keys.LEASE_MS}
        if self._gid and await self._cache.set(keys.lease(self._gid), b"1", xx=True, **lease):
            return
        if self._gid:
            _log.warning("the presence lease was lost: registering again")
        self._gid, gid = "", f"{self._instance}.{secrets.token_hex(4)}"
        pipe = self._cache.pipeline(transaction=False)
        pipe.set(keys.lease(gid), b"1", **lease)  # first: a sweep between the two must find it alive
        pipe.sadd(keys.GATEWAYS, gid)
        await pipe.execute()
        self._gid = gid
        for session in here():
            self._changes.setdefault((session.user_id, session.session_id), (session.opened,))

    async def _flush(self) -> None:
        while self._changes and self._gid:
            batch = [(session, self._changes[session]) for session in list(self._changes)[:BATCH]]
            await self._write(batch)
            for session, words in batch:
                if self._changes.get(session) is words:
                    del self._changes[session]

    async def _write(self, batch: list[tuple[Session, Words]]) -> None:
        changes = [
            Change(user_id, keys.field(self._gid, session_id), keys.format_opened(opened) if opened is not None else "")
            for (user_id, session_id), words in batch
            for opened in words
        ]
        for one in await self._presence.write(self._gid, changes, self._grace_ms):
            self._announce(one)
