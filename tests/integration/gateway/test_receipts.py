"""Receipts from socket to socket: what has been delivered and read is told, stored, and told once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession
from tests.integration.gateway.test_groups import World
from tests.support.calls import on_the_bus
from tests.support.chat import Client, Frame, data_plane
from tests.support.servers import Nats, Valkey
from tests.support.waiting import eventually

from push_workloads.common.questions import UNREAD, UnreadAsked

HOLD_OFF_SECONDS = 3.0  # what a push waits at least while its user has a socket


@pytest.fixture
async def world(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> AsyncIterator[World]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        message = await plane.message()
        yield World(plane, await plane.gateway(), message, http)


async def said(sender: Client, content: object, **to: str) -> Frame:
    await sender.send(type="send_message", id="said", content=content, **to)
    return await sender.answer("said")


async def test_a_sender_hears_that_a_message_came_and_was_read_and_so_do_the_readers_other_devices(
    world: World,
) -> None:
    ann, bob, tablet = await world.client("ann"), await world.client("bob"), await world.client("bob")
    first, last = [await said(ann, content, recipient_id="bob") for content in ("one", "two")]
    got = [await bob.expect("message") for _ in range(2)][-1]
    await bob.send(type="received", channel="user:bob", seq=got["seq"])
    delivered = await ann.expect("receipt")
    assert (delivered["kind"], delivered["by"], delivered["conversation"]) == ("delivered", "bob", "bob")
    assert delivered["message_id"] == last["message_id"]
    await bob.send(type="read", channel="user:bob", seq=got["seq"], conversation="ann")
    for client, conversation in ((ann, "bob"), (tablet, "ann")):
        read = await client.expect("receipt", kind="read")
        assert (read["by"], read["conversation"], read["message_id"]) == ("bob", conversation, last["message_id"])
    assert first["message_id"] != last["message_id"]
    await bob.send(type="read", channel="user:bob", seq=got["seq"], conversation="ann")
    await said(ann, "three", recipient_id="bob")
    third = await bob.expect("message")
    await bob.send(type="read", channel="user:bob", seq=third["seq"], conversation="ann")
    assert (await ann.expect("receipt", kind="read"))["message_id"] == third["message_id"], "the repeat told nothing"


async def test_reading_in_a_group_is_told_to_the_group(world: World) -> None:
    made = await world.group("ann", "bob", "cid")
    channel = made["channel"]
    ann, bob, cid = [await world.client(user) for user in ("ann", "bob", "cid")]
    await asyncio.gather(*(one.expect("subscribed", channel=channel) for one in (ann, bob, cid)))
    ack = await said(ann, "hi", channel=channel)
    got = await bob.expect("message", channel=channel)
    await bob.send(type="read", channel=channel, seq=got["seq"])
    for client in (ann, cid):
        read = await client.expect("receipt")
        assert (read["kind"], read["by"], read["channel"], read["message_id"]) == (
            "read", "bob", channel, ack["message_id"],
        )  # fmt: skip


async def test_receipts_wait_while_the_message_service_is_away(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path
) -> None:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        async with data_plane(operators_nats_server, valkey_server, tmp_path) as first:
            await first.message()
            gateway = await plane.gateway()
            ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
            await said(ann, "one", recipient_id="bob")
            got = await bob.expect("message")
        await bob.send(type="read", channel="user:bob", seq=got["seq"], conversation="ann")
        await bob.nothing_but_pong()
        await plane.message()
        assert (await ann.expect("receipt", within=10, kind="read"))["message_id"] == got["message_id"]


async def test_what_was_read_cancels_a_push_before_its_hold_off_ends(world: World, operators_nats_server: Nats) -> None:
    """From the frame on to the answer that the push service gets: receipts are batched for 0.2 s on the way."""
    ann, bob = await world.client("ann"), await world.client("bob")
    async with on_the_bus(operators_nats_server, "push") as push:

        async def is_read(of: Frame) -> bool:
            asked = UnreadAsked("bob", "user:ann", of["sent_at"], of["message_id"])
            answer = await push.request(UNREAD, msgspec.json.encode(asked), timeout=5)
            return bool(msgspec.json.decode(answer.data)["read"])

        for content in range(3):
            ack = await said(ann, content, recipient_id="bob")
            got = await bob.expect("message", message_id=ack["message_id"])
            assert not await is_read(got)
            await bob.send(type="read", channel="user:bob", seq=got["seq"], conversation="ann")
            await eventually(partial(is_read, got), within=HOLD_OFF_SECONDS)
