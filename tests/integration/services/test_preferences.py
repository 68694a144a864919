"""Quiet hours, mutes, and what became of a message, over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis
from tests.support.chat import token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, environ_for, in_process
from tests.support.waiting import eventually
from yarl import URL

from push_workloads.common.credentials import ID_BYTES, SECRET_BYTES, made
from push_workloads.common.following import tell
from push_workloads.push.deliveries import Delivery, State
from push_workloads.push.stores import sqlite_stores

SERVICE_KEY = "the service key of the Secret, long enough"
NIGHT = {"start": "22:00", "end": "07:00", "time_zone": "Europe/Zurich", "mode": "hold"}
Answer = tuple[int, dict[str, Any]]


class World:
    def __init__(self, http: ClientSession, push: InProcess, file: Path) -> None:
        self._http, self._push, self.file = http, push, file

    async def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """By ann, unless by whoever has the token."""
        headers = {"Authorization": f"Bearer {token or token_for('ann')}"}
        url = URL(self._push.url + path, encoded=True)
        async with self._http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json() if answer.status != 204 else {}

    async def mutes(self, user: str = "ann") -> dict[str, int]:
        _, answer = await self.ask("GET", "/preferences", token=token_for(user))
        mutes: dict[str, int] = answer["mutes"]
        return mutes


@pytest.fixture
async def world(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> AsyncIterator[World]:
    file = tmp_path / "devices.db"
    more = operators_nats_server.environ_of("push")
    environ = environ_for(SQLITE_PATH=str(file), REDIS_URL=valkey_server.url, SERVICE_KEY=SERVICE_KEY, **more)
    async with in_process("push", environ) as push:
        await eventually(lambda: not {"keys", "revocations"} & push.process.waiting_for().keys())
        yield World(http, push, file)


async def test_quiet_hours(world: World) -> None:
    assert await world.ask("GET", "/preferences") == (200, {"quiet": None, "mutes": {}})
    assert await world.ask("PUT", "/preferences", {"quiet": NIGHT}) == (200, {"quiet": NIGHT, "mutes": {}})
    assert (await world.ask("GET", "/preferences"))[1]["quiet"] == NIGHT
    assert (await world.ask("GET", "/preferences", token=token_for("bob")))[1]["quiet"] is None
    least = {"start": "00:00", "end": "06:30"}
    _, answer = await world.ask("PUT", "/preferences", {"quiet": least})
    assert answer["quiet"] == {**least, "time_zone": None, "mode": "silent"}
    assert (await world.ask("PUT", "/preferences", {"quiet": None}))[1]["quiet"] is None


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "quiet"),
        ({"quiet": {**NIGHT, "start": "25:00"}}, "quiet.start: "),
        ({"quiet": {**NIGHT, "end": "22:00"}}, "quiet.end: "),
        ({"quiet": {**NIGHT, "time_zone": "Europe/Atlantis"}}, "quiet.time_zone: "),
        ({"quiet": {**NIGHT, "mode": "loud"}}, "$.quiet.mode"),
    ],
)
async def test_bad_quiet_hours(world: World, body: Any, names: str) -> None:
    status, answer = await world.ask("PUT", "/preferences", body)
    assert status == 400
    assert names in answer["error"]["message"]


async def test_mutes(world: World) -> None:
    until = int(time.time() * 1000) + 60_000
    await world.ask("PUT", "/preferences", {"quiet": NIGHT})
    status, answer = await world.ask("PUT", "/preferences/mutes/user:bob", {"until": 0})
    assert (status, answer) == (200, {"quiet": NIGHT, "mutes": {"user:bob": 0}})
    await world.ask("PUT", "/preferences/mutes/group:a%20%2F%C3%A9", {"until": until})
    await world.ask("PUT", "/preferences/mutes/%2A", {"until": until})
    assert await world.mutes() == {"user:bob": 0, "group:a /é": until, "*": until}
    assert await world.mutes("bob") == {}
    for _ in range(2):
        assert (await world.ask("DELETE", "/preferences/mutes/group:a%20%2F%C3%A9"))[0] == 204
    assert (await world.ask("DELETE", "/preferences/mutes/*"))[0] == 204
    await world.ask("PUT", "/preferences", {"quiet": None})
    assert await world.mutes() == {"user:bob": 0}


async def test_a_mute_ends(world: World) -> None:
    until = int(time.time() * 1000) + 300
    await world.ask("PUT", "/preferences/mutes/user:bob", {"until": until})

    async def has_ended() -> bool:
        return await world.mutes() == {}

    await eventually(has_ended)
    assert time.time() * 1000 >= until


async def test_many_mutes_at_once_are_all_there(world: World) -> None:
    names = [f"group:{number}" for number in range(6)]
    answers = await asyncio.gather(*(world.ask("PUT", f"/preferences/mutes/{name}", {"until": 0}) for name in names))
    assert [status for status, _ in answers] == [200] * len(names)
    assert await world.mutes() == dict.fromkeys(names, 0)


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("bob", {"until": 0}, "conversation: "),
        ("topic:news", {"until": 0}, "conversation: "),
        ("user:bob", {"until": 5}, "until: "),
        ("user:bob", {}, "until"),
        ("user:bob", {"until": "tomorrow"}, "$.until"),
    ],
)
async def test_a_bad_mute(world: World, path: str, body: Any, names: str) -> None:
    status, answer = await world.ask("PUT", f"/preferences/mutes/{path}", body)
    assert status == 400
    assert names in answer["error"]["message"]
    assert await world.mutes() == {}


async def _record(world: World, *deliveries: Delivery) -> None:
    """As the part of the service does that sends."""
    async with sqlite_stores(str(world.file), lambda: 0) as stores:
        await stores.deliveries.record(deliveries)


def _sent(user: str, device: str) -> Delivery:
    return Delivery("m1", user, device, "fcm", State.SENT, None, 1_790_000_000_000, 1, "projects/p/messages/7")


async def test_a_user_sees_what_became_of_a_message_at_own_devices(world: World) -> None:
    held = Delivery("m1", "ann", "tablet", "apns", State.HELD, "quiet hours", 1_790_000_000_000)
    await _record(world, _sent("ann", "phone"), held, _sent("bob", "phone"))
    status, answer = await world.ask("GET", "/deliveries?message_id=m1")
    assert (status, answer["next"]) == (200, None)
    assert answer["deliveries"] == [
        {
            "user_id": "ann", "device_id": "phone", "platform": "fcm", "state": "sent", "reason": None,
            "at": 1_790_000_000_000, "attempts": 1, "provider_id": "projects/p/messages/7",
        },
        {
            "user_id": "ann", "device_id": "tablet", "platform": "apns", "state": "held", "reason": "quiet hours",
            "at": 1_790_000_000_000, "attempts": 0, "provider_id": None,
        },
    ]  # fmt: skip
    assert (await world.ask("GET", "/deliveries?message_id=m2"))[1]["deliveries"] == []


async def test_servers_see_it_at_all_devices_page_after_page(world: World) -> None:
    users = [f"user {number:03}" for number in range(125)]
    await _record(world, *(_sent(user, device) for user in users for device in ("a", "b")))
    seen: list[tuple[str, str]] = []
    after, pages = "", 0
    while after is not None:
        _, answer = await world.ask("GET", f"/deliveries?message_id=m1{after and f'&after={after}'}", token=SERVICE_KEY)
        seen += [(one["user_id"], one["device_id"]) for one in answer["deliveries"]]
        after, pages = answer["next"], pages + 1
    assert pages == 3
    assert seen == [(user, device) for user in users for device in ("a", "b")]


@pytest.mark.parametrize("query", ["", "?message_id=", "?message_id=%00", "?message_id=m1&after=x"])
async def test_a_bad_question(world: World, query: str) -> None:
    assert (await world.ask("GET", f"/deliveries{query}"))[0] == 400


async def test_a_credential_needs_the_scope(world: World, valkey_server: Valkey) -> None:
    pushes, sends = [
        made(scope, [scope], 1000, bytes([number]) * (ID_BYTES + SECRET_BYTES))
        for number, scope in enumerate(("push", "publish"))
    ]
    async with Redis.from_url(valkey_server.url) as redis:
        await tell(redis, [pushes[0], sends[0]])
    await _record(world, _sent("ann", "phone"))

    async def is_known() -> bool:
        return (await world.ask("GET", "/deliveries?message_id=m1", token=pushes[1]))[0] == 200

    await eventually(is_known)
    assert len((await world.ask("GET", "/deliveries?message_id=m1", token=pushes[1]))[1]["deliveries"]) == 1
    assert (await world.ask("GET", "/deliveries?message_id=m1", token=sends[1]))[0] == 403
    assert (await world.ask("GET", "/preferences", token=pushes[1]))[0] == 403
