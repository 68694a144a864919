"""Devices that come back: on another gateway, after a crash, twice at once. Real log, real Redis."""

from __future__ import annotations

import asyncio
import json

import nats
import pytest
from redis.asyncio import Redis
from tests.integration.gateway.test_failures import raw_socket
from tests.support.chat import Client, Frame, Plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually
from websockets.asyncio.client import connect

FAST = {"FRAMES_PER_SECOND": "100000", "FRAMES_BURST": "100000"}


async def say(sender: Client, *contents: object) -> None:
    for start in range(0, len(contents), 100):  # a socket may have 256 under way
        for content in contents[start : start + 100]:
            await sender.send(type="send_message", recipient_id="bob", content=content)
        for _ in contents[start : start + 100]:
            await sender.expect("ack")


async def leave(client: Client, gateway: InProcess) -> None:
    """Closes the socket, and waits until the gateway has written what it knew of it."""
    before = gateway.metric("push_gateway_connections")
    await client.socket.close()
    await eventually(lambda: gateway.metric("push_gateway_connections") == before - 1)


async def held(client: Client) -> Frame:
    """Waits for one message and says that the device has it."""
    frame = await client.expect("message")
    await client.send(type="received", channel=frame["channel"], seq=frame["seq"])
    await client.send(type="ping", id="after-received")
    await client.expect("pong", id="after-received")
    return frame


async def test_a_device_that_only_keeps_its_name_gets_what_it_missed(plane: Plane) -> None:
    here, there = await plane.gateway(), await plane.gateway()
    ann = await plane.client(here, "ann")
    bob = await plane.client(here, "bob", device_id="phone")
    assert await bob.nothing_but_pong() == [], "a new device has nothing to resume"
    await say(ann, "seen", "lost")
    assert (await held(bob))["content"] == "seen"
    await leave(bob, here)
    await say(ann, "missed")

    again = await plane.client(there, "bob", device_id="phone")
    subscribed = await again.expect("subscribed")
    assert subscribed["recovered"]
    assert subscribed["seq"] == again.welcome["inbox"]["seq"]
    frames = [await again.expect("message") for _ in range(2)]
    assert [(frame["content"], frame["replayed"]) for frame in frames] == [("lost", True), ("missed", True)]
    await say(ann, "live")
    live = await again.expect("message")
    assert (live["content"], live["prev"]) == ("live", frames[-1]["seq"])
    assert "replayed" not in live
    assert await again.nothing_but_pong() == []


async def test_nothing_missed_is_said_and_nothing_is_read(plane: Plane) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="phone")
    await say(ann, "seen")
    await held(bob)
    await leave(bob, gateway)
    again = await plane.client(gateway, "bob", device_id="phone")
    assert [frame["recovered"] for frame in await again.nothing_but_pong()] == [True]
    assert gateway.metric("push_gateway_replayed_total") == 0


async def test_a_device_that_never_said_received_starts_at_the_head(plane: Plane) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="phone")
    await say(ann, "x")
    await bob.expect("message")
    await leave(bob, gateway)
    await say(ann, "y")
    again = await plane.client(gateway, "bob", device_id="phone")
    assert await again.nothing_but_pong() == []


async def test_a_client_with_cursors_of_its_own_resumes_itself(plane: Plane) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="phone")
    await say(ann, *range(5))
    first = await held(bob)
    await leave(bob, gateway)

    own = await plane.client(gateway, "bob", device_id="phone", query="&resume=client")
    assert await own.nothing_but_pong() == []
    cursor = {"epoch": first["epoch"], "seq": first["seq"]}
    channels = {"user:bob": cursor, "user:ann": cursor, "group:g": cursor}
    await own.send(type="resume", id="r", channels=channels)
    assert {(await own.expect("error"))["channel"] for _ in range(2)} == {"user:ann", "group:g"}
    assert (await own.expect("subscribed", id="r"))["recovered"]
    assert [(await own.expect("message"))["content"] for _ in range(4)] == [1, 2, 3, 4]

    await own.send(type="unsubscribe", channel="user:bob")
    await own.expect("unsubscribed")
    await say(ann, "unheard")
    assert await own.nothing_but_pong() == []
    await own.send(type="subscribe", channel="user:bob", since=cursor)
    await own.expect("subscribed")
    assert [(await own.expect("message"))["content"] for _ in range(5)] == [1, 2, 3, 4, "unheard"]


@pytest.mark.parametrize(
    ("epoch", "seq", "reason"), [(None, 10**15, "epoch_changed"), ("another", 1, "epoch_changed"), (None, 0, None)]
)
async def test_a_cursor_that_cannot_be_is_answered_and_hides_nothing(
    plane: Plane, epoch: str | None, seq: int, reason: str | None
) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", query="&resume=client")
    await say(ann, "before")
    await bob.expect("message")
    cursor = {"epoch": epoch or bob.welcome["inbox"]["epoch"], "seq": seq}
    await bob.send(type="subscribe", channel="user:bob", since=cursor)
    subscribed = await bob.expect("subscribed")
    assert (subscribed["recovered"], subscribed.get("reason")) == (reason is None, reason)
    await say(ann, "after")
    expected = ["after"] if reason else ["before", "after"]
    assert [(await bob.expect("message"))["content"] for _ in expected] == expected


async def test_a_cursor_older_than_the_log_is_said_to_be(plane: Plane, operators_nats_server: Nats) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="phone")
    await say(ann, *range(5))
    first = await held(bob)
    await leave(bob, gateway)
    await purge(operators_nats_server, first["seq"] + 3)
    again = await plane.client(gateway, "bob", device_id="phone")
    subscribed = await again.expect("subscribed")
    assert (subscribed["recovered"], subscribed["reason"]) == (False, "too_old")
    await say(ann, "live")
    assert (await again.expect("message"))["content"] == "live"
    assert gateway.metric("push_gateway_not_recovered_total", reason="too_old") == 1


async def purge(server: Nats, below: int) -> None:
    """As the message service makes room."""
    environ = server.environ_of("message")
    user = {"user": environ["NATS_USER"], "password": environ["NATS_PASSWORD"]}
    client = await nats.connect(server.url, inbox_prefix="_INBOX_message", **user)
    await client.request("$JS.API.STREAM.PURGE.LOG_0", json.dumps({"seq": below}).encode())
    await client.close()


async def test_pages_of_any_size_come_whole_while_others_write(plane: Plane) -> None:
    here, there = await plane.gateway(**FAST), await plane.gateway(**FAST)
    ann, bob = await plane.client(here, "ann"), await plane.client(here, "bob", device_id="phone")
    await say(ann, "first")
    await held(bob)
    await leave(bob, here)
    await say(ann, *range(350))
    writing = asyncio.create_task(say(ann, *range(350, 600)))
    again = await plane.client(there, "bob", device_id="phone")
    frames = [await again.expect("message") for _ in range(600)]
    await writing
    assert [frame["content"] for frame in frames] == list(range(600))
    assert [frame["prev"] for frame in frames][1:] == [frame["seq"] for frame in frames][:-1]
    assert await again.expect("subscribed")
    assert await again.nothing_but_pong() == []


async def test_a_replay_waits_for_a_slow_socket(plane: Plane) -> None:
    """Far more than the socket may have waiting: it is read as the client reads, and nobody is closed."""
    gateway = await plane.gateway(MAX_OUTBOUND_BYTES="65536", **FAST)
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="phone")
    await say(ann, "first")
    await held(bob)
    await leave(bob, gateway)
    for number in range(200):
        await say(ann, {"n": number, "x": "x" * 50_000})
    reader, writer = await raw_socket(gateway.port, "bob", "&device_id=phone")
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    before = 0.0

    async def stalled() -> bool:
        nonlocal before
        last, before = before, gateway.metric("push_gateway_replayed_total")
        await asyncio.sleep(0.2)
        return 0 < last == gateway.metric("push_gateway_replayed_total")

    await eventually(stalled)
    assert gateway.metric("push_gateway_replayed_total") < 200
    await say(ann, "live")
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    received = b""
    async with asyncio.timeout(30):
        while b'"content":"live"' not in received[-300:]:
            received += await reader.read(1 << 20)
    writer.close()
    places = [received.index(b'"content":{"n": %d,' % number) for number in range(200)]
    assert places == sorted(places)
    assert gateway.metric("push_gateway_fell_behind_total") == 0


# The same device twice


async def test_the_newer_connection_of_a_device_wins_on_whichever_gateways(plane: Plane) -> None:
    here, there = await plane.gateway(), await plane.gateway()
    ann = await plane.client(here, "ann")
    first = await plane.client(here, "bob", device_id="phone")
    other = await plane.client(here, "bob", device_id="laptop")
    second = await plane.client(here, "bob", device_id="phone")
    assert await first.closed() == 4409
    third = await plane.client(there, "bob", device_id="phone")
    assert await second.closed() == 4409
    fourth = await plane.client(here, "bob", device_id="phone")
    assert await third.closed() == 4409
    await say(ann, "x")
    assert (await fourth.expect("message"))["content"] == "x"
    assert (await other.expect("message"))["content"] == "x"


async def test_a_device_that_the_server_named_is_known_by_that_name(plane: Plane) -> None:
    here, there = await plane.gateway(), await plane.gateway()
    first = await plane.client(here, "bob")
    await plane.client(there, "bob", device_id=first.welcome["device_id"])
    assert await first.closed() == 4409


async def test_when_a_device_races_itself_one_is_left(plane: Plane) -> None:
    gateways = [await plane.gateway(), await plane.gateway()]
    url = "ws://127.0.0.1:{}/ws?token={}&device_id=phone"
    urls = [url.format(gateways[number % 2].port, token_for("bob")) for number in range(12)]
    sockets = await asyncio.gather(*(connect(url, compression=None) for url in urls))
    clients = [Client(socket) for socket in sockets]
    codes: list[int] = []

    async def watch(client: Client) -> None:
        codes.append(await client.closed(within=60))

    watching = [asyncio.create_task(watch(client)) for client in clients]
    await eventually(lambda: len(codes) == 11)
    assert codes == [4409] * 11
    await eventually(lambda: sum(gateway.metric("push_gateway_connections") for gateway in gateways) == 1)
    (left,) = [client for client, task in zip(clients, watching, strict=True) if not task.done()]
    await left.socket.close()
    await asyncio.gather(*watching)


async def test_a_gateway_that_was_cut_off_finds_out_afterwards(
    plane: Plane, operators_nats_server: Nats, valkey_server: Valkey
) -> None:
    here = await plane.gateway()
    first = await plane.client(here, "bob", device_id="phone")
    async with Redis.from_url(valkey_server.url) as redis:
        await redis.hset("cursor:bob:phone", "connection", 7)  # as a gateway would that this one did not hear
        await operators_nats_server.kill()
        await operators_nats_server.start()
        assert await first.closed(within=20) == 4409


# Without Redis


async def test_without_redis_a_device_is_served_and_told_that_it_was_not_resumed(
    plane: Plane, valkey_server: Valkey
) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob", device_id="phone")
    await say(ann, "seen")
    first = await held(bob)
    await leave(bob, gateway)
    await valkey_server.kill()
    again = await plane.client(gateway, "bob", device_id="phone")
    assert (await again.expect("subscribed"))["reason"] == "no_cursor"
    own = await plane.client(gateway, "bob", device_id="phone", query="&resume=client")
    assert await again.closed() == 4409, "on one gateway the newer wins without Redis too"
    await say(ann, "meanwhile")
    assert (await own.expect("message"))["content"] == "meanwhile"
    await own.send(type="resume", channels={"user:bob": {"epoch": first["epoch"], "seq": first["seq"]}})
    assert (await own.expect("subscribed"))["recovered"]
    assert (await own.expect("message", replayed=True))["content"] == "meanwhile"


async def test_a_redis_that_has_lost_its_data_is_no_silent_gap(plane: Plane, valkey_server: Valkey) -> None:
    here = await plane.gateway()
    ann, bob = await plane.client(here, "ann"), await plane.client(here, "bob", device_id="phone")
    await say(ann, "seen")
    await held(bob)
    await leave(bob, here)
    async with Redis.from_url(valkey_server.url) as redis:
        await redis.flushall()
    there = await plane.gateway()
    again = await plane.client(there, "bob", device_id="phone")
    assert (await again.expect("subscribed"))["reason"] == "no_cursor"


async def test_the_last_cursor_is_there_for_the_next_gateway(plane: Plane, valkey_server: Valkey) -> None:
    """It is written when the socket goes, not a second later."""
    here = await plane.gateway()
    ann, bob = await plane.client(here, "ann"), await plane.client(here, "bob", device_id="phone")
    await say(ann, "one")
    await held(bob)
    async with Redis.from_url(valkey_server.url, decode_responses=True) as redis:
        await eventually(lambda: redis.hget("cursor:bob:phone", "user:bob"))
        for number in range(5):
            await say(ann, number)
            frame = await held(bob)
        await leave(bob, here)
        kept = f"{frame['epoch']} {frame['seq']}"

        async def written() -> bool:
            return bool(await redis.hget("cursor:bob:phone", "user:bob") == kept)

        await eventually(written, within=0.5)
        assert await redis.hget("cursor:bob:phone", "gateway") is None
