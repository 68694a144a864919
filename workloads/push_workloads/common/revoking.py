"""How revocations reach every process: a set in Redis, and a message to all who listen.

Both in one step, and who listens subscribes before it reads the set: so nothing falls between. What a process has heard
it keeps, also while Redis is away. The truth is in the accounts' store: the auth service writes the set anew from there
when Redis has lost it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from push_workloads.common.cache import CALL_SECONDS
from push_workloads.common.looking import Trouble, look_again
from push_workloads.common.revocations import Revocation, Revocations

KEY: Final = "auth:revoked"  # the set, by when each counts no more; and the channel
WHOLE: Final = "auth:revoked:whole"  # is there as long as the set is
ANEW: Final = b"anew"  # the message after which the set is to be read again
PAGE: Final = 10_000
SILENT_SECONDS: Final = 5.0  # after it Redis is asked whether it is there
SWEEP_SECONDS: Final = 60.0
RETRY_SECONDS: Final = (0.2, 0.6)
_log = logging.getLogger(__name__)
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Revocation).decode

# KEYS[1] the set, also the channel. ARGV: now, then until and entry for each.
_TELL_LUA: Final = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
for at = 2, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ARGV[at], ARGV[at + 1])
  redis.call('PUBLISH', KEYS[1], ARGV[at + 1])
end
"""


async def tell(cache: Any, revocations: Iterable[Revocation], now: int) -> None:
    """Everybody refuses these from now on. Raises what the Redis client raises, or TimeoutError."""
    told = [value for one in revocations for value in (one.until, _encode(one))]
    async with asyncio.timeout(CALL_SECONDS):
        await cache.eval(_TELL_LUA, 1, KEY, now, *told)


class Revoked:
    """What this process knows of it. `on_new` is called with each that it learns; must not raise."""

    def __init__(self, cache: Any, on_new: Callable[[Revocation], None] | None = None) -> None:
        self.known = Revocations()
        self._cache = cache
        self._on_new = on_new
        self._trouble = Trouble(_log, "revocations are not heard")

    def waiting(self) -> str | None:
        """A readiness check: before the set was read once, nobody can be let in."""
        return None if self.known.complete else "which tokens are revoked is not known yet: Redis does not answer"

    async def run(self) -> None:
        """Until cancelled."""
        await look_again(self._follow, self._pause, self._trouble)

    async def _pause(self) -> None:
        await asyncio.sleep(random.uniform(*RETRY_SECONDS))  # noqa: S311 - spreads retries

    async def _follow(self) -> None:
        async with self._cache.pubsub() as channel:
            await channel.subscribe(KEY)
            swept = time.monotonic()
            while True:
                await self._hear(channel)
                if time.monotonic() - swept > SWEEP_SECONDS:
                    self.known.sweep(int(time.time()))
                    swept = time.monotonic()

    async def _hear(self, channel: Any) -> None:
        """The next message. Raises TimeoutError when Redis is silent although it was asked."""
        message = await channel.get_message(timeout=SILENT_SECONDS)
        if message is None:
            await channel.ping()
            message = await channel.get_message(timeout=CALL_SECONDS)
        if message is None:
            raise TimeoutError("Redis is silent")
        # The client connects and subscribes again by itself, and says so by no more than this: what came meanwhile is
        # in the set.
        if message["type"] == "subscribe" or message["data"] == ANEW:
            await self._read()
        elif message["type"] == "message":
            self._take(message["data"])

    async def _read(self) -> None:
        """The whole set, a page at a time."""
        cursor = 0
        while True:
            async with asyncio.timeout(CALL_SECONDS):
                cursor, page = await self._cache.zscan(KEY, cursor, count=PAGE)
            for entry, _ in page:
                self._take(entry)
            if cursor == 0:
                break
        self.known.complete = True
        self._trouble.is_over()

    def _take(self, data: bytes) -> None:
        with suppress(msgspec.DecodeError):  # of a newer version: it is in the store, and the next one reads it
            one = _decode(data)
            if self.known.add(one) and self._on_new is not None:
                self._on_new(one)
