"""Says whose data has to go: in the store first, which is the truth, then in Redis, where the services read it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from push_workloads.auth.store import AccountStore
from push_workloads.common.cache import CALL_SECONDS
from push_workloads.common.erasing import KEPT_SECONDS, WHOLE, tell
from push_workloads.common.looking import Trouble, look_again

LOOK_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class Eraser:
    """`now` in Unix seconds."""

    def __init__(self, store: AccountStore, cache: Any, now: Callable[[], int]) -> None:
        self._store = store
        self._cache = cache
        self._now = now
        self._missed = 0  # what Redis did not take when it was told
        self._made_up = -1  # of that: so much it has by now, as all that is in the store was written

    async def erase(self, user_id: str) -> None:
        """Every service erases what it has of this user, within seconds or when it is back. Raises Unavailable when the
        store did not take it."""
        now = self._now()
        await self._store.erase(user_id, now)
        try:
            await tell(self._cache, {user_id: now}, now)
        except (RedisError, OSError, TimeoutError) as error:
            self._missed += 1
            _log.warning("an erasure is told later: Redis does not answer", extra={"cause": repr(error)})

    async def run(self) -> None:
        """Until cancelled."""
        await look_again(self._look, lambda: asyncio.sleep(LOOK_SECONDS), Trouble(_log, "erasures are not in Redis"))

    async def _look(self) -> None:
        missed, now = self._missed, self._now()
        async with asyncio.timeout(CALL_SECONDS):
            if self._made_up == missed and await self._cache.exists(WHOLE):
                return
        await tell(self._cache, await self._store.erased(now - KEPT_SECONDS), now)
        async with asyncio.timeout(CALL_SECONDS):
            await self._cache.set(WHOLE, b"1")
        self._made_up = missed
