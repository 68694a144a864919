"""Calls, from `POST /push` to each kind of device. pushy takes for a token from PushKit what Apple takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.apns.pushy import TOPIC, ApnsPeer, alive, apns_peer
from tests.support.fcm import FcmPeer, fcm_peer
from tests.support.jars import NoJars
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, environ_for, in_process
from tests.support.waiting import eventually

from push_workloads.common.bus import connected
from push_workloads.message.config import MessageConfig
from push_workloads.message.streams import ensure_push_queue
from push_workloads.push.devices import Device
from push_workloads.push.stores import sqlite_stores

KEY = "a service key, long enough to be one"
PHONE, RINGING, TABLET, ANDROID = alive(1), alive(2), alive(3), "token-of-an-android"
DEVICES = [
    Device("ann", "phone", "apns", PHONE, None, None, TOPIC, 1, 1),
    Device("ann", "phone-calls", "apns", RINGING, None, None, TOPIC + ".voip", 1, 1),
    Device("ann", "android", "fcm", ANDROID, None, None, None, 1, 1),
    Device("bob", "tablet", "apns", TABLET, None, None, TOPIC, 1, 1),
]


@pytest.fixture
async def apns(tmp_path: Path) -> AsyncIterator[ApnsPeer]:
    try:
        async with apns_peer(tmp_path / "apns") as peer:
            yield peer
    except NoJars as missing:
        pytest.skip(f"Apple's push is not tested here: {missing}")


@pytest.fixture
async def fcm() -> AsyncIterator[FcmPeer]:
    async with fcm_peer() as peer:
        yield peer
        assert peer.faults == []


@pytest.fixture
async def push(
    operators_nats_server: Nats, valkey_server: Valkey, apns: ApnsPeer, fcm: FcmPeer, tmp_path: Path
) -> AsyncIterator[InProcess]:
    """A push service that is ready, and people with all kinds of devices."""
    where = {"SQLITE_PATH": str(tmp_path / "devices.db"), "REDIS_URL": valkey_server.url}
    of_message = environ_for(**where, **operators_nats_server.environ_of("message"), LOG_MAX_BYTES=str(64 * 1024**2))
    config = MessageConfig.parse(of_message)
    async with connected(config.nats, "message") as bus:
        await ensure_push_queue(bus, config)
    async with sqlite_stores(where["SQLITE_PATH"], lambda: 0) as kept:
        for device in DEVICES:
            await kept.devices.put(device)
    peers = {**apns.environ, **fcm.environ}
    own = environ_for(**where, **operators_nats_server.environ_of("push"), **peers, SERVICE_KEY=KEY)
    async with in_process("push", own) as service:
        await service.ready()
        yield service


async def call(http: ClientSession, push: InProcess, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with http.request(method, push.url + path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def became(http: ClientSession, push: InProcess, **asked: Any) -> dict[str, tuple[str, str | None]]:
    """State and reason by device, when all have come to their end."""
    status, made = await call(http, push, "POST", "/push", asked)
    assert status == 202, made

    async def ends() -> dict[str, tuple[str, str | None]] | None:
        _, page = await call(http, push, "GET", f"/deliveries?message_id={made['push_id']}")
        found = {one["device_id"]: (one["state"], one["reason"]) for one in page["deliveries"]}
        wanted = sum(device.user_id in asked["user_ids"] for device in DEVICES)
        return found if len(found) == wanted and all(state != "queued" for state, _ in found.values()) else None

    return await eventually(ends) or {}


async def test_a_call_rings_and_is_told_once_on_a_phone(
    push: InProcess, apns: ApnsPeer, fcm: FcmPeer, http: ClientSession
) -> None:
    asked = {"user_ids": ["ann", "bob"], "title": "Eve calls", "call": True, "data": {"room": "r1"}}
    assert await became(http, push, **asked) == {
        "phone": ("cancelled", "rings_elsewhere"),
        "phone-calls": ("sent", None),
        "android": ("sent", None),
        "tablet": ("sent", None),
    }
    told = {one.token: one for one in await eventually(lambda: len(apns.accepted()) == 2 and apns.accepted())}
    ring, alert = told[RINGING], told[TABLET]
    assert (ring.topic, ring.push_type, ring.priority, ring.collapse_id) == (TOPIC + ".voip", "voip", "10", "")
    assert (ring.payload["aps"], ring.payload["data"]) == ({"alert": {"title": "Eve calls"}}, {"room": "r1"})
    assert (alert.topic, alert.push_type) == (TOPIC, "alert")
    (android,) = fcm.messages
    assert (android["token"], android["data"]["show"], android["android"]["priority"]) == (ANDROID, "voip", "HIGH")
    assert "notification" not in android


async def test_what_is_no_call_leaves_the_ringing_alone(push: InProcess, apns: ApnsPeer, http: ClientSession) -> None:
    assert await became(http, push, user_ids=["ann"], title="Hi") == {
        "phone": ("sent", None),
        "phone-calls": ("cancelled", "calls_only"),
        "android": ("sent", None),
    }
    (alert,) = await eventually(apns.accepted)
    assert (alert.token, alert.topic, alert.push_type) == (PHONE, TOPIC, "alert")
    assert apns.rejected() == []
    assert push.metric("push_push_dead_letters_total", queue="apns") == 0


async def test_a_call_that_is_silent_is_none(push: InProcess, http: ClientSession) -> None:
    asked = {"user_ids": ["ann"], "data": {"room": "r1"}, "call": True, "silent": True}
    status, fault = await call(http, push, "POST", "/push", asked)
    assert (status, "either `call` or `silent`" in fault["error"]["message"]) == (400, True)
