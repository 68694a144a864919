"""Revokes tokens: in the store first, which is the truth, then in Redis, from where all processes hear it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from push_workloads.auth.store import AccountStore
from push_workloads.common.errors import Unavailable
from push_workloads.common.revocations import Revocation
from push_workloads.common.revoking import ANEW, KEY, WHOLE, tell
from push_workloads.common.tokens import LEEWAY_SECONDS

LOOK_SECONDS: Final = 5.0
BATCH: Final = 1000
_log = logging.getLogger(__name__)


class Revoker:
    """`ttl_seconds`: of an access token; `now` in Unix seconds."""

    def __init__(self, store: AccountStore, cache: Any, ttl_seconds: int, now: Callable[[], int]) -> None:
        self._store = store
        self._cache = cache
        self._ttl_seconds = ttl_seconds
        self._now = now
        self._whole = False  # all that is in the store was written to Redis
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
            self._whole = False
            self._wake.set()

    async def run(self) -> None:
        """Until cancelled: writes all of them to Redis at the start, and whenever it has lost them."""
        while True:
            try:
                if not self._whole or not await self._is_whole():
                    await self._write_all()
            except (RedisError, OSError, TimeoutError, Unavailable) as error:
                self._whole = False
                _log.warning("revocations are not in Redis: %s", str(error) or type(error).__name__)
                await asyncio.sleep(1)
                continue
            await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _is_whole(self) -> bool:
        return bool(await self._cache.exists(WHOLE))

    async def _write_all(self) -> None:
        now = self._now()
        self._whole = True  # until one more is not taken
        found = await self._store.revocations(now)
        for start in range(0, len(found), BATCH):
            await tell(self._cache, found[start : start + BATCH], now)
        await self._cache.set(WHOLE, b"1")
        await self._cache.publish(KEY, ANEW)
