"""The gateway when its peers fail: nothing acknowledged is lost, and silence is never a gap."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis
from tests.support.chat import Client, Plane, data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, own_process
from tests.support.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from push_workloads.common.presence_keys import gid_of
from push_workloads.gateway.actions import Cursor
from push_workloads.gateway.cursors import CursorWriter


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        yield made


def reasons(gateway: InProcess) -> set[str]:
    return set(gateway.process.waiting_for())


async def test_sockets_outlive_a_crash_of_nats(plane: Plane, operators_nats_server: Nats) -> None:
    await plane.message()
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    await ann.send(type="send_message", recipient_id="bob", content="before")
    await bob.expect("message")

    await operators_nats_server.kill()
    await eventually(lambda: "nats" in reasons(gateway))
    await ann.send(type="send_message", id="lost", recipient_id="bob", content="meanwhile")
    error = await ann.expect("error", id="lost")
    assert (error["code"], error["retry_after_ms"]) == ("unavailable", 1000)

    await operators_nats_server.start()
    await gateway.ready()
    await ann.send(type="send_message", recipient_id="bob", content="after")
    await ann.expect("ack")
    assert (await bob.expect("message"))["content"] == "after"


async def test_a_send_that_is_under_way_when_nats_dies_is_told_and_may_be_sent_again(
    plane: Plane, operators_nats_server: Nats
) -> None:
    await plane.message()
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")

    operators_nats_server.pause()
    await ann.send(type="send_message", id="1", recipient_id="bob", content="x", dedup_id="0123456789abcdef")
    await eventually(lambda: gateway.metric("push_gateway_publishes_in_flight") == 1)
    await operators_nats_server.kill()
    assert (await ann.expect("error", id="1"))["code"] == "unavailable"

    await operators_nats_server.start()
    await gateway.ready()
    await ann.send(type="send_message", id="2", recipient_id="bob", content="x", dedup_id="0123456789abcdef")
    await ann.expect("ack", id="2")
    assert (await bob.expect("message"))["content"] == "x"
    assert await bob.nothing_but_pong() == []


async def test_what_was_stored_while_a_gateway_was_cut_off_reaches_its_sockets(
    plane: Plane, operators_nats_server: Nats
) -> None:
    """Messages of other gateways, published while this one has no connection, are read from the log."""
    await plane.message()
    gateway = await plane.gateway()
    bob = await plane.client(gateway, "bob")
    ann = await plane.client(await plane.gateway(), "ann")
    await ann.send(type="send_message", recipient_id="bob", content="first")
    first = await bob.expect("message")

    # Only a publisher of the test is connected while these are stored: each gateway comes back later.
    await operators_nats_server.kill()
    await eventually(lambda: "nats" in reasons(gateway))
    await operators_nats_server.start()
    user = {"user": "gateway", "password": operators_nats_server.environ_of("gateway")["NATS_PASSWORD"]}
    publisher = await nats.connect(operators_nats_server.url, inbox_prefix="_INBOX_gateway", **user)
    for number in range(3):
        payload = json.dumps({"message_id": f"m{number}", "content": number}).encode()
        await publisher.jetstream().publish("log.0.u.bob", payload, headers={"Nats-Msg-Id": f"m{number}:u.bob"})
    await publisher.close()

    got = [await bob.expect("message") for _ in range(3)]
    assert [frame["content"] for frame in got] == [0, 1, 2]
    assert [frame["prev"] for frame in got] == [first["seq"], got[0]["seq"], got[1]["seq"]]


async def test_before_the_log_is_there_sockets_are_refused_and_told_when_to_come_back(plane: Plane) -> None:
    async def refusal(port: int) -> InvalidStatus:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{port}/ws?token={token_for('ann')}")
        return refused.value

    waiting = asyncio.create_task(plane.gateway())
    await asyncio.wait([waiting], timeout=0.5)
    assert not waiting.done(), "a gateway without a log must not be ready"
    await plane.message()
    gateway = await waiting
    gateway.process.stopping.set()
    told = (await refusal(gateway.port)).response
    assert told.status_code == 503
    assert told.headers["Retry-After"] == "2"
    assert json.loads(told.body)["error"]["code"] == "unavailable"


async def test_a_gateway_that_stops_sends_its_clients_away_in_good_order(
    plane: Plane, tmp_path: Path, http: ClientSession
) -> None:
    await plane.message()
    environ = plane.gateway_environ(DRAIN_SECONDS="1")
    async with own_process("gateway", environ, tmp_path / "gateway.log") as gateway:
        await gateway.ready(http)
        clients = [await plane.client(gateway, f"user{number}") for number in range(20)]
        stopping = asyncio.create_task(gateway.stop())
        assert await asyncio.gather(*(leave(client) for client in clients)) == [("restart", 1012)] * 20
        assert await stopping == 0


async def leave(client: Client) -> tuple[str, int]:
    frame = await client.expect("reconnect")
    assert 0 <= frame["after_ms"] < 1000
    return frame["reason"], await client.closed()


async def test_a_client_that_does_not_read_is_closed_and_the_others_go_on(plane: Plane) -> None:
    await plane.message()
    gateway = await plane.gateway(MAX_OUTBOUND_BYTES="65536", FRAMES_PER_SECOND="100000", FRAMES_BURST="100000")
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    reader, writer = await raw_socket(gateway.port, "bob")
    writer.transport.pause_reading()  # type: ignore[attr-defined]

    async def flood() -> bool:
        await ann.send(type="send_message", recipient_id="bob", content="x" * 60_000)
        await ann.expect("ack")
        await bob.expect("message")
        return gateway.metric("push_gateway_fell_behind_total") == 1

    await eventually(flood, within=30)
    assert gateway.metric("push_gateway_connections") == 2
    writer.close()
    del reader


async def test_presence_is_registered_again_when_redis_lost_it(plane: Plane, valkey_server: Valkey) -> None:
    await plane.message()
    gateway = await plane.gateway()
    await plane.client(gateway, "ann")
    async with Redis.from_url(valkey_server.url, decode_responses=True) as redis:
        await eventually(lambda: redis.hlen("presence:user:ann"))
        before = await redis.hgetall("presence:user:ann")
        await redis.flushall()
        await eventually(lambda: redis.hlen("presence:user:ann"), within=15)
        after = await redis.hgetall("presence:user:ann")
        assert gid_of(str(next(iter(after)))) != gid_of(str(next(iter(before)))), "a lost lease means a new generation"


async def test_a_cursor_is_kept_clamped_and_only_grows(plane: Plane, valkey_server: Valkey) -> None:
    await plane.message()
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="phone")
    await ann.send(type="send_message", recipient_id="bob", content="x")
    message = await bob.expect("message")
    await bob.send(type="received", channel="user:bob", seq=message["seq"] + 1000)
    await bob.send(type="received", channel="user:bob", seq=1)
    async with Redis.from_url(valkey_server.url, decode_responses=True) as redis:
        kept = await eventually(lambda: redis.hget("cursor:bob:phone", "user:bob"))
        assert kept == f"{message['epoch']} {message['seq']}"
        writer = CursorWriter(redis)
        for cursor, held in (
            (Cursor("user:bob", message["epoch"], 1), f"{message['epoch']} {message['seq']}"),
            (Cursor("user:bob", "another", 1), "another 1"),
        ):
            writer.moved("bob", "phone", cursor)
            await writer.flush()
            assert await redis.hget("cursor:bob:phone", "user:bob") == held


async def test_a_rebuilt_log_has_another_epoch_and_everyone_is_sent_away(
    plane: Plane, operators_nats_server: Nats, tmp_path: Path, http: ClientSession
) -> None:
    message = await plane.message()
    gateway = await plane.gateway()
    ann = await plane.client(gateway, "ann")
    await ann.send(type="send_message", recipient_id="bob", content="x")
    await ann.expect("ack")
    await eventually(lambda: message.metric("push_message_written_total") == 2)

    await operators_nats_server.kill()
    for file in sorted((tmp_path / "nats" / "store").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    await operators_nats_server.start()

    assert await ann.closed(within=20) == 1012
    await gateway.ready()
    again = await plane.client(gateway, "ann")
    assert again.welcome["inbox"] != ann.welcome["inbox"]
    await again.send(type="send_message", recipient_id="bob", content="y")
    ack = await again.expect("ack")
    assert ack["epoch"] != ann.welcome["inbox"]["epoch"]
    await eventually(lambda: message.metric("push_message_written_total") == 4)


async def raw_socket(port: int, user_id: str, query: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A socket that has shaken hands and speaks for itself from there on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        (
            f"GET /ws?token={token_for(user_id)}{query} HTTP/1.1\r\nHost: x\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
    )
    assert b" 101 " in await reader.readline()
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer
