"""Server-Sent Events over a real gateway: what a listener gets, and what it gets when it comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, ClientTimeout
from tests.integration.gateway.test_resuming import FAST, say
from tests.support.chat import Frame, Plane, data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

ORIGIN = "http://page.test"


class Listener:
    """An EventSource: events with their ids."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.last_id = ""

    async def next(self, kind: str | None = None) -> Frame:
        """The data of the next event, or of the next whose frame is of that type."""
        async with asyncio.timeout(5):
            while True:
                event, frame = await self._event()
                if event == "message" and (kind is None or frame["type"] == kind):
                    return frame

    async def end(self) -> Frame:
        """The data of the `close` event, after which the connection ends."""
        async with asyncio.timeout(10):
            while True:
                event, frame = await self._event()
                if event == "close":
                    assert await self.response.content.read() == b""
                    return frame

    async def _event(self) -> tuple[str, Frame]:
        event, data = "message", ""
        while True:
            line = (await self.response.content.readline()).decode()
            assert line, "the connection ended"
            name, _, value = line.strip().partition(": ")
            if not line.strip() and data:
                return event, json.loads(data)
            if name == "id":
                self.last_id = value
            elif name == "event":
                event = value
            elif name == "data":
                data += value


@asynccontextmanager
async def listening(port: int, user_id: str, *, last_id: str = "", query: str = "") -> AsyncIterator[Listener]:
    headers = {"Origin": ORIGIN, **({"Last-Event-ID": last_id} if last_id else {})}
    url = f"http://127.0.0.1:{port}/sse?token={token_for(user_id)}{query}"
    async with ClientSession(timeout=ClientTimeout(total=60)) as http, http.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        yield Listener(response)


async def with_sse(plane: Plane, **environ: str) -> tuple[InProcess, int]:
    gateway = await plane.gateway(ALLOWED_ORIGINS=ORIGIN, **environ)
    return gateway, gateway.sse_port


async def test_a_listener_comes_back_to_another_gateway_and_misses_nothing(plane: Plane) -> None:
    (here, first), (_, second) = await with_sse(plane, **FAST), await with_sse(plane)
    ann = await plane.client(here, "ann")
    async with listening(first, "bob") as bob:
        welcome = await bob.next("welcome")
        assert (welcome["user_id"], welcome["resumes"]) == ("bob", False)
        assert bob.last_id
        await say(ann, "one", {"text": "two\nlines"})
        assert (await bob.next("message"))["content"] == "one"
        assert (await bob.next("message"))["content"] == {"text": "two\nlines"}
        last_id = bob.last_id
    await eventually(lambda: here.metric("push_gateway_connections") == 1)
    await say(ann, *range(250))
    async with listening(second, "bob", last_id=last_id) as bob:
        assert (await bob.next("welcome"))["resumes"]
        assert (await bob.next("subscribed"))["recovered"]
        assert [(await bob.next("message"))["content"] for _ in range(250)] == list(range(250))
        await say(ann, "live")
        assert (await bob.next("message"))["content"] == "live"


async def test_a_listener_with_a_device_goes_on_where_the_device_stopped(plane: Plane) -> None:
    gateway, port = await with_sse(plane)
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="tv")
    await say(ann, "seen")
    frame = await bob.expect("message")
    await bob.send(type="received", channel="user:bob", seq=frame["seq"])
    await bob.nothing_but_pong()
    await bob.socket.close()
    await eventually(lambda: gateway.metric("push_gateway_connections") == 1)
    await say(ann, "missed")
    async with listening(port, "bob", query="&device_id=tv") as listener:
        assert (await listener.next("message"))["content"] == "missed"
        newer = await plane.client(gateway, "bob", device_id="tv")
        assert (await listener.end())["code"] == 4409
        await newer.socket.close()


@pytest.mark.parametrize(
    ("query", "headers", "status", "names"),
    [
        ("token=no", {}, 401, "access token"),
        ("token=TOKEN", {"Last-Event-ID": "nonsense"}, 400, "Last-Event-ID"),
        ("token=TOKEN", {"Last-Event-ID": "1;e;u=7.1"}, 400, "Last-Event-ID"),
        ("token=TOKEN&device_id=a%20b", {}, 400, "device_id"),
        ("token=TOKEN&channels=" + ",".join(["topic:a"] * 33), {}, 400, "channels"),
        ("token=TOKEN", {"Origin": "http://other.test"}, 403, "origin"),
    ],
)
async def test_who_is_refused_reads_why(
    plane: Plane, query: str, headers: dict[str, Any], status: int, names: str
) -> None:
    _, port = await with_sse(plane)
    url = f"http://127.0.0.1:{port}/sse?{query.replace('TOKEN', token_for('bob'))}"
    async with ClientSession() as http, http.get(url, headers=headers) as response:
        assert response.status == status
        assert names in (await response.json())["error"]["message"]


async def test_a_listener_that_only_reads_is_alive(plane: Plane) -> None:
    gateway, port = await with_sse(plane, HEARTBEAT_SECONDS="1")
    ann = await plane.client(gateway, "ann")
    async with listening(port, "bob") as bob:
        await bob.next("welcome")
        for _ in range(4):  # ann is alive as she answers pings; bob by taking what he is sent
            await asyncio.wait_for(bob.response.content.readuntil(b":\n\n"), 5)
        await say(ann, "still there")
        assert (await bob.next("message"))["content"] == "still there"


async def test_a_gateway_that_goes_away_says_so(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path
) -> None:
    async with data_plane(operators_nats_server, valkey_server, tmp_path / "message") as message:
        (tmp_path / "message").mkdir()
        await message.message()
        async with AsyncExitStack() as listeners:
            async with data_plane(operators_nats_server, valkey_server, tmp_path) as gateways:
                _, port = await with_sse(gateways)
                bob = await listeners.enter_async_context(listening(port, "bob"))
                await bob.next("welcome")
            assert (await bob.next("reconnect"))["reason"] == "restart"
            assert (await bob.end())["code"] == 1012
