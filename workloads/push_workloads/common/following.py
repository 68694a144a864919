"""How service credentials reach every process: all of them as one value in Redis, with a short version beside it.

Each process asks for the version twice a second and reads the value when it is another one; what it knows it keeps
while Redis is away. The truth is in the accounts' store: the auth service writes the value whenever it differs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Any, Final

from push_workloads.common.cache import CALL_SECONDS
from push_workloads.common.credentials import Credential, Credentials, decoded, encoded
from push_workloads.common.looking import Trouble, look_again

KEY: Final = "auth:credentials"
VERSION: Final = "auth:credentials:version"
LOOK_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)


async def tell(cache: Any, credentials: list[Credential]) -> None:
    """From now on these are good and no others. Raises what the Redis client raises."""
    value = encoded(credentials)
    version = hashlib.blake2b(value, digest_size=8).hexdigest().encode()
    async with asyncio.timeout(CALL_SECONDS):
        if await cache.get(VERSION) != version:
            await cache.mset({KEY: value, VERSION: version})


class Following:
    """What this process knows of it."""

    def __init__(self, cache: Any) -> None:
        self.known = Credentials()
        self._cache = cache
        self._version: bytes | None = None

    async def run(self) -> None:
        """Until cancelled."""
        await look_again(self._look, lambda: asyncio.sleep(LOOK_SECONDS), Trouble(_log, "credentials are not read"))

    async def _look(self) -> None:
        async with asyncio.timeout(CALL_SECONDS):
            version = await self._cache.get(VERSION)
            if version is None or version == self._version:
                return
            version, value = await self._cache.mget(VERSION, KEY)
        if value is not None:
            self.known.replace(decoded(value))
            self._version = version
