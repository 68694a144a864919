"""Groups, topics and blocks through both services over a real NATS and Valkey: what clients on sockets see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.integration.gateway.test_resuming import held, leave
from tests.support.chat import Client, Frame, Plane, data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

KEY = "a service key, long enough to be one"
TOPICS = json.dumps(
    [{"prefix": "news.", "read": "everyone"}, {"prefix": "wall", "read": "everyone", "write": "everyone"}]
)
DEDUP = "a-random-key-of-20-c"


class World:
    """A gateway, a message service, and the HTTP of the latter."""

    def __init__(self, plane: Plane, gateway: InProcess, message: InProcess, http: ClientSession) -> None:
        self.plane = plane
        self.gateway = gateway
        self.message = message
        self._http = http

    async def asks(self, user_id: str, method: str, path: str, body: Any = None, status: int = 200) -> Frame:
        token = KEY if user_id == "$service" else token_for(user_id)
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.request(method, self.message.url + path, json=body, headers=headers) as answer:
            assert answer.status == status, await answer.text()
            return {} if answer.status == 204 else await answer.json()

    async def client(self, user_id: str, device_id: str | None = None) -> Client:
        return await self.plane.client(self.gateway, user_id, device_id=device_id)

    async def group(self, owner: str, *members: str) -> Frame:
        return await self.asks(owner, "POST", "/groups", {"name": "Friends", "members": list(members)}, 201)


@pytest.fixture
async def world(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> AsyncIterator[World]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        message = await plane.message(SERVICE_KEY=KEY, TOPIC_POLICIES=TOPICS)
        yield World(plane, await plane.gateway(), message, http)


async def test_a_group_made_while_its_members_are_here_is_theirs_at_once(world: World) -> None:
    ann, bob = await world.client("ann"), await world.client("bob")
    made = await world.group("ann", "bob")
    channel = made["channel"]
    for client, user in ((ann, "ann"), (bob, "bob")):
        added = await client.expect("membership", channel=f"user:{user}")
        assert (added["change"], added["group_id"], added["name"]) == ("added", made["group_id"], "Friends")
        assert (await client.expect("subscribed", channel=channel))["recovered"]
        assert (await client.expect("membership", channel=channel))["user_ids"] == ["ann", "bob"]
    await ann.send(type="send_message", id="1", channel=channel, content="Hi all", dedup_id=DEDUP)
    ack = await ann.answer("1")
    got = await bob.expect("message", channel=channel)
    assert (got["content"], got["from"], got["conversation"]) == ("Hi all", "ann", channel)
    assert (ack["channel"], ack["epoch"], ack["seq"], ack["message_id"]) == (
        channel, got["epoch"], got["seq"], got["message_id"],
    )  # fmt: skip
    await ann.send(type="send_message", id="2", channel=channel, content="Hi all", dedup_id=DEDUP)
    again = await ann.answer("2")
    assert (again["duplicate"], again["message_id"]) == (True, ack["message_id"])
    await ann.send(type="send_message", id="3", channel=channel, content="Other", dedup_id=DEDUP)
    assert (await ann.answer("3"))["code"] == "conflict"


async def test_a_message_to_a_group_that_was_just_made_does_not_wait_to_be_told(world: World) -> None:
    ann = await world.client("ann")
    made = await world.group("ann")
    await ann.send(type="send_message", id="1", channel=made["channel"], content=1)
    assert (await ann.answer("1"))["type"] == "ack"


async def test_who_is_removed_sees_that_and_nothing_after(world: World) -> None:
    made = await world.group("ann", "bob")
    channel, path = made["channel"], f"/groups/{made['group_id']}"
    ann, bob = await world.client("ann"), await world.client("bob")
    for client in (ann, bob):
        await client.expect("subscribed", channel=channel)
    await world.asks("ann", "DELETE", f"{path}/members/bob", status=204)
    await ann.expect("membership", channel=channel, change="removed")
    assert (await bob.expect("membership", channel=channel))["change"] == "removed"
    assert (await bob.expect("membership", channel="user:bob"))["change"] == "removed"
    await ann.send(type="send_message", id="1", channel=channel, content="without bob")
    assert (await ann.answer("1"))["type"] == "ack"
    assert await bob.nothing_but_pong() == []
    for frame in ({"type": "send_message", "content": 1}, {"type": "subscribe"}):
        await bob.send(id="x", channel=channel, **frame)
        assert (await bob.answer("x"))["code"] == "not_found"
    await world.asks("bob", "GET", path, status=404)
    assert (await world.asks("bob", "GET", "/groups"))["groups"] == []


async def test_a_device_goes_on_in_its_groups_and_never_before_it_joined(world: World) -> None:
    made = await world.group("ann", "bob")
    channel, path = made["channel"], f"/groups/{made['group_id']}"
    ann, bob = await world.client("ann"), await world.client("bob", "phone")
    await asyncio.gather(ann.expect("subscribed", channel=channel), bob.expect("subscribed", channel=channel))
    await ann.send(type="send_message", id="1", channel=channel, content="seen")
    await held(bob)
    await bob.send(type="received", channel="user:bob", seq=bob.welcome["inbox"]["seq"])
    await bob.nothing_but_pong()
    await leave(bob, world.gateway)
    await ann.send(type="send_message", id="2", channel=channel, content="missed")
    await ann.answer("2")
    bob = await world.client("bob", "phone")
    assert (await bob.expect("message", channel=channel))["content"] == "missed"
    await leave(bob, world.gateway)

    await world.asks("ann", "DELETE", f"{path}/members/bob", status=204)
    await ann.send(type="send_message", id="3", channel=channel, content="not for bob")
    await ann.answer("3")
    await world.asks("ann", "PUT", f"{path}/members/bob", {})
    await ann.send(type="send_message", id="4", channel=channel, content="for bob again")
    await ann.answer("4")
    bob = await world.client("bob", "phone")
    assert (await bob.expect("membership", channel=channel))["change"] == "added"
    assert (await bob.expect("message", channel=channel))["content"] == "for bob again"
    assert [frame for frame in await bob.nothing_but_pong() if frame["type"] == "message"] == []


async def test_groups_wait_for_a_client_that_says_itself_where_it_goes_on(world: World) -> None:
    seen, channels = {}, [(await world.group("ann", "bob"))["channel"] for _ in range(2)]
    ann = await world.client("ann")
    for number, channel in enumerate(channels):
        await ann.send(type="send_message", id=str(number), channel=channel, content="missed")
        seen[channel] = await ann.answer(str(number))
    bob = await world.plane.client(world.gateway, "bob", device_id="phone", query="&resume=client")
    await bob.send(type="send_message", id="x", channel=channels[0], content="where are we?")
    assert (await bob.answer("x"))["type"] == "ack", "the gateway knows the groups"
    assert await bob.nothing_but_pong() == []
    named, other = channels
    place = {"epoch": seen[named]["epoch"], "seq": seen[named]["seq"] - 1}
    await bob.send(type="resume", id="r", channels={named: place})
    assert (await bob.expect("subscribed", id="r"))["since"] == place["seq"]
    for channel in (named, other):
        assert (await bob.expect("message", channel=channel))["content"] == "missed"


async def test_changes_are_told_to_members_and_a_deleted_group_is_gone(world: World) -> None:
    made = await world.group("ann", "bob")
    channel, path = made["channel"], f"/groups/{made['group_id']}"
    bob = await world.client("bob")
    await bob.expect("subscribed", channel=channel)
    assert (await world.asks("ann", "PATCH", path, {"name": "Pals"}))["name"] == "Pals"
    assert (await bob.expect("membership", change="renamed"))["name"] == "Pals"
    await world.asks("ann", "PUT", f"{path}/members/bob", {"role": "owner"})
    assert (await bob.expect("membership", change="role"))["role"] == "owner"
    assert (await world.asks("bob", "GET", path))["role"] == "owner"
    await world.asks("ann", "DELETE", path, status=403)
    await world.asks("bob", "DELETE", path, status=204)
    await bob.expect("membership", change="deleted")
    await bob.send(type="send_message", id="x", channel=channel, content=1)
    assert (await bob.answer("x"))["code"] == "not_found"


async def test_topics_are_read_by_policy_and_written_by_the_service_credential(world: World) -> None:
    ann = await world.client("ann")
    for channel, code in (("topic:news.de", "subscribed"), ("topic:secret", "forbidden")):
        await ann.send(type="subscribe", id=channel, channel=channel)
        answer = await ann.answer(channel)
        assert code in (answer["type"], answer.get("code"))
    await ann.send(type="send_message", id="w", channel="topic:news.de", content=1)
    assert (await ann.answer("w"))["code"] == "forbidden"
    await ann.send(type="subscribe", id="s", channel="topic:wall")
    await ann.answer("s")
    await ann.send(type="send_message", id="m", channel="topic:wall", content="graffiti")
    assert (await ann.answer("m"))["channel"] == "topic:wall"

    await world.asks("ann", "PUT", "/topics/secret", {"read": "everyone"}, 403)
    await world.asks("$service", "PUT", "/topics/secret", {"read": "everyone"}, 204)

    async def lets_in() -> bool:
        await ann.send(type="subscribe", id="again", channel="topic:secret")
        return bool((await ann.answer("again"))["type"] == "subscribed")

    await eventually(lets_in)
    listed = (await world.asks("$service", "GET", "/topics"))["topics"]
    assert [(one["prefix"], one["stored"]) for one in listed] == [("news.", False), ("secret", True), ("wall", False)]


async def test_who_is_blocked_hears_so_at_once_and_is_heard_again_afterwards(world: World) -> None:
    ann, bob = await world.client("ann"), await world.client("bob")
    await bob.send(type="send_message", id="1", recipient_id="ann", content="hi")
    assert (await bob.answer("1"))["type"] == "ack"
    await world.asks("ann", "PUT", "/blocks/bob", status=204)
    assert (await world.asks("ann", "GET", "/blocks"))["user_ids"] == ["bob"]

    async def refused() -> bool:
        await bob.send(type="send_message", id="2", recipient_id="ann", content="hi?")
        return (await bob.answer("2")).get("code") == "forbidden"

    await eventually(refused)
    await bob.send(type="typing", recipient_id="ann", state="start")
    await bob.nothing_but_pong()
    await ann.nothing_but_pong()
    await ann.send(type="send_message", id="3", recipient_id="bob", content="you hear me")
    assert (await ann.answer("3"))["type"] == "ack"
    await world.asks("ann", "DELETE", "/blocks/bob", status=204)

    async def taken() -> bool:
        await bob.send(type="send_message", id="4", recipient_id="ann", content="back")
        return bool((await bob.answer("4"))["type"] == "ack")

    await eventually(taken)


async def test_typing_reaches_the_other_side_and_not_oneself(world: World) -> None:
    made = await world.group("ann", "bob")
    ann, bob = await world.client("ann"), await world.client("bob")
    await asyncio.gather(*(one.expect("subscribed", channel=made["channel"]) for one in (ann, bob)))
    await ann.send(type="typing", recipient_id="bob", state="start")
    assert await bob.expect("typing") == {"type": "typing", "from": "ann", "state": "start"}
    await ann.send(type="typing", channel=made["channel"], state="start")
    assert (await bob.expect("typing"))["channel"] == made["channel"]
    await ann.socket.close()
    assert {(await bob.expect("typing", state="stop")).get("channel") for _ in range(2)} == {None, made["channel"]}


async def test_many_are_added_a_hundred_at_a_time(world: World) -> None:
    made = await world.asks("$service", "POST", "/groups", {"name": "All", "owner": "ann"}, 201)
    path = f"/groups/{made['group_id']}/members"
    for start in range(0, 500, 100):
        users = [f"user{number:04}" for number in range(start, start + 100)]
        answer = await world.asks("$service", "POST", path, {"user_ids": users})
    assert answer["members"] == 501
    page = await world.asks("ann", "GET", f"{path}?limit=200&after=user0250")
    assert (len(page["members"]), page["members"][0]["user_id"], page["next"]) == (200, "user0251", "user0450")
    await world.asks("ann", "POST", path, {"user_ids": [f"u{n}" for n in range(101)]}, 400)


@pytest.mark.parametrize(
    ("user", "method", "path", "body", "status"),
    [
        ("ann", "POST", "/groups", {"name": ""}, 400),
        ("ann", "POST", "/groups", {"name": "x", "owner": "bob"}, 403),
        ("$service", "POST", "/groups", {"name": "x"}, 403),
        ("ann", "POST", "/groups", {"name": "x", "members": ["\ud800"]}, 400),
        ("ann", "POST", "/groups", {"name": "x", "members": ["$service"]}, 403),
        ("ann", "GET", "/groups/none", None, 404),
        ("ann", "DELETE", "/groups/none/members/ann", None, 404),
        ("ann", "PUT", "/blocks/ann", None, 400),
        ("ann", "PUT", "/blocks/" + "x" * 200, None, 400),
        ("$service", "PUT", "/topics/t", {"read": "all"}, 400),
    ],
)
async def test_what_is_refused_says_so(world: World, user: str, method: str, path: str, body: Any, status: int) -> None:
    answer = await world.asks(user, method, path, body, status)
    assert answer["error"]["message"]
