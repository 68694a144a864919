"""Sessions over HTTP and on gateways: refresh, revocation everywhere, and what happens without Redis."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis
from tests.support.chat import TOKENS, Client, Plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, environ_for, in_process
from tests.support.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from push_workloads.common.revoking import KEY
from push_workloads.gateway import codes

ADA = {"email": "ada@example.com", "password": "correct horse"}
Body = dict[str, Any]


class World:
    """All that checks tokens."""

    def __init__(self, http: ClientSession, plane: Plane, services: dict[str, InProcess]) -> None:
        self.http, self.plane, self.services = http, plane, services

    async def ask(self, method: str, path: str, body: Body | None = None, token: str | None = None) -> tuple[int, Body]:
        """Of the auth service."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        async with self.http.request(method, self.services["auth"].url + path, json=body, headers=headers) as answer:
            return answer.status, (await answer.json()) if answer.status != 204 else {}

    async def register(self) -> Body:
        status, made = await self.ask("POST", "/auth/register", ADA)
        assert status == 201, made
        return made

    async def login(self, device: str) -> Body:
        status, made = await self.ask("POST", "/auth/login", ADA | {"device": device})
        assert status == 200, made
        return made

    async def refresh(self, text: str) -> tuple[int, Body]:
        return await self.ask("POST", "/auth/refresh", {"refresh_token": text})

    async def verdicts(self, token: str) -> dict[str, int]:
        """What each service answers to a token."""
        paths = {"auth": "/auth/me", "message": "/conversations", "presence": "/sessions", "push": "/devices"}
        told = {}
        for name, path in paths.items():
            headers = {"Authorization": f"Bearer {token}"}
            async with self.http.get(self.services[name].url + path, headers=headers) as answer:
                told[name] = answer.status
        for name in ("gateway", "other"):
            told[name] = await _handshake(self.services[name], token)
        return told


async def _handshake(gateway: InProcess, token: str) -> int:
    try:
        async with connect(f"{gateway.url.replace('http', 'ws')}/ws?token={token}"):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest.fixture
async def world(
    plane: Plane, http: ClientSession, operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path
) -> AsyncIterator[World]:
    redis = {"REDIS_URL": valkey_server.url}
    environs = {
        "auth": environ_for(SQLITE_PATH=str(tmp_path / "accounts.db"), **redis),
        "presence": environ_for(**redis, **operators_nats_server.environ_of("presence")),
        "push": environ_for(
            SQLITE_PATH=str(tmp_path / "devices.db"), **redis, **operators_nats_server.environ_of("push")
        ),
    }
    async with AsyncExitStack() as stack:
        made = {name: await stack.enter_async_context(in_process(name, environ)) for name, environ in environs.items()}
        made |= {"gateway": await plane.gateway(), "other": await plane.gateway(), "message": plane.messages[0]}
        await made["auth"].ready()
        await made["presence"].ready()
        yield World(http, plane, made)


async def _in(world: World, name: str, signed: Body) -> Client:
    return await world.plane.client(world.services[name], "", token=signed["access_token"])


EVERYWHERE = {"auth": 200, "message": 200, "presence": 200, "push": 200, "gateway": 101, "other": 101}
NOWHERE = dict.fromkeys(EVERYWHERE, 401)


async def test_a_session_goes_on_with_its_refresh_token(world: World) -> None:
    made = await world.register()
    status, again = await world.refresh(made["refresh_token"])
    assert status == 200
    assert again.keys() == made.keys()
    assert again["user"] == made["user"]
    assert await world.verdicts(again["access_token"]) == EVERYWHERE
    assert await world.verdicts(made["access_token"]) == EVERYWHERE  # until it expires
    status, listed = await world.ask("GET", "/auth/sessions", token=again["access_token"])
    assert (status, len(listed["sessions"])) == (200, 1)
    (one,) = listed["sessions"]
    assert one.keys() == {"id", "device", "address", "created_at", "seen_at", "current"}
    assert (one["address"], one["current"]) == ("127.0.0.1", True)
    assert one["device"].startswith("Python/")
    for text in ("", "x", "u.l.1." + "m" * 43, made["refresh_token"][:-1]):
        assert (await world.refresh(text))[0] == 401


async def test_a_logout_is_heard_everywhere_in_a_moment(world: World) -> None:
    phone, laptop = await world.register(), await world.login("laptop")
    sockets = [await _in(world, name, phone) for name in ("gateway", "other")]
    stays = await _in(world, "other", laptop)
    began = time.monotonic()
    assert (await world.ask("POST", "/auth/logout", {"refresh_token": phone["refresh_token"]}))[0] == 204
    assert [await one.closed() for one in sockets] == [codes.TOKEN_EXPIRED] * 2
    assert time.monotonic() - began < 1
    assert await world.verdicts(phone["access_token"]) == NOWHERE
    assert (await world.refresh(phone["refresh_token"]))[0] == 401
    assert await world.verdicts(laptop["access_token"]) == EVERYWHERE
    assert await stays.nothing_but_pong() == []


async def test_sessions_are_seen_and_ended_from_another(world: World) -> None:
    signed = [await world.register(), await world.login("Ada's laptop"), await world.login("tablet")]
    laptop = signed[1]["access_token"]
    _, listed = await world.ask("GET", "/auth/sessions", token=laptop)
    by_device = {one["device"]: one for one in listed["sessions"]}
    assert [name for name, one in by_device.items() if one["current"]] == ["Ada's laptop"]
    assert (await world.ask("DELETE", "/auth/sessions/none", token=laptop))[0] == 404
    tablet = await _in(world, "gateway", signed[2])
    assert (await world.ask("DELETE", f"/auth/sessions/{by_device['tablet']['id']}", token=laptop))[0] == 204
    assert await tablet.closed() == codes.TOKEN_EXPIRED
    first = await _in(world, "gateway", signed[0])
    assert (await world.ask("DELETE", "/auth/sessions", token=laptop))[0] == 204
    assert await first.closed() == codes.TOKEN_EXPIRED
    _, listed = await world.ask("GET", "/auth/sessions", token=laptop)
    assert [one["device"] for one in listed["sessions"]] == ["Ada's laptop"]
    assert await world.verdicts(laptop) == EVERYWHERE


async def test_nobody_ends_the_session_of_another(world: World) -> None:
    made = await world.register()
    (one,) = (await world.ask("GET", "/auth/sessions", token=made["access_token"]))[1]["sessions"]
    eve = token_for("eve")
    assert (await world.ask("DELETE", f"/auth/sessions/{one['id']}", token=eve))[0] == 404
    assert (await world.ask("GET", "/auth/sessions", token=eve))[1] == {"sessions": []}
    assert await world.verdicts(made["access_token"]) == EVERYWHERE


async def test_who_comes_later_knows_it_and_who_lost_redis_still_does(
    world: World, valkey_server: Valkey, tmp_path: Path
) -> None:
    made = await world.register()
    assert (await world.ask("POST", "/auth/logout", {"refresh_token": made["refresh_token"]}))[0] == 204
    late = await world.plane.gateway()
    assert await _handshake(late, made["access_token"]) == 401
    # All that Redis held is gone: the accounts' store has it still.
    async with Redis.from_url(valkey_server.url) as redis:
        await redis.flushall()

        async def is_back() -> bool:
            return bool(await redis.zcard(KEY))

        await eventually(is_back)
    assert await world.verdicts(made["access_token"]) == NOWHERE
    later = await world.plane.gateway()
    assert await _handshake(later, made["access_token"]) == 401


async def test_what_ends_while_redis_is_away_is_heard_when_it_is_back(world: World, valkey_server: Valkey) -> None:
    made = await world.register()
    socket = await _in(world, "gateway", made)
    await valkey_server.kill()
    assert (await world.ask("POST", "/auth/logout", {"refresh_token": made["refresh_token"]}))[0] == 204
    assert (await world.refresh(made["refresh_token"]))[0] == 401
    await valkey_server.start()
    assert await socket.closed(within=15) == codes.TOKEN_EXPIRED

    async def refused() -> bool:
        return await world.verdicts(made["access_token"]) == NOWHERE

    await eventually(refused)


async def test_a_socket_outlives_its_token_with_a_newer_one(world: World) -> None:
    now = int(time.time())
    short = TOKENS.issue("ada", now - 3600 + 3, "t1")  # three seconds are left
    staying, going = [await world.plane.client(world.services["gateway"], "ada", token=short) for _ in range(2)]
    await staying.send(type="refresh", id="1", token="nonsense")
    assert (await staying.expect("error", id="1"))["code"] == "unauthorized"
    await staying.send(type="refresh", id="2", token=token_for("eve"))
    assert (await staying.expect("error", id="2"))["code"] == "forbidden"
    longer = TOKENS.issue("ada", now, "t2")
    await staying.send(type="refresh", id="3", token=longer)
    assert (await staying.expect("refreshed", id="3"))["expires_at"] == (now + 3600) * 1000
    assert await going.closed(within=10) == codes.TOKEN_EXPIRED
    assert await staying.nothing_but_pong() == []
