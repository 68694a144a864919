"""Broadcasts by the push service itself, to a FCM that counts; killed while they run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.calls import call as call_as
from tests.support.chat import data_plane, token_for
from tests.support.fcm import FcmPeer, fcm_peer
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, OwnProcess, environ_for, in_process, own_process
from tests.support.waiting import eventually

from push_workloads.common.bus import connected
from push_workloads.message.config import MessageConfig
from push_workloads.message.streams import ensure_push_queue
from push_workloads.push.broadcast import model
from push_workloads.push.deliveries import Delivery, State
from push_workloads.push.devices import Device
from push_workloads.push.stores import Stores, sqlite_stores

KEY = "a service key, long enough to be one"
ADMIN = "an admin token, long enough to be one"


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
async def environ(operators_nats_server: Nats, valkey_server: Valkey, fcm: FcmPeer, tmp_path: Path) -> dict[str, str]:
    """Of a push service that carries to phones; the queue is there."""
    where = {"SQLITE_PATH": str(tmp_path / "devices.db"), "REDIS_URL": valkey_server.url}
    of_message = environ_for(**where, **operators_nats_server.environ_of("message"), LOG_MAX_BYTES=str(512 * 1024**2))
    config = MessageConfig.parse(of_message)
    async with connected(config.nats, "message") as bus:
        await ensure_push_queue(bus, config)
    own = {**where, **operators_nats_server.environ_of("push"), **fcm.environ}
    return environ_for(**own, SERVICE_KEY=KEY, ADMIN_TOKEN=ADMIN)


@pytest.fixture
async def kept(environ: dict[str, str]) -> AsyncIterator[Stores]:
    """What the push service keeps, from beside it."""
    async with sqlite_stores(environ["SQLITE_PATH"], now_ms) as stores:
        yield stores


@pytest.fixture
async def fcm() -> AsyncIterator[FcmPeer]:
    """Keeps what it took: each message has its device's token."""
    async with fcm_peer() as peer:
        yield peer
        assert peer.faults == []


async def register(kept: Stores, users: int) -> None:
    for number in range(users):
        for name in ("phone", "tablet")[: 1 + number % 2]:
            address = f"address-{number}-{name}"
            locale = "de-CH" if number % 3 == 0 else "en"
            await kept.devices.put(
                Device(f"user {number}", name, "fcm", address, None, None, "com.example", 1, 1, locale, None, "4.2")
            )


async def ask(
    http: ClientSession, push: InProcess | OwnProcess, method: str, path: str, body: Any = None, bearer: str = KEY
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {bearer}"}
    async with http.request(method, push.url + path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def ended(http: ClientSession, push: InProcess | OwnProcess, broadcast_id: str) -> Any:
    async def view() -> Any:
        _, found = await ask(http, push, "GET", f"/broadcasts/{broadcast_id}")
        return found if found["stage"] == "done" else None

    return await eventually(view, within=120)


async def test_killed_again_and_again(
    environ: dict[str, str], kept: Stores, fcm: FcmPeer, http: ClientSession, tmp_path: Path
) -> None:
    """The whole service with its senders. What was on its way to FCM at a kill may have come there or not: it has
    failed, as `ambiguous`, and is not sent again."""
    await register(kept, 1000)
    log, made = tmp_path / "push.log", ""
    for kill_at in (1, 700, None):
        async with own_process("push", environ, log) as push:
            await push.ready(http)
            if not made:
                asked = {"title": "News", "segment": {"platforms": ["fcm"]}, "per_second": 1500}
                status, view = await ask(http, push, "POST", "/broadcasts", asked)
                assert status == 202
                made = view["broadcast_id"]
            if kill_at is not None:
                await took(fcm, kill_at)
                push.child.kill()
                await asyncio.to_thread(push.child.wait)
            else:
                view = await ended(http, push, made)
    tokens = [message["token"] for message in fcm.messages]
    assert len(tokens) == len(set(tokens))
    assert (view["seen"], view["queued"], view["waiting"]) == (1500, 1500, 0)
    assert view["sent"] + view["failed"] == 1500
    assert view["sent"] <= len(tokens) <= 1500
    unsure = [one for one in await records(kept, made) if one.state is State.FAILED]
    assert all(one.reason is not None and one.reason.startswith("ambiguous") for one in unsure)
    assert len(unsure) == view["failed"] < 200  # 64 at once, twice


async def records(kept: Stores, broadcast_id: str) -> list[Delivery]:
    found: list[Delivery] = []
    for message_id in model.message_ids(broadcast_id):
        found += await kept.deliveries.of_message(message_id, None, 1000)
    return found


async def took(fcm: FcmPeer, count: int) -> None:
    await eventually(lambda: len(fcm.messages) >= count)


@pytest.fixture
async def push(environ: dict[str, str]) -> AsyncIterator[InProcess]:
    async with in_process("push", environ) as service:
        await service.ready()
        yield service


async def test_a_template_in_each_language(push: InProcess, kept: Stores, fcm: FcmPeer, http: ClientSession) -> None:
    await register(kept, 6)
    offer = {"default": {"title": "Offer {data.no}"}, "locales": {"de": {"title": "Angebot {data.no}"}}}
    assert (await ask(http, push, "PUT", "/push/templates/offer", offer))[0] == 200

    asked = {"template": "offer", "data": {"no": 7}, "segment": {"locales": ["de"], "app_version": ">=4,<5"}}
    _, view = await ask(http, push, "POST", "/broadcasts", asked)
    done = await ended(http, push, view["broadcast_id"])
    assert (done["seen"], done["queued"], done["sent"]) == (9, 3, 3)
    shown = {(one["token"], one["notification"]["title"]) for one in fcm.messages}
    assert shown == {(f"address-{device}", "Angebot 7") for device in ("0-phone", "3-phone", "3-tablet")}


async def test_the_pace(push: InProcess, kept: Stores, fcm: FcmPeer, http: ClientSession) -> None:
    await register(kept, 100)
    began = time.monotonic()
    _, view = await ask(http, push, "POST", "/broadcasts", {"title": "a", "segment": {}, "per_second": 50})
    await ended(http, push, view["broadcast_id"])
    assert time.monotonic() - began >= 2.9  # 150 devices


async def test_a_stop(push: InProcess, kept: Stores, fcm: FcmPeer, http: ClientSession) -> None:
    await register(kept, 200)
    _, view = await ask(http, push, "POST", "/broadcasts", {"title": "a", "segment": {}, "per_second": 20})
    await took(fcm, 4)
    status, view = await ask(http, push, "DELETE", f"/broadcasts/{view['broadcast_id']}")
    assert (status, view["stage"]) == (200, "stopped")
    await eventually(lambda: push.metric("push_broadcasts_running") == 0)
    assert len(fcm.messages) < 100
    status, listed = await ask(http, push, "GET", "/broadcasts")
    assert [(one["stage"], one["waiting"]) for one in listed["broadcasts"]] == [("stopped", 0)]


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("GET", "/b1"), ("DELETE", "/b1")])
async def test_it_takes_a_service_credential(push: InProcess, http: ClientSession, method: str, path: str) -> None:
    body = {"title": "a", "segment": {}} if method == "POST" else None
    assert (await ask(http, push, method, f"/broadcasts{path}", body, token_for("ann")))[0] == 403
    assert (await ask(http, push, "GET", "/broadcasts/other"))[0] == 404


async def test_the_operators_door(push: InProcess, http: ClientSession) -> None:
    async def order(method: str, path: str, body: Any = None, bearer: str = ADMIN) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {bearer}"}
        async with http.request(method, push.admin_url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    later = now_ms() + 60_000
    status, made = await order("POST", "/broadcasts", {"title": "a", "segment": {}, "send_at": later})
    assert (status, made["stage"]) == (202, "scheduled")
    assert (await order("GET", "/broadcasts"))[1]["broadcasts"] == [made]
    assert (await order("GET", f"/broadcasts?id={made['broadcast_id']}"))[1] == made
    status, stopped = await order("POST", "/broadcasts/stop", {"id": made["broadcast_id"]})
    assert (status, stopped["stage"]) == (200, "stopped")
    assert (await order("POST", "/broadcasts/stop", {"id": "other"}))[0] == 404
    status, fault = await order("POST", "/broadcasts", {"title": "a"})
    assert (status, "segment" in fault["error"]) == (400, True)
    assert (await order("GET", "/broadcasts", bearer="wrong"))[0] == 401


async def test_followers_of_a_topic(
    environ: dict[str, str],
    kept: Stores,
    fcm: FcmPeer,
    operators_nats_server: Nats,
    valkey_server: Valkey,
    http: ClientSession,
    tmp_path: Path,
) -> None:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        policies = '[{"prefix":"news/","read":"everyone","write":"service"},{"prefix":"vip/","read":"service",'
        policies += '"write":"service","readers":["user 1"]}]'
        await plane.message(TOPIC_POLICIES=policies)
        async with in_process("push", environ) as push:
            await push.ready()
            await register(kept, 4)
            for number in (0, 1, 2):
                path = "/push/topics/news%2Fsport"
                assert (await call_as(http, push, f"user {number}", "PUT", path))[0] == 204
            assert (await call_as(http, push, "user 2", "DELETE", "/push/topics/news%2Fsport"))[0] == 204
            assert (await call_as(http, push, "user 0", "PUT", "/push/topics/vip%2Fa"))[0] == 403
            assert (await call_as(http, push, "user 1", "PUT", "/push/topics/vip%2Fa"))[0] == 204
            status, found = await call_as(http, push, "user 1", "GET", "/push/topics")
            assert (status, found["topics"]) == (200, ["news/sport", "vip/a"])
            assert (await ask(http, push, "PUT", "/push/topics/news%2Fsport"))[0] == 403
            _, view = await ask(http, push, "POST", "/broadcasts", {"title": "a", "topic": "news/sport"})
            done = await ended(http, push, view["broadcast_id"])
            assert (done["topic"], done["queued"], done["sent"]) == ("news/sport", 3, 3)
            assert {one["token"] for one in fcm.messages} == {"address-0-phone", "address-1-phone", "address-1-tablet"}
