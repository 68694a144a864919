"""How services hear whose data has to go: a set in Redis of the users whose accounts have ended, by when that was.

Each service that has something of users reads on from where it was, and from the beginning after a start: to erase
again changes nothing. The truth is in the accounts' store, and the auth service writes the set anew when Redis has lost
it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from push_workloads.common.cache import CALL_SECONDS
from push_workloads.common.looking import Trouble, look_again

KEY: Final = "auth:erased"  # user ids, by Unix seconds
WHOLE: Final = "auth:erased:whole"  # is there as long as the set is
KEPT_SECONDS: Final = 30 * 86_400  # a service that was away for longer erases nothing of before
AGAIN_SECONDS: Final = 60  # clocks differ; and what was on its way when the account ended is found as well
LOOK_SECONDS: Final = 5.0
PAGE: Final = 500
_log = logging.getLogger(__name__)


async def tell(cache: Any, users: Mapping[str, int], now: int) -> None:
    """Raises what the Redis client raises."""
    async with asyncio.timeout(CALL_SECONDS):
        await cache.zremrangebyscore(KEY, "-inf", now - KEPT_SECONDS)
        if users:
            await cache.zadd(KEY, dict(users))


class Erasing:
    """`erase` removes what this service has of a user, if anything; it may raise Unavailable."""

    def __init__(self, cache: Any, erase: Callable[[str], Awaitable[None]]) -> None:
        self._cache = cache
        self._erase = erase
        self._until = 0  # what ended before is erased

    async def run(self) -> None:
        """Until cancelled."""
        trouble = Trouble(_log, "data of accounts that have ended stays")
        await look_again(self._look, lambda: asyncio.sleep(LOOK_SECONDS), trouble)

    async def _look(self) -> None:
        """All that have ended since the last time, a page after the other."""
        at, newest = 0, self._until
        while page := await self._page(at):
            for user_id, ended in page:
                await self._erase(user_id.decode())
                newest = max(newest, int(ended))
            at += len(page)
        self._until = newest

    async def _page(self, at: int) -> list[tuple[bytes, float]]:
        async with asyncio.timeout(CALL_SECONDS):
            found: list[tuple[bytes, float]] = await self._cache.zrangebyscore(
                KEY, self._until - AGAIN_SECONDS, "+inf", start=at, num=PAGE, withscores=True
            )
        return found
