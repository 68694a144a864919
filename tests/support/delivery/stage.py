"""The platform of the checker: real processes that can be killed and come back."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from redis.asyncio import Redis

from push_workloads.common.cursor_keys import cursor_key
from tests.support.cassandra import CassandraServer
from tests.support.chat import token_for
from tests.support.servers import Nats, Server, Valkey, operators_nats, running
from tests.support.services import OwnProcess, environ_for, launch
from tests.support.waiting import eventually

TOPIC: Final = "topic:wall"
POLICIES: Final = json.dumps([{"prefix": "wall", "read": "everyone", "write": "everyone"}])
ASK_SECONDS: Final = 180.0  # a Cassandra on a busy machine takes its time
KEYSPACE: Final = "services"


class Stage:
    """Two gateways, NATS, Valkey, and a message service; on Cassandra two of these."""

    def __init__(self, folder: Path, http: ClientSession, cassandra: CassandraServer | None) -> None:
        self._folder = folder
        self._http = http
        self._cassandra = cassandra
        self.nats: Nats = operators_nats(folder / "nats")
        self.valkey = Valkey(folder / "valkey")
        self.services = ("message-0", *(("message-1",) if cassandra is not None else ()), "gateway-0", "gateway-1")
        self._running: dict[str, OwnProcess] = {}
        self._turns = itertools.count()

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(running(self.nats))
            await stack.enter_async_context(running(self.valkey))
            stack.push_async_callback(self._end_all)
            if self._cassandra is not None:
                await self._cassandra.emptied(KEYSPACE)
            for name in self.services:
                await self._start(name)
            yield

    def gateways(self) -> list[str]:
        return [made.url.replace("http", "ws") for name, made in self._running.items() if name.startswith("gateway")]

    async def ask(
        self, user: str, method: str, path: str, body: Any = None, may: tuple[int, ...] = (200, 201, 204)
    ) -> Any:
        """Of the message services in turn, as a client asks: again while the platform is away. AssertionError when it
        stays away, or refuses."""
        deadline = asyncio.get_running_loop().time() + ASK_SECONDS
        while True:
            status, answer = await self._ask(user, method, path, body)
            if status in may:
                return answer
            assert status in (0, 429, 503), f"{method} {path}: {status} {answer}"
            assert asyncio.get_running_loop().time() < deadline, f"{method} {path}: {status} {answer}"
            await asyncio.sleep(0.2)

    async def _ask(self, user: str, method: str, path: str, body: Any) -> tuple[int, Any]:
        services = [made.url for name, made in self._running.items() if name.startswith("message")]
        url = services[next(self._turns) % len(services)] + path
        headers = {"Authorization": f"Bearer {token_for(user)}"}
        try:
            async with self._http.request(method, url, json=body, headers=headers, timeout=_TIMEOUT) as answer:
                return answer.status, await answer.json() if answer.status != 204 else None
        except (ClientError, TimeoutError) as error:
            return 0, error

    def disasters(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Each kills one process and returns when it is ready again."""

        def server(which: Server) -> Callable[[], Awaitable[None]]:
            async def crash() -> None:
                await which.kill()
                await asyncio.sleep(0.5)  # so that it is missed
                await which.start()
                for made in self._running.values():
                    await made.ready(self._http)

            return crash

        def service(name: str) -> Callable[[], Awaitable[None]]:
            async def crash() -> None:
                await self._kill(name)
                await self._start(name)

            return crash

        servers: dict[str, Server] = {"nats": self.nats, "valkey": self.valkey}
        if self._cassandra is not None:
            servers["cassandra"] = self._cassandra
        services = {name: service(name) for name in self.services}
        return services | {name: server(made) for name, made in servers.items()}

    async def swap(self, name: str, *, first: bool) -> int:
        """Ends a service as a rolling update does, with another in its place, started `first` or when it is gone; the
        exit code."""
        old = self._running[name]
        if first:
            await self._start(name)
            return await old.stop()
        code = await old.stop()
        await self._start(name)
        return code

    async def knows(self, user: str, device: str, channel: str) -> bool:
        """Is the device's cursor kept?"""
        async with Redis.from_url(self.valkey.url) as redis:
            return bool(await redis.hexists(cursor_key(user, device), channel))

    async def _start(self, name: str) -> None:
        service = name.partition("-")[0]
        store = {"SQLITE_PATH": str(self._folder / "history.db")}
        if self._cassandra is not None:
            store = self._cassandra.environ(KEYSPACE)
        environ = environ_for(
            REDIS_URL=self.valkey.url,
            LOG_MAX_BYTES=str(128 * 1024 * 1024),
            FRAMES_PER_SECOND="1000",
            FRAMES_BURST="1000",
            MESSAGES_PER_SECOND="1000",
            TOPIC_POLICIES=POLICIES,
            **store,
            **self.nats.environ_of(service),
        )
        made = launch(service, environ, self._folder / f"{name}.log")
        try:
            await made.ready(self._http)
        except BaseException:
            made.child.kill()
            raise
        self._running[name] = made

    async def _kill(self, name: str) -> None:
        child = self._running[name].child
        child.kill()
        await asyncio.to_thread(child.wait)

    async def _end_all(self) -> None:
        for name in self._running:
            await self._kill(name)


_TIMEOUT: Final = ClientTimeout(total=10)


@asynccontextmanager
async def stage(folder: Path, cassandra: CassandraServer | None) -> AsyncIterator[Stage]:
    async with ClientSession() as http:
        made = Stage(folder, http, cassandra)
        async with made.up():
            yield made


async def all_known(made: Stage, places: list[tuple[str, str, str]]) -> None:
    for user, device, channel in places:
        await eventually(partial(made.knows, user, device, channel))
