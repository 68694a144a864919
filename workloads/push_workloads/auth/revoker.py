"""Revokes tokens: in the store first, which is the truth, then in Redis, from where all processes hear it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from push_workloads.auth.store import AccountStore
from push_workloads.common.cache import CALL_SECONDS
from push_workloads.common.looking import Trouble, look_again
from push_workloads.common.revocations import Revocation
from push_workloads.common.revoking import ANEW, KEY, WHOLE, tell
from push_workloads.common.tasks import wait
from push_workloads.common.tokens import LEEWAY_SECONDS

LOOK_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
BATCH: Final = 1000
_log = logging.getLogger(__name__)


class Revoker:
    """`ttl_seconds`: of an access token; `now` in Unix seconds."""

    def __init__(self, store: AccountStore, cache: Any, ttl_seconds: int, now: Callable[[], int]) -> None:
        self._store = store
        self._cache = cache
        self._ttl_seconds = ttl_seconds
        self._now = now
        self._missed = 0  # what Redis did not take when it was told
        self._made_up = -1  # of that: so much it has by now, as all that is in the store was written
        self._wake = asyncio.Event()

    async def revoke(self, user_id: str, session_id: str) -> None:
        """No access token of the session is good any more. What Redis does not take now it takes as soon as it is back.
        Raises Unavailable when the store did not take it."""
        await self._revoke(Revocation(user_id, session_id, self._until()))

    async def revoke_before(self, user_id: str, before: int) -> None:
        """None of the user's that was issued until `before` (Unix seconds)."""
        await self._revoke(Revocation(user_id, None, self._until(), before))

    def _until(self) -> int:
        return self._now() + self._ttl_seconds + 2 * LEEWAY_SECONDS

    async def _revoke(self, one: Revocation) -> None:
        now = self._now()
        await self._store.revoke(one)
        try:
            await tell(self._cache, (one,), now)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("a revocation is told later: Redis does not answer", extra={"cause": repr(error)})
            self._missed += 1
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled: writes all of them to Redis at the start, and whenever it has lost them."""
        await look_again(self._look, self._pause, Trouble(_log, "revocations are not in Redis"))

    async def _pause(self) -> None:
        await wait(self._wake, LOOK_SECONDS if self._made_up == self._missed else RETRY_SECONDS)
        self._wake.clear()

    async def _look(self) -> None:
        missed, now = self._missed, self._now()
        async with asyncio.timeout(CALL_SECONDS):
            if self._made_up == missed and await self._cache.exists(WHOLE):
                return
        found = await self._store.revocations(now)
        for start in range(0, len(found), BATCH):
            await tell(self._cache, found[start : start + BATCH], now)
        async with asyncio.timeout(CALL_SECONDS):
            await self._cache.set(WHOLE, b"1")
            await self._cache.publish(KEY, ANEW)
        self._made_up = missed
