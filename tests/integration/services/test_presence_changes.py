"""What is told of a user, and when: the scripts in a real Valkey, step by step, and against a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from tests.support.servers import Valkey

from push_workloads.common import presence_keys as keys
from push_workloads.common.presence_changes import Change, PresenceChanges, read_presence

LONG_MS = 60_000


class World:
    """Two gateways' generations with a lease, `g1` and `g2`."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self._changes = PresenceChanges(redis)

    async def opens(self, gid: str, session: str, *, away: bool = False, device: str = "d1") -> list[str]:
        value = keys.format_opened(keys.Opened(1, "ws", device, away))
        return await self._told(gid, Change("ada", keys.field(gid, session), value))

    async def ends(self, gid: str, session: str, wait_ms: int = LONG_MS) -> list[str]:
        return await self._told(gid, Change("ada", keys.field(gid, session), ""), wait_ms)

    async def _told(self, gid: str, change: Change, wait_ms: int = LONG_MS) -> list[str]:
        return [one.status for one in await self._changes.write(gid, [change], wait_ms)]

    async def settled(self) -> list[str]:
        return [one.status for one in await self._changes.settle(100)]

    async def grace_is_over(self) -> list[str]:
        for user in await self.redis.zrange(keys.LEAVING, 0, -1):
            await self.redis.zadd(keys.LEAVING, {user: 0})
        return await self.settled()

    async def seen_by_others(self) -> str:
        (found,) = await read_presence(self.redis, ["ada"])
        return found.status


@pytest.fixture
async def world(valkey_server: Valkey) -> AsyncIterator[World]:
    async with Redis.from_url(valkey_server.url) as redis:
        await redis.mset({keys.lease("g1"): 1, keys.lease("g2"): 1})
        yield World(redis)


async def test_the_best_of_all_devices_counts(world: World) -> None:
    assert await world.opens("g1", "phone", away=True) == ["away"]
    assert await world.opens("g2", "laptop") == ["online"]
    assert await world.opens("g1", "tablet") == []
    assert await world.opens("g1", "tablet", away=True) == []
    assert await world.opens("g2", "laptop", away=True) == ["away"]
    assert await world.opens("g1", "phone") == ["online"]


async def test_a_reconnect_is_told_to_nobody(world: World) -> None:
    await world.opens("g1", "old")
    assert await world.ends("g1", "old") == []
    assert await world.settled() == []
    assert await world.seen_by_others() == "online"
    assert await world.opens("g2", "new") == []
    assert await world.grace_is_over() == []
    assert await world.seen_by_others() == "online"


async def test_an_away_device_that_comes_back_as_such_is_told_to_nobody(world: World) -> None:
    await world.opens("g1", "old", away=True)
    await world.ends("g1", "old")
    assert await world.opens("g2", "new", away=True) == []
    assert await world.grace_is_over() == []


async def test_the_online_one_of_two_devices_reconnects_and_nobody_hears_of_it(world: World) -> None:
    await world.opens("g1", "phone", away=True)
    await world.opens("g1", "laptop")
    assert await world.ends("g1", "laptop") == []
    assert await world.opens("g1", "phone", away=True) == []  # said again meanwhile
    assert await world.opens("g2", "laptop-2") == []
    assert await world.grace_is_over() == []


async def test_it_does_not_come_back_so_the_user_is_away(world: World) -> None:
    await world.opens("g1", "phone", away=True)
    await world.opens("g1", "laptop")
    await world.ends("g1", "laptop")
    assert await world.grace_is_over() == ["away"]
    assert await world.seen_by_others() == "away"


async def test_offline_is_told_once_and_after_the_grace(world: World) -> None:
    await world.opens("g1", "phone")
    assert await world.ends("g1", "phone", wait_ms=0) == []
    assert sorted(await asyncio.gather(world.settled(), world.settled())) == [[], ["offline"]]
    assert await world.settled() == []
    assert await world.ends("g1", "phone") == []
    (found,) = await read_presence(world.redis, ["ada"])
    assert found.status == "offline"
    assert abs(int(found.last_seen or 0) - time.time() * 1000) < 60_000
    assert not await world.redis.exists(keys.told("ada"), keys.user("ada"), keys.LEAVING)


async def test_the_end_of_an_old_socket_ends_no_new_one(world: World) -> None:
    await world.opens("g1", "old")
    await world.opens("g2", "new")
    assert await world.ends("g1", "old") == []
    assert await world.ends("g1", "new") == []  # another gateway's: not this one's to end
    assert await world.grace_is_over() == []
    assert await world.seen_by_others() == "online"


async def test_the_first_end_of_a_grace_stays(world: World) -> None:
    await world.opens("g1", "one")
    await world.opens("g1", "two")
    await world.ends("g1", "one", wait_ms=0)
    await world.ends("g1", "two", wait_ms=0)
    await world.ends("g1", "three")
    assert await world.settled() == ["offline"]


async def test_an_away_phone_that_reconnects_while_the_laptop_has_just_gone_is_not_offline(world: World) -> None:
    await world.opens("g1", "laptop")
    await world.opens("g2", "phone", away=True)
    assert await world.ends("g1", "laptop", wait_ms=0) == []
    assert await world.ends("g2", "phone") == []  # its grace is its own
    assert await world.settled() == []
    assert await world.opens("g1", "the phone again", away=True) == []
    assert await world.grace_is_over() == ["away"]


async def test_a_device_may_be_called_away(world: World) -> None:
    assert await world.opens("g1", "phone", device="away") == ["online"]
    assert await world.opens("g1", "phone", device="away", away=True) == ["away"]


async def test_of_who_has_gone_nothing_is_left_to_sweep(world: World) -> None:
    await world.opens("g1", "one")
    await world.opens("g1", "two")
    await world.opens("g2", "three")
    await world.ends("g1", "one")
    assert await world.redis.smembers(keys.sessions_of("g1")) == {b"ada"}
    await world.ends("g1", "two")
    assert await world.redis.smembers(keys.sessions_of("g1")) == set()
    assert await world.redis.smembers(keys.sessions_of("g2")) == {b"ada"}


async def test_a_gateway_without_a_lease_holds_nobody_and_its_end_is_no_wish_to_be_away(world: World) -> None:
    await world.opens("g1", "laptop")
    await world.opens("g2", "phone", away=True)
    await world.redis.delete(keys.lease("g1"))
    assert await world.opens("g2", "phone", away=True) == []
    assert await world.seen_by_others() == "online"
    assert await world.grace_is_over() == ["away"]


async def test_a_late_write_of_a_swept_gateway_tells_nothing(world: World) -> None:
    await world.redis.delete(keys.lease("g1"))
    assert await world.opens("g1", "phone") == []
    assert await world.seen_by_others() == "offline"
    assert await world.redis.sismember(keys.GATEWAYS, "g1")


async def test_revisions_only_grow(world: World) -> None:
    changes, revisions = PresenceChanges(world.redis), []
    field = keys.field("g1", "phone")
    for number in range(20):
        value = keys.format_opened(keys.Opened(1, "ws", "d1", away=number % 2 == 1))
        revisions += [one.revision for one in await changes.write("g1", [Change("ada", field, value)], LONG_MS)]
    await changes.write("g1", [Change("ada", field, "")], 0)
    revisions += [one.revision for one in await changes.settle(1)]
    assert len(revisions) == 21
    assert revisions == sorted(set(revisions))


async def test_what_is_due_comes_in_pages(world: World) -> None:
    changes = PresenceChanges(world.redis)
    users = [f"user {number}" for number in range(25)]
    opened = keys.format_opened(keys.Opened(1, "ws", "d1"))
    await changes.write("g1", [Change(one, keys.field("g1", one), opened) for one in users], LONG_MS)
    await changes.write("g1", [Change(one, keys.field("g1", one), "") for one in users], 0)
    pages = [[one.user_id for one in await changes.settle(10)] for _ in range(4)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert sorted(user for page in pages for user in page) == sorted(users)
