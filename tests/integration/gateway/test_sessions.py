"""A user's open sessions: listed and ended through the presence service, closed by the gateway that holds them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis
from tests.support.chat import Frame, Plane, token_for
from tests.support.servers import Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_workloads.common import presence_keys as keys


@pytest.fixture
async def presence(plane: Plane) -> InProcess:
    return await plane.presence()


@pytest.fixture
async def redis(valkey_server: Valkey) -> AsyncIterator[Any]:
    async with Redis.from_url(valkey_server.url) as client:
        yield client


def _as(user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_for(user_id)}"}


async def _list(http: ClientSession, presence: InProcess, user_id: str) -> list[Frame]:
    async with http.get(f"{presence.url}/sessions", headers=_as(user_id)) as answer:
        assert answer.status == 200, await answer.text()
        found: list[Frame] = (await answer.json())["sessions"]
        return found


async def _end(http: ClientSession, presence: InProcess, user_id: str, session_id: str) -> int:
    async with http.delete(f"{presence.url}/sessions/{session_id}", headers=_as(user_id)) as answer:
        return answer.status


async def test_sessions_on_two_gateways_are_listed_the_newest_first(
    plane: Plane, presence: InProcess, http: ClientSession
) -> None:
    one, other = await plane.gateway(), await plane.gateway()
    before = int(time.time() * 1000)
    phone = await plane.client(one, "ada", device_id="phone")
    laptop = await plane.client(other, "ada", device_id="laptop")
    await plane.client(one, "bob")
    url = f"http://127.0.0.1:{other.sse_port}/sse?token={token_for('ada')}&device_id=tv"
    async with http.get(url) as stream:
        assert stream.status == 200
        found = await eventually(lambda: _of_length(http, presence, 3))
    assert [(one["device_id"], one["kind"]) for one in found] == [("tv", "sse"), ("laptop", "ws"), ("phone", "ws")]
    assert [one["session_id"] for one in found[1:]] == [laptop.welcome["session_id"], phone.welcome["session_id"]]
    assert all(before <= one["since"] <= int(time.time() * 1000) for one in found)
    assert await eventually(lambda: _of_length(http, presence, 2)) == found[1:]


async def _of_length(http: ClientSession, presence: InProcess, length: int) -> list[Frame] | None:
    found = await _list(http, presence, "ada")
    return found if len(found) == length else None


async def test_an_ended_session_is_closed_and_its_device_goes_on_later(
    plane: Plane, presence: InProcess, http: ClientSession
) -> None:
    one, other = await plane.gateway(), await plane.gateway()
    ada = await plane.client(one, "ada", device_id="lost")
    mine = await plane.client(other, "ada", device_id="mine")
    bob = await plane.client(other, "bob")
    await bob.send(type="send_message", id="1", recipient_id="ada", content={"text": "first"})
    first = await ada.expect("message")
    await ada.send(type="received", channel=first["channel"], seq=first["seq"])
    await eventually(lambda: _of_length(http, presence, 2))

    assert await _end(http, presence, "ada", ada.welcome["session_id"]) == 204
    assert await ada.closed() == 4403
    assert ada.socket.close_reason == "ended by the user"
    (left,) = await eventually(lambda: _of_length(http, presence, 1))
    assert left["session_id"] == mine.welcome["session_id"]

    await bob.send(type="send_message", id="2", recipient_id="ada", content={"text": "second"})
    again = await plane.client(other, "ada", device_id="lost")
    assert (await again.expect("message"))["content"] == {"text": "second"}


async def test_a_stream_is_ended_too(plane: Plane, presence: InProcess, http: ClientSession) -> None:
    gateway = await plane.gateway()
    url = f"http://127.0.0.1:{gateway.sse_port}/sse?token={token_for('ada')}"
    async with http.get(url) as stream:
        (found,) = await eventually(lambda: _of_length(http, presence, 1))
        assert await _end(http, presence, "ada", found["session_id"]) == 204
        told = (await stream.content.read()).decode()
    assert 'event: close\ndata: {"code":4403,"reason":"ended by the user"}\n\n' in told


async def test_nobody_ends_what_is_not_theirs_or_not_there(
    plane: Plane, presence: InProcess, http: ClientSession, redis: Any
) -> None:
    gateway = await plane.gateway()
    ada = await plane.client(gateway, "ada")
    await eventually(lambda: _of_length(http, presence, 1))
    assert await _end(http, presence, "eve", ada.welcome["session_id"]) == 404
    assert await _end(http, presence, "ada", "no-such-session") == 404
    async with http.get(f"{presence.url}/sessions") as answer:
        assert answer.status == 401
    assert not [key async for key in redis.scan_iter("presence:end:*")]


async def test_a_gateway_that_lost_its_lease_registers_the_same_sessions_again(
    plane: Plane, presence: InProcess, http: ClientSession, redis: Any
) -> None:
    ada = await plane.client(await plane.gateway(), "ada", device_id="phone")
    found = await eventually(lambda: _of_length(http, presence, 1))
    await redis.flushall()
    assert await eventually(lambda: _of_length(http, presence, 1)) == found
    assert await _end(http, presence, "ada", ada.welcome["session_id"]) == 204
    assert await ada.closed() == 4403


async def test_what_an_older_gateway_wrote_is_listed_and_what_a_dead_one_left_is_not(
    presence: InProcess, http: ClientSession, redis: Any
) -> None:
    await redis.set(keys.lease("old.1"), b"1", px=keys.LEASE_MS)
    await redis.hset(keys.user("ada"), keys.field("old.1", "s1"), 1790000000000)
    await redis.hset(keys.user("ada"), keys.field("dead.1", "s2"), "1790000000000|ws|phone")
    told = {"session_id": "s1", "device_id": None, "since": 1790000000000, "kind": None}
    assert await _list(http, presence, "ada") == [told]
    assert await _end(http, presence, "ada", "s2") == 404
