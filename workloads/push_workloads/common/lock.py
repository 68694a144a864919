"""One active replica, through a lock in Redis that ends by itself."""

from __future__ import annotations

import secrets
from typing import Any, Final

# KEYS[1] the lock, ARGV[1] its holder's token. Compare and act in one step: the lock may have changed hands.
_RENEW_LUA: Final = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
_RELEASE_LUA: Final = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class Lock:
    """Held for `expiry_ms` from each `hold` that said True."""

    def __init__(self, cache: Any, key: str, expiry_ms: int) -> None:
        self._cache = cache
        self._key = key
        self._expiry_ms = expiry_ms
        self._token = secrets.token_hex(16)

    async def hold(self) -> bool:
        """Takes the lock or keeps it; whether it is ours now."""
        if await self._cache.set(self._key, self._token, nx=True, px=self._expiry_ms):
            return True
        return bool(await self._cache.eval(_RENEW_LUA, 1, self._key, self._token, self._expiry_ms))

    async def release(self) -> None:
        """Gives it up, if it is ours, so that another replica need not wait for its end."""
        await self._cache.eval(_RELEASE_LUA, 1, self._key, self._token)
