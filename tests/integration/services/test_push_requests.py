"""Templates and `POST /push` over HTTP, on a NATS with the operator's own users and rights."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.calls import on_the_bus
from tests.support.chat import token_for
from tests.support.fcm import FcmPeer, fcm_peer
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, environ_for, in_process
from tests.support.waiting import eventually

from push_workloads.common import push_jobs
from push_workloads.common.bus import connected
from push_workloads.message.config import MessageConfig
from push_workloads.message.streams import ensure_push_queue
from push_workloads.push.devices import Device
from push_workloads.push.stores import sqlite_stores

KEY = "a service key, long enough to be one"
USERS = ["ann", "b.o b"]
DEDUP = "0123456789abcdef"


@pytest.fixture
async def fcm() -> AsyncIterator[FcmPeer]:
    async with fcm_peer() as peer:
        yield peer
        assert peer.faults == []


@pytest.fixture
async def push(
    operators_nats_server: Nats, valkey_server: Valkey, fcm: FcmPeer, tmp_path: Path
) -> AsyncIterator[InProcess]:
    """A push service that is ready; the queue is there, and each user has a phone."""
    where = {"SQLITE_PATH": str(tmp_path / "devices.db"), "REDIS_URL": valkey_server.url}
    of_message = environ_for(**where, **operators_nats_server.environ_of("message"), LOG_MAX_BYTES=str(64 * 1024**2))
    config = MessageConfig.parse(of_message)
    async with connected(config.nats, "message") as bus:
        await ensure_push_queue(bus, config)
    async with sqlite_stores(where["SQLITE_PATH"], lambda: 0) as kept:
        for user in USERS:
            await kept.devices.put(Device(user, "phone", "fcm", f"phone of {user}", None, None, None, 1, 1))
    own = environ_for(**where, **operators_nats_server.environ_of("push"), **fcm.environ, SERVICE_KEY=KEY)
    async with in_process("push", own) as service:
        await service.ready()
        yield service


async def call(
    http: ClientSession, push: InProcess, method: str, path: str, body: Any = None, bearer: str = KEY
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {bearer}"}
    async with http.request(method, push.url + path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def waiting(server: Nats) -> int:
    """How many timers there are."""
    async with on_the_bus(server, "message") as client:
        info = await client.jetstream().stream_info(push_jobs.STREAM, subjects_filter="push.timer.>")
        return len(info.state.subjects or {})


async def test_templates(push: InProcess, http: ClientSession) -> None:
    shipped = {"default": {"title": "{data.order}"}, "locales": {"de": {"body": "Bestellung {data.order}"}}}
    assert (await call(http, push, "PUT", "/push/templates/shipped", shipped))[0] == 200
    status, found = await call(http, push, "GET", "/push/templates/shipped")
    assert (status, found["stored"], found["locales"]["de"]) == (200, True, {"body": "Bestellung {data.order}"})
    names = [one["name"] for one in (await call(http, push, "GET", "/push/templates"))[1]["templates"]]
    assert names == ["delete", "edit", "reaction", "shipped", "system", "text"]
    assert [(await call(http, push, "DELETE", "/push/templates/shipped"))[0] for _ in range(2)] == [204, 404]
    assert (await call(http, push, "GET", "/push/templates/shipped"))[0] == 404
    status, fault = await call(http, push, "PUT", "/push/templates/x", {"default": {"title": "{user}"}})
    assert (status, "{user} is no field" in fault["error"]["message"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/push/templates"), ("GET", "/push/p1"), ("DELETE", "/push/p1"), ("POST", "/push")]
)
async def test_it_takes_a_service_credential(push: InProcess, http: ClientSession, method: str, path: str) -> None:
    body = {"user_ids": USERS, "title": "Hi"} if method == "POST" else None
    assert (await call(http, push, method, path, body, token_for("ann")))[0] == 403


async def test_a_push_comes_to_each_phone_once(push: InProcess, fcm: FcmPeer, http: ClientSession) -> None:
    asked = {"user_ids": USERS, "title": "Hi", "dedup_id": DEDUP}
    status, first = await call(http, push, "POST", "/push", asked)
    assert (status, first["stage"], first["users"]) == (202, "queued", 2)
    await eventually(lambda: len(fcm.messages) == 2)
    status, again = await call(http, push, "POST", "/push", asked)
    assert (status, again) == (202, first | {"duplicate": True})
    assert (await call(http, push, "POST", "/push", asked | {"title": "Bye"}))[0] == 409

    async def sent() -> bool:
        status, view = await call(http, push, "GET", f"/push/{first['push_id']}")
        assert (status, view["stage"]) == (200, "queued")
        return bool(view["deliveries"]["sent"] == 2)

    await eventually(sent)
    assert {one["token"] for one in fcm.messages} == {f"phone of {user}" for user in USERS}
    assert len(fcm.messages) == 2
    assert (await call(http, push, "GET", "/push/other"))[0] == 404


async def test_a_template_has_to_be_there(push: InProcess, http: ClientSession) -> None:
    for name, told in (("none", "there is no 'none'"), ("edit", "edit shows nothing")):
        status, fault = await call(http, push, "POST", "/push", {"user_ids": USERS, "template": name})
        assert (status, told in fault["error"]["message"]) == (400, True)


async def test_a_push_at_a_time(
    push: InProcess, fcm: FcmPeer, http: ClientSession, operators_nats_server: Nats
) -> None:
    soon = int(time.time() * 1000) + 1500
    status, made = await call(http, push, "POST", "/push", {"user_ids": USERS, "title": "Hi", "send_at": soon})
    assert (status, made["stage"], len(fcm.messages)) == (202, "scheduled", 0)
    assert await waiting(operators_nats_server) == 2
    await eventually(lambda: len(fcm.messages) == 2)
    assert time.time() * 1000 >= soon
    assert (await call(http, push, "GET", f"/push/{made['push_id']}"))[1]["stage"] == "queued"


async def test_a_push_that_is_cancelled(
    push: InProcess, http: ClientSession, operators_nats_server: Nats, valkey_server: Valkey
) -> None:
    later = int(time.time() * 1000) + 60_000
    asked = {"user_ids": USERS, "title": "Hi", "send_at": later}
    _, made = await call(http, push, "POST", "/push", asked)
    _, other = await call(http, push, "POST", "/push", asked)
    assert await waiting(operators_nats_server) == 4
    for _ in range(2):
        status, view = await call(http, push, "DELETE", f"/push/{made['push_id']}")
        assert (status, view["stage"]) == (200, "cancelled")
    assert await waiting(operators_nats_server) == 2
    assert (await call(http, push, "GET", f"/push/{other['push_id']}"))[1]["stage"] == "scheduled"
    assert (await call(http, push, "DELETE", "/push/other"))[0] == 404


async def test_a_bus_that_is_away(
    push: InProcess, fcm: FcmPeer, http: ClientSession, operators_nats_server: Nats
) -> None:
    await operators_nats_server.kill()
    await eventually(lambda: "nats" in push.process.waiting_for())
    asked = {"user_ids": USERS, "title": "Hi", "dedup_id": DEDUP}
    assert (await call(http, push, "POST", "/push", asked))[0] == 503
    await operators_nats_server.start()
    await push.ready()

    async def taken() -> bool:
        return (await call(http, push, "POST", "/push", asked))[0] == 202

    await eventually(taken)
    await eventually(lambda: len(fcm.messages) == 2)
