"""Calls of the message service over HTTP, by a user, and what a gateway asks it over the bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nats
from aiohttp import ClientSession
from nats.aio.client import Client

from tests.support.chat import token_for
from tests.support.servers import Nats
from tests.support.services import InProcess

KINDS = ("u", "g", "t")


async def call(
    http: ClientSession, message: InProcess, user_id: str, method: str, path: str, body: Any = None, **query: Any
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token_for(user_id)}"}
    async with http.request(method, message.url + path, json=body, params=query, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def say(http: ClientSession, message: InProcess, user_id: str, **fields: Any) -> dict[str, Any]:
    """A message that is stored; its result."""
    status, answer = await call(http, message, user_id, "POST", "/messages", fields)
    assert status == 200, answer
    result: dict[str, Any] = answer["results"][0]
    return result


@asynccontextmanager
async def on_the_bus(server: Nats, service: str) -> AsyncIterator[Client]:
    """A connection with the rights of a service."""
    environ = server.environ_of(service)
    prefix = f"_INBOX_{service}".encode()
    client = await nats.connect(
        environ["NATS_URL"], user=service, password=environ["NATS_PASSWORD"], inbox_prefix=prefix
    )
    try:
        yield client
    finally:
        await client.close()


class Gateway:
    """What a gateway hears and asks, without one. `told`: the receipts, each with the subject it came on."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.told: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._fences: asyncio.Queue[None] = asyncio.Queue()

    async def listen(self) -> None:
        async def heard(message: Any) -> None:
            if message.subject.endswith(".fence"):
                self._fences.put_nowait(None)
            elif message.subject.startswith("eph."):
                self.told.put_nowait((message.subject, json.loads(message.data)))

        for kind in KINDS:
            await self._client.subscribe(f"*.{kind}.*", cb=heard)
        await self._client.flush()

    async def fence(self) -> None:
        """What was told before this is in `told` when it returns."""
        for kind in KINDS:
            await self._client.publish(f"eph.{kind}.fence", b"")
        for _ in KINDS:
            await self._fences.get()

    async def last(self, subject: str) -> tuple[str, int]:
        """Epoch and seq of the last message of a channel."""
        info = await self._ask("$JS.API.STREAM.INFO.LOG_0", {})
        found = await self._ask("$JS.API.STREAM.MSG.GET.LOG_0", {"last_by_subj": f"log.0.{subject}"})
        return info["config"]["metadata"]["epoch"], found["message"]["seq"]

    async def ask(self, subject: str, question: msgspec.Struct) -> dict[str, Any]:
        return await self._ask(subject, question)

    async def _ask(self, subject: str, question: object) -> dict[str, Any]:
        answer = await self._client.request(subject, msgspec.json.encode(question), timeout=5)
        made: dict[str, Any] = json.loads(answer.data)
        return made


@asynccontextmanager
async def listening_gateway(server: Nats) -> AsyncIterator[Gateway]:
    async with on_the_bus(server, "gateway") as client:
        gateway = Gateway(client)
        await gateway.listen()
        yield gateway
