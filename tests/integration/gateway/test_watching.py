"""Who watches is told, whichever gateway holds whom: over real servers, with the real services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.chat import Client, Frame, Plane, data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually


async def _watch(client: Client, *user_ids: str) -> list[str]:
    """The statuses, in the order of the ids."""
    await client.send(type="watch", user_ids=list(user_ids))
    return [(await client.expect("presence", user_id=one))["status"] for one in user_ids]


async def _sees(client: Client, user_id: str, status: str = "online") -> None:
    """Watches until it is so: as a contact the user may be new, and a socket takes a moment to be seen."""

    async def is_so() -> bool:
        return await _watch(client, user_id) == [status]

    await eventually(is_so)
    await _watch(client, "nobody")  # answers come in their order: all of the earlier ones are there by then
    await client.nothing_but_pong()  # so nothing of them is taken for what comes later


@pytest.fixture
async def open_plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    """Everyone may see everyone, and there is no grace."""
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        await plane.message(PRESENCE_VISIBLE_TO="everyone")
        await plane.presence(PRESENCE_GRACE_SECONDS="0")
        yield plane


async def test_a_watcher_is_told_how_it_is_and_what_changes(open_plane: Plane) -> None:
    here, there = [await open_plane.gateway(PRESENCE_GRACE_SECONDS="0") for _ in range(2)]
    ann = await open_plane.client(here, "ann")
    bob = await open_plane.client(there, "bob")
    await _sees(ann, "bob")
    assert await _watch(ann, "bob", "nobody") == ["online", "offline"]
    await bob.send(type="status", status="away")
    assert (await ann.expect("presence"))["status"] == "away"
    second = await open_plane.client(here, "bob")
    assert (await ann.expect("presence"))["status"] == "online"
    await second.socket.close()
    assert (await ann.expect("presence"))["status"] == "away"
    await bob.socket.close()
    gone = await ann.expect("presence")
    assert (gone["user_id"], gone["status"]) == ("bob", "offline")
    assert gone["last_seen"] > 0
    assert await ann.nothing_but_pong() == []


# Who may watch whom


@pytest.fixture
async def contacts(plane: Plane) -> Plane:
    """What a cluster does unasked, without a grace."""
    await plane.presence(PRESENCE_GRACE_SECONDS="0")
    return plane


async def _call(http: ClientSession, service: InProcess, user_id: str, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token_for(user_id)}"}
    async with http.request(method, service.url + path, json=body, headers=headers) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json() if answer.status != 204 else None


async def _talk(one: Client, to: str) -> None:
    await one.send(type="send_message", recipient_id=to, content="hello", id="talk")
    assert (await one.answer("talk"))["type"] == "ack"


async def test_contacts_are_who_shares_a_conversation_or_a_group(contacts: Plane, http: ClientSession) -> None:
    gateway, message = await contacts.gateway(), contacts.messages[0]
    ann, _bob, _cid, eve = [await contacts.client(gateway, name) for name in ("ann", "bob", "cid", "eve")]
    await _sees(ann, "ann")
    await _sees(eve, "eve")
    assert await _watch(ann, "bob", "cid", "eve") == ["offline", "offline", "offline"]
    await _talk(ann, "bob")
    await _sees(ann, "bob")
    await _call(http, message, "ann", "POST", "/groups", {"name": "Friends", "members": ["cid"]})
    await _sees(ann, "cid")
    assert await _watch(ann, "eve") == ["offline"]


async def test_who_may_not_be_seen_looks_like_nobody(contacts: Plane, http: ClientSession) -> None:
    here, there = await contacts.gateway(PRESENCE_GRACE_SECONDS="0"), await contacts.gateway()
    presence = await contacts.presence()
    ann, eve = await contacts.client(here, "ann"), await contacts.client(here, "eve")
    other = await contacts.client(there, "eve")
    await eve.socket.close()
    await eve.closed()
    await ann.send(type="watch", user_ids=["eve", "nobody"])
    told = [await ann.expect("presence", user_id=one) for one in ("eve", "nobody")]
    assert [one | {"user_id": ""} for one in told] == [
        {"type": "presence", "user_id": "", "status": "offline", "last_seen": None}
    ] * 2
    await other.send(type="status", status="away")
    await other.nothing_but_pong()
    assert await ann.nothing_but_pong() == []
    found = (await _call(http, presence, "ann", "GET", "/presence?user_ids=eve,nobody"))["presence"]
    assert [(one["status"], one["last_seen"]) for one in found] == [("offline", None)] * 2


@pytest.mark.parametrize("who_blocks", ["ann", "bob"])
async def test_a_block_ends_it_at_once_and_both_ways(contacts: Plane, http: ClientSession, who_blocks: str) -> None:
    gateway, message = await contacts.gateway(), contacts.messages[0]
    ann, bob = await contacts.client(gateway, "ann"), await contacts.client(gateway, "bob")
    await _talk(ann, "bob")
    await _sees(ann, "bob")
    path = f"/blocks/{'bob' if who_blocks == 'ann' else 'ann'}"
    await _call(http, message, who_blocks, "PUT", path)
    assert await ann.expect("presence") == {
        "type": "presence", "user_id": "bob", "status": "offline", "last_seen": None
    }  # fmt: skip
    assert await _watch(bob, "ann") == ["offline"]
    await _call(http, message, who_blocks, "DELETE", path)
    assert (await ann.expect("presence"))["status"] == "online"


async def test_a_user_who_hides_is_seen_by_nobody_and_sees_others(contacts: Plane, http: ClientSession) -> None:
    gateway, message = await contacts.gateway(), contacts.messages[0]
    ann, bob = await contacts.client(gateway, "ann"), await contacts.client(gateway, "bob")
    await _talk(ann, "bob")
    await _sees(ann, "bob")
    assert await _call(http, message, "bob", "GET", "/privacy") == {"presence": "everyone"}
    await _call(http, message, "bob", "PUT", "/privacy", {"presence": "nobody"})
    assert (await ann.expect("presence"))["status"] == "offline"
    await _sees(bob, "bob")
    await _sees(bob, "ann")
    assert await _call(http, message, "bob", "GET", "/privacy") == {"presence": "nobody"}
    await _call(http, message, "bob", "PUT", "/privacy", {"presence": "contacts"})
    assert (await ann.expect("presence"))["status"] == "online"


async def test_who_unwatches_is_told_no_more(open_plane: Plane) -> None:
    gateway = await open_plane.gateway()
    ann, bob = await open_plane.client(gateway, "ann"), await open_plane.client(gateway, "bob")
    await _sees(ann, "bob")
    await ann.send(type="unwatch", user_ids=["bob", "never watched"])
    eve = await open_plane.client(gateway, "eve")
    await _sees(eve, "bob")
    await bob.send(type="status", status="away")
    await eve.expect("presence", status="away")
    assert await ann.nothing_but_pong() == []


async def test_a_device_that_comes_back_away_is_never_seen_online(open_plane: Plane) -> None:
    gateway = await open_plane.gateway()
    ann = await open_plane.client(gateway, "ann")
    await ann.send(type="watch", user_ids=["bob"])
    await ann.expect("presence", status="offline")
    await open_plane.client(gateway, "bob", query="&status=away")
    assert (await ann.expect("presence"))["status"] == "away"
    assert await ann.nothing_but_pong() == []


async def test_the_service_credential_sees_everybody(plane: Plane, http: ClientSession) -> None:
    key = "the service key of the Secret, long enough"
    presence, gateway = await plane.presence(SERVICE_KEY=key), await plane.gateway()
    await plane.client(gateway, "bob")

    async def seen() -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        async with http.get(f"{presence.url}/presence?user_ids=bob", headers=headers) as answer:
            found: Frame = await answer.json()
            return bool(found["presence"][0]["status"] == "online")

    await eventually(seen)
