"""Who watches is told, whichever gateway holds whom: over real servers, with the real services."""

from __future__ import annotations

import pytest
from tests.support.chat import Client, Plane
from tests.support.waiting import eventually


async def _watch(client: Client, *user_ids: str) -> list[str]:
    """The statuses, in the order of the ids."""
    await client.send(type="watch", user_ids=list(user_ids))
    return [(await client.expect("presence", user_id=one))["status"] for one in user_ids]


@pytest.fixture
async def open_plane(plane: Plane) -> Plane:
    """Everyone may see everyone, and there is no grace."""
    await plane.message(PRESENCE_VISIBLE_TO="everyone")
    await plane.presence(PRESENCE_GRACE_SECONDS="0")
    return plane


async def test_a_watcher_is_told_how_it_is_and_what_changes(open_plane: Plane) -> None:
    here, there = [await open_plane.gateway(PRESENCE_GRACE_SECONDS="0") for _ in range(2)]
    ann = await open_plane.client(here, "ann")
    bob = await open_plane.client(there, "bob")
    assert await eventually(lambda: _until(ann, "bob", "online"))
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


async def _until(client: Client, user_id: str, status: str) -> bool:
    return await _watch(client, user_id) == [status]
