"""The platform of the checker: real processes that can be killed and come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from aiohttp import ClientSession
from redis.asyncio import Redis

from push_workloads.gateway.cursors import cursor_key
from tests.support.servers import Nats, Valkey, operators_nats, running
from tests.support.services import OwnProcess, environ_for, launch
from tests.support.waiting import eventually


class Stage:
    """Two gateways, a message service, NATS and Valkey."""

    def __init__(self, folder: Path, http: ClientSession) -> None:
        self._folder = folder
        self._http = http
        self.nats: Nats = operators_nats(folder / "nats")
        self.valkey = Valkey(folder / "valkey")
        self._services: dict[str, OwnProcess] = {}

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(self.nats))
            await stack.enter_async_context(running(self.valkey))
            stack.push_async_callback(self._end_all)
            for name in ("message", "gateway-0", "gateway-1"):
                await self._start(name)
            yield

    def gateways(self) -> list[str]:
        running = [made for name, made in self._services.items() if name.startswith("gateway")]
        return [made.url.replace("http", "ws") for made in running]

    def disasters(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Each kills one process and returns when it is ready again."""

        def server(which: Nats | Valkey) -> Callable[[], Awaitable[None]]:
            async def crash() -> None:
                await which.kill()
                await asyncio.sleep(0.5)  # so that it is missed
                await which.start()
                for made in self._services.values():
                    await made.ready(self._http)

            return crash

        def service(name: str) -> Callable[[], Awaitable[None]]:
            async def crash() -> None:
                await self._kill(name)
                await self._start(name)

            return crash

        services = {name: service(name) for name in ("gateway-0", "gateway-1", "message")}
        return services | {"nats": server(self.nats), "valkey": server(self.valkey)}

    async def knows(self, user: str, device: str) -> bool:
        """Is the device's cursor kept?"""
        async with Redis.from_url(self.valkey.url) as redis:
            return bool(await redis.hexists(cursor_key(user, device), f"user:{user}"))

    async def _start(self, name: str) -> None:
        service = name.partition("-")[0]
        environ = environ_for(
            REDIS_URL=self.valkey.url,
            SQLITE_PATH=str(self._folder / "history.db"),
            LOG_MAX_BYTES=str(128 * 1024 * 1024),
            FRAMES_PER_SECOND="1000",
            FRAMES_BURST="1000",
            **self.nats.environ_of(service),
        )
        self._services[name] = made = launch(service, environ, self._folder / f"{name}.log")
        await made.ready(self._http)

    async def _kill(self, name: str) -> None:
        child = self._services[name].child
        child.kill()
        await asyncio.to_thread(child.wait)

    async def _end_all(self) -> None:
        for name in self._services:
            await self._kill(name)


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    async with ClientSession() as http:
        made = Stage(folder, http)
        async with made.up():
            yield made


async def all_known(made: Stage, devices: list[tuple[str, str]]) -> None:
    for user, device in devices:
        await eventually(partial(made.knows, user, device))
