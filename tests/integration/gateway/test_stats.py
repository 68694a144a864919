"""What a gateway tells its operator of itself."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest
from aiohttp import ClientSession
from tests.integration.gateway.test_draining import gateway_of, refusal, users
from tests.integration.gateway.test_failures import raw_socket
from tests.integration.gateway.test_sse import listening as listening_to
from tests.support.admin import Admin
from tests.support.chat import Plane
from tests.support.servers import Nats
from tests.support.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

FIELDS = {
    "boot": str, "epoch": int, "uptime_s": float, "connections": int, "max_connections": int, "accepted": int,
    "refused": int, "auth_failures": int, "disconnects": int, "reconnects_asked": int, "outbound_bytes": int,
    "fell_behind": int, "loop_lag_ms": float, "pressure": int, "nats": bool, "nats_lost": int, "frames_in": int,
    "frames_out": int, "delivered": int, "cpu_seconds": float, "rss_bytes": int, "draining": type(None),
}  # fmt: skip


async def test_everything_that_is_promised_is_told_without_a_token(plane: Plane, http: ClientSession) -> None:
    gateway = await plane.gateway(MAX_CONNECTIONS="5")
    stats = await Admin(http, gateway).stats()
    assert {name: type(value) for name, value in stats.items()} == FIELDS
    assert (stats["max_connections"], stats["nats"], stats["pressure"], stats["epoch"]) == (5, True, 0, 0)
    own = psutil.Process()
    assert stats["rss_bytes"] == pytest.approx(own.memory_info().rss, rel=0.1)
    assert stats["cpu_seconds"] == pytest.approx(sum(own.cpu_times()[:2]), abs=1)


async def test_clients_are_counted_by_what_becomes_of_them(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http, ALLOWED_ORIGINS="http://page.test", MAX_CONNECTIONS="4")
    clients = await users(plane, gateway, 3)
    async with listening_to(gateway.sse_port, "bob") as bob:
        await bob.next("welcome")
        assert (await admin.stats())["connections"] == 4
        assert await refusal(gateway) == 503
        with pytest.raises(InvalidStatus):
            await connect(f"ws://127.0.0.1:{gateway.port}/ws?token=no")
        async with http.get(f"http://127.0.0.1:{gateway.sse_port}/sse?token=no") as refused:
            assert refused.status == 401
        stats = await admin.stats()
        assert (stats["accepted"], stats["refused"], stats["auth_failures"], stats["disconnects"]) == (4, 3, 2, 0)
    await clients[0].socket.close()
    stats = await admin.reaches(connections=2)
    assert (stats["accepted"], stats["disconnects"], stats["reconnects_asked"]) == (4, 2, 0)


async def test_messages_are_counted(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http)
    ann, bob = await users(plane, gateway, 2)
    before = await admin.stats()
    await ann.send(type="send_message", recipient_id="user1", content="x")
    await ann.expect("ack")
    await bob.expect("message")
    after = await admin.stats()
    grown = {name: after[name] - before[name] for name in ("frames_in", "frames_out", "delivered")}
    assert grown == {"frames_in": 1, "frames_out": 2, "delivered": 2}
    assert after["boot"] == before["boot"]
    assert after["uptime_s"] > before["uptime_s"]


async def test_what_waits_for_a_client_that_does_not_read_is_told(plane: Plane, http: ClientSession) -> None:
    gateway, admin = await gateway_of(plane, http, FRAMES_PER_SECOND="100000", FRAMES_BURST="100000")
    ann = await plane.client(gateway, "ann")
    reader, writer = await raw_socket(gateway.port, "bob")  # which takes 128 KiB, and more only when that is read

    async def waits() -> bool:
        await ann.send(type="send_message", recipient_id="bob", content="x" * 60_000)
        await ann.expect("ack")
        return bool((await admin.stats())["outbound_bytes"] > 65_536)

    await eventually(waits)
    assert gateway.metric("push_gateway_outbound_bytes") > 65_536
    assert gateway.metric("push_gateway_slow") == 1
    reading = asyncio.create_task(read_on(reader))
    await admin.reaches(outbound_bytes=0, fell_behind=0)
    assert gateway.metric("push_gateway_slow") == 0
    reading.cancel()
    await eventually(waits)
    writer.transport.abort()
    await admin.reaches(outbound_bytes=0, connections=1)
    assert gateway.metric("push_gateway_slow") == 0


async def read_on(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass


@pytest.mark.parametrize("limited", ["0", "10000"])
async def test_a_loop_that_was_late_is_told(plane: Plane, http: ClientSession, limited: str) -> None:
    gateway, admin = await gateway_of(plane, http, MAX_LAG_MS=limited)
    time.sleep(0.6)  # noqa: ASYNC251 - holds the gateway's loop, which is this one

    async def late() -> bool:
        return bool((await admin.stats())["loop_lag_ms"] >= 500)

    await eventually(late)
    assert gateway.metric("push_gateway_loop_lag_seconds") >= 0.5


async def test_a_bus_that_is_lost_is_told_and_counted(
    plane: Plane, http: ClientSession, operators_nats_server: Nats
) -> None:
    _, admin = await gateway_of(plane, http)
    assert (await admin.stats())["nats_lost"] == 0
    await operators_nats_server.kill()
    await admin.reaches(nats=False, nats_lost=1)
    await operators_nats_server.start()
    await admin.reaches(nats=True, nats_lost=1)
