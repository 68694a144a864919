"""Bodies that take their time: whoever sends one is looked at again when it is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from push_workloads.common import http
from push_workloads.common.errors import Unauthorized
from push_workloads.common.http import Call, Route, application
from push_workloads.common.tokens import Identity

HEAD = b"POST /words HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 12\r\n\r\n"
BODY = b'{"text":"x"}'


class Words(msgspec.Struct):
    text: str


class Door:
    """Lets in until it is shut. `asked`: it was, so often."""

    def __init__(self) -> None:
        self.shut = False
        self.asked = 0
        self.knocked = asyncio.Event()

    def verify(self, text: str | None) -> Identity:
        self.asked += 1
        self.knocked.set()
        if self.shut:
            raise Unauthorized("revoked")
        return Identity("ada", 2**40)


async def _said(call: Call) -> Words:
    said: Words = call.body
    return said


@asynccontextmanager
async def _request(door: Door, head: bytes = HEAD) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Its headers are there."""
    routes = [Route("POST", "/words", _said, "Says it again", Words, body=Words)]
    async with TestServer(application("some", routes, door, (), CollectorRegistry())) as server:
        assert server.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head)
        await door.knocked.wait()
        yield reader, writer
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(("shut", "status"), [(False, b"200"), (True, b"401")])
async def test_a_token_that_is_revoked_while_its_body_comes_is_refused(shut: bool, status: bytes) -> None:
    door = Door()
    async with _request(door) as (reader, writer):
        door.shut = shut
        writer.write(BODY)
        assert (await reader.readline()).split()[1] == status
    assert door.asked == 2


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.05)
    async with _request(Door()) as (reader, writer):
        writer.write(BODY[:3])
        assert (await reader.readline()).split()[1] == b"400"


async def test_a_body_that_came_with_its_head_asks_for_no_second_look() -> None:
    door = Door()
    async with _request(door, HEAD + BODY) as (reader, _):
        assert (await reader.readline()).split()[1] == b"200"
    assert door.asked == 1
