"""A WebSocket client for tests, and the data plane (gateways and the message service) over real servers."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from push_workloads.common.config import TokenConfig
from push_workloads.common.ids import uuid7
from push_workloads.common.tokens import Tokens
from tests.support.servers import Nats, Valkey
from tests.support.services import SECRET, InProcess, OwnProcess, environ_for, in_process

TOKENS = Tokens(TokenConfig(secret=SECRET.encode(), ttl_seconds=3600, issuer="pushcluster"))
Frame = dict[str, Any]


def token_for(user_id: str, *, ttl_seconds: int = 3600) -> str:
    """An access token as the auth service would issue it."""
    tokens = Tokens(TokenConfig(secret=SECRET.encode(), ttl_seconds=ttl_seconds, issuer="pushcluster"))
    return tokens.issue(user_id, int(time.time()), uuid7(time.time_ns() // 1_000_000, os.urandom(10)))


class Client:
    """One socket. Frames that a `expect` did not ask for stay, in order, for the next one."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: Frame = {}
        self._kept: list[Frame] = []

    async def send(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def expect(self, kind: str, /, *, within: float = 5.0, **fields: Any) -> Frame:
        """The next frame of this type whose fields are these."""
        async with asyncio.timeout(within):
            frame: Frame
            for number, frame in enumerate(self._kept):
                if _fits(frame, kind, fields):
                    return self._kept.pop(number)
            while True:
                frame = json.loads(await self.socket.recv())
                if _fits(frame, kind, fields):
                    return frame
                self._kept.append(frame)

    async def answer(self, identifier: str, *, within: float = 10.0) -> Frame:
        """The ack or the error that repeats this id."""
        async with asyncio.timeout(within):
            while True:
                frame: Frame = json.loads(await self.socket.recv())
                if frame.get("id") == identifier:
                    return frame
                self._kept.append(frame)

    async def closed(self, *, within: float = 5.0) -> int:
        """Reads to the end; the close code."""
        async with asyncio.timeout(within):
            with suppress(ConnectionClosed):
                while True:
                    self._kept.append(json.loads(await self.socket.recv()))
        return self.socket.close_code or 0

    async def nothing_but_pong(self) -> list[Frame]:
        """What arrived besides, up to the answer to a ping sent now: an empty list means that nothing did."""
        await self.send(type="ping", id="fence")
        await self.expect("pong", id="fence")
        kept, self._kept = self._kept, []
        return kept


def _fits(frame: Frame, kind: str, fields: Frame) -> bool:
    return frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items())


class Plane:
    """Gateways and the message service of one test."""

    def __init__(self, nats: Nats, valkey: Valkey, folder: Path, stack: AsyncExitStack) -> None:
        self._nats = nats
        self._valkey = valkey
        self._folder = folder
        self._stack = stack
        self.messages: list[InProcess] = []

    async def gateway(self, **environ: str) -> InProcess:
        """One more gateway, ready."""
        return await self._ready(in_process("gateway", self.gateway_environ(**environ)))

    async def gateway_of_a_pod(self, **environ: str) -> InProcess:
        """The same with an address of its own."""
        return await self._ready(in_process("gateway", self.gateway_environ(**environ), own_address=True))

    async def _ready(self, running: AbstractAsyncContextManager[InProcess]) -> InProcess:
        made = await self._stack.enter_async_context(running)
        await made.ready()
        return made

    def gateway_environ(self, **environ: str) -> Frame:
        return environ_for(REDIS_URL=self._valkey.url, **self._nats.environ_of("gateway"), **environ)

    async def message(self, **environ: str) -> InProcess:
        """A message service on this test's history, ready: it makes the log that gateways wait for."""
        given = environ_for(
            SQLITE_PATH=str(self._folder / "history.db"),
            REDIS_URL=self._valkey.url,
            LOG_MAX_BYTES=str(64 * 1024 * 1024),
            **self._nats.environ_of("message"),
        )
        made = await self._ready(in_process("message", given | environ))
        self.messages.append(made)
        return made

    async def presence(self, **environ: str) -> InProcess:
        """A presence service that sweeps at once."""
        own = {"SETTLE_SECONDS": "0", "REDIS_URL": self._valkey.url, **self._nats.environ_of("presence")}
        return await self._ready(in_process("presence", environ_for(**{**own, **environ})))

    async def client(
        self,
        gateway: InProcess | OwnProcess,
        user_id: str,
        *,
        device_id: str | None = None,
        query: str = "",
        token: str | None = None,
        **options: Any,
    ) -> Client:
        """A welcome client; its socket is closed at the end of the test. `token`: where not just any of the user's."""
        url = f"{gateway.url.replace('http', 'ws')}/ws?token={token or token_for(user_id)}{query}"
        if device_id is not None:
            url += f"&device_id={device_id}"
        socket = await self._stack.enter_async_context(connect(url, compression=None, **options))
        client = Client(socket)
        client.welcome = await client.expect("welcome")
        return client


@asynccontextmanager
async def data_plane(nats: Nats, valkey: Valkey, folder: Path) -> AsyncIterator[Plane]:
    async with AsyncExitStack() as stack:
        yield Plane(nats, valkey, folder, stack)
