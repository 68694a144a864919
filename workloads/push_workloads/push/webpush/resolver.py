"""Names of push services. What whoever registers a device may name leads to the internet and nowhere else, and a name
server of hers that is slow holds up nobody's look-ups but a stranger's."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from socket import AF_INET, AI_ADDRCONFIG, AI_NUMERICHOST, AI_NUMERICSERV, SOCK_STREAM, AddressFamily
from typing import Final

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from push_workloads.push.addresses import ForbiddenAddress, is_public
from push_workloads.push.posting import CONNECT_SECONDS
from push_workloads.push.webpush.strangers import is_known

THREADS: Final = 4


class PublicResolver(AbstractResolver):
    """Resolves names to addresses of the internet and to no others. The connection is made to the very addresses that
    were looked at here, so a name that changes its mind gains nothing.

    The loop itself looks up few names at once, for all that the process does: strangers have threads of their own."""

    def __init__(self, private_hosts: frozenset[str]) -> None:
        self._private_hosts = private_hosts
        self._known = ThreadedResolver()
        self._threads = ThreadPoolExecutor(THREADS, "names")

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        """Raises ForbiddenAddress, and OSError (TimeoutError, too) for what cannot be resolved."""
        if host in self._private_hosts:
            return await self._known.resolve(host, port, family)
        found = await (self._known.resolve if is_known(host) else self._stranger)(host, port, family)
        if not all(is_public(one["host"]) for one in found):
            raise ForbiddenAddress("it has an address that is not of the internet")
        return found

    async def _stranger(self, host: str, port: int, family: AddressFamily) -> list[ResolveResult]:
        """What waits for a thread too long is not looked up any more."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            infos = await loop.run_in_executor(
                self._threads, socket.getaddrinfo, host, port, family, SOCK_STREAM, 0, AI_ADDRCONFIG
            )
        numeric = AI_NUMERICHOST | AI_NUMERICSERV
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=protocol, flags=numeric
            )
            for kind, _, protocol, _, address in infos
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._known.close()
