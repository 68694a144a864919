"""The Python client in groups and topics, with receipts and typing, against real services and over cuts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.chat import data_plane, token_for
from tests.support.proxy import Proxy, proxy
from tests.support.servers import Nats, Valkey
from tests.support.waiting import eventually

from push_client import (
    Api,
    Client,
    Endpoints,
    Event,
    Gap,
    Membership,
    MemoryState,
    Message,
    Receipt,
    Refused,
    Subscribed,
    Typing,
)

POLICIES = [
    {"prefix": "news", "read": "everyone", "write": "service", "writers": ["ann"]},
    {"prefix": "secret", "read": "service", "write": "service"},
]
FAST = {"FRAMES_PER_SECOND": "100000", "FRAMES_BURST": "100000"}


class World:
    """Services, and a network to them."""

    def __init__(self, network: Proxy, message: str) -> None:
        self.network = network
        self._message = message

    def client(self, user: str, state: MemoryState | None = None) -> Client:
        return Client(f"ws://127.0.0.1:{self.network.port}/ws", token_for(user), state=state)

    def api(self, user: str) -> Api:
        return Api(Endpoints("", self._message), token_for(user))


@pytest.fixture
async def world(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[World]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        message = await plane.message(TOPIC_POLICIES=json.dumps(POLICIES))
        gateway = await plane.gateway(**FAST)
        async with proxy(gateway.port) as network:
            yield World(network, message.url)


@asynccontextmanager
async def listening(client: Client) -> AsyncIterator[list[Event]]:
    """What the client hears meanwhile."""
    heard: list[Event] = []

    async def listen() -> None:
        async for event in client.events():
            heard.append(event)  # noqa: PERF401 -- seen while it grows

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def contents(heard: list[Event], channel: str) -> list[object]:
    return [one.content for one in heard if isinstance(one, Message) and one.channel == channel]


def have(heard: list[Event], kind: type[Event], fits: Callable[[Event], bool] = bool) -> Callable[[], bool]:
    return lambda: any(isinstance(one, kind) and fits(one) for one in heard)


async def test_a_member_reads_from_its_first_message_to_its_last(world: World) -> None:
    async with world.api("ann") as api, world.client("ann") as ann, world.client("bob") as bob:
        await asyncio.gather(ann.until_connected(), bob.until_connected())
        group = await api.create_group("Team")
        channel = group["channel"]
        async with listening(bob) as heard:
            await ann.send(channel=channel, content="before")
            await api.add_members(group["group_id"], ["bob"])
            await ann.send(channel=channel, content="hello")
            await eventually(lambda: contents(heard, channel) == ["hello"])
            await bob.send(channel=channel, content="hello to you")
            await api.remove_member(group["group_id"], "bob")
            await eventually(have(heard, Membership, lambda one: getattr(one, "change", "") == "removed"))
            await ann.send(channel=channel, content="after")
            with pytest.raises(Refused):
                await bob.send(channel=channel, content="still here?")
            await ann.send(to="bob", content="a fence")
            await eventually(lambda: contents(heard, "user:bob") == ["a fence"])
            assert contents(heard, channel) == ["hello"]
            changes = [(one.change, one.mine) for one in heard if isinstance(one, Membership)]
            assert set(changes) == {("added", True), ("added", False), ("removed", True), ("removed", False)}


async def test_groups_go_on_where_the_device_stopped(world: World) -> None:
    state = MemoryState()
    async with world.api("ann") as api, world.client("ann") as ann:
        channels = [(await api.create_group(f"Team {number}", ["bob"]))["channel"] for number in range(3)]
        async with world.client("bob", state) as bob, listening(bob) as heard:
            await eventually(lambda: sum(isinstance(one, Subscribed) for one in heard) == 3)  # a new device: the end
            for channel in channels:
                await ann.send(channel=channel, content=0)
            await eventually(lambda: all(contents(heard, channel) == [0] for channel in channels))
            world.network.refuse(True)
            world.network.cut()
            sending = [asyncio.create_task(ann.send(channel=channel, content=1)) for channel in channels]
            world.network.refuse(False)
            await asyncio.gather(*sending)
            await eventually(lambda: all(contents(heard, channel) == [0, 1] for channel in channels))
        for channel in channels:
            await ann.send(channel=channel, content=2)
        newer = (await api.create_group("Newer", ["bob"]))["channel"]
        await ann.send(channel=newer, content=2)
        async with world.client("bob", state) as bob, listening(bob) as heard:
            await eventually(lambda: all(contents(heard, channel) == [2] for channel in channels))
            await eventually(lambda: contents(heard, newer) == [2])
            assert not any(isinstance(one, Gap) for one in heard)


async def test_receipts_and_typing(world: World) -> None:
    async with (
        world.client("ann") as ann,
        world.client("bob") as bob,
        listening(ann) as ann_hears,
        listening(bob) as bob_hears,
    ):
        await asyncio.gather(ann.until_connected(), bob.until_connected())
        bob.typing(to="ann")
        await eventually(have(ann_hears, Typing, lambda one: one == Typing("bob", "bob", "start")))
        sent = await ann.send(to="bob", content="hello")
        await eventually(have(bob_hears, Message))
        delivered = Receipt("delivered", "bob", "bob", sent.message_id, sent.sent_at)
        await eventually(have(ann_hears, Receipt, lambda one: one == delivered))
        bob.read(next(one for one in bob_hears if isinstance(one, Message)))
        read = Receipt("read", "bob", "bob", sent.message_id, sent.sent_at)
        await eventually(have(ann_hears, Receipt, lambda one: one == read))
        await eventually(have(ann_hears, Typing, lambda one: one == Typing("bob", "bob", "stop")))


async def test_topics_are_read_where_one_may_over_a_cut(world: World) -> None:
    async with world.client("ann") as ann, world.client("bob") as bob, listening(bob) as heard:
        await bob.subscribe("topic:news.today")
        with pytest.raises(Refused, match="forbidden"):
            await bob.subscribe("topic:secret.plans")
        with pytest.raises(Refused, match="forbidden"):
            await bob.send(channel="topic:news.today", content="me too")
        await ann.send(channel="topic:news.today", content=1)
        await eventually(lambda: contents(heard, "topic:news.today") == [1])
        world.network.cut()
        await ann.send(channel="topic:news.today", content=2)
        await eventually(lambda: contents(heard, "topic:news.today") == [1, 2])
