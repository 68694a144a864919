"""The adapters of broadcasts and followers behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer

from push_workloads.push.broadcast.memory import MemoryBroadcasts
from push_workloads.push.broadcast.model import Broadcast, Ends, Stage
from push_workloads.push.broadcast.ports import FOLLOWER_BUCKETS, KEEP_DAYS, Broadcasts, Follower, bucket_of
from push_workloads.push.cassandra_stores import cassandra_stores
from push_workloads.push.stores import sqlite_stores

NOW = 1_800_000_000_000
NEWS = Broadcast("b1", 1, b"digest", b'{"title":"News"}', NOW, Stage.RUNNING, NOW)


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Broadcasts]:
    if request.param == "memory":
        yield MemoryBroadcasts()
    elif request.param == "sqlite":
        async with sqlite_stores(str(tmp_path / "devices.db"), lambda: NOW) as in_file:
            yield in_file.broadcasts
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_stores(await server.emptied("contract_push"), {}) as shared:
            yield shared.broadcasts


async def test_of_many_with_one_id_one_is_added(store: Broadcasts) -> None:
    assert await store.one("b1") is None
    asked = [NEWS._replace(digest=bytes([number]), created_at=NOW + number) for number in range(6)]
    stands = await asyncio.gather(*map(store.add, asked))
    winner = asked[stands.index(None)]
    assert [one for one in stands if one is not None] == [winner] * 5
    assert await store.one("b1") == winner
    assert await store.listed(10) == [winner]
    assert await store.open_ids() == ["b1"]


async def test_of_many_that_move_it_on_one_does(store: Broadcasts) -> None:
    await store.add(NEWS)
    wanted = [NEWS._replace(place=f"p{number}", seen=5, queued=3, started_at=NOW + 1) for number in range(6)]
    told = await asyncio.gather(*map(store.replace, wanted))
    assert told.count(True) == 1
    assert await store.one("b1") == wanted[told.index(True)]._replace(version=2)
    assert not await store.replace(NEWS._replace(broadcast_id="b2"))


async def test_it_is_open_until_its_ends_are_counted(store: Broadcasts) -> None:
    await store.add(NEWS)
    await store.add(NEWS._replace(broadcast_id="b2", stage=Stage.SCHEDULED, created_at=NOW + 5))
    assert sorted(await store.open_ids()) == ["b1", "b2"]
    ended = NEWS._replace(stage=Stage.DONE, ends=Ends(5, 1, 2), queued=8)
    assert await store.replace(ended)
    await store.close("b1")
    assert await store.open_ids() == ["b2"]
    assert await store.one("b1") == ended._replace(version=2)
    assert [one.broadcast_id for one in await store.listed(10)] == ["b2", "b1"]
    assert [one.broadcast_id for one in await store.listed(1)] == ["b2"]


async def _all(store: Broadcasts, topic: str, limit: int) -> list[Follower]:
    found: list[Follower] = []
    place: str | None = None
    for _ in range(FOLLOWER_BUCKETS + 100):
        page = await store.followers(topic, place, limit)
        assert len(page.followers) <= limit
        found += page.followers
        if page.after is None:
            return found
        place = page.after
    raise AssertionError("no end")


async def test_followers_are_met_once_each(store: Broadcasts) -> None:
    users = [f"user {number}" for number in range(40)]
    for number, user in enumerate(users):
        await store.follow("news", Follower(user, number % 2 == 0))
        await store.follow("news", Follower(user, number % 2 == 0))
    await store.follow("sport", Follower("user 1", granted=False))
    for limit in (1, 7, 100):
        found = await _all(store, "news", limit)
        assert sorted(one.user_id for one in found) == sorted(users)
    assert {one.user_id for one in found if one.granted} == set(users[::2])
    assert len({bucket_of(user) for user in users}) > 10
    assert await _all(store, "other", 5) == []


async def test_following_and_leaving(store: Broadcasts) -> None:
    for topic in ("sport", "news", "news"):
        await store.follow(topic, Follower("ann", granted=False))
    assert await store.followed("ann") == ["news", "sport"]
    await store.follow("news", Follower("ann", granted=True))
    assert await _all(store, "news", 10) == [Follower("ann", granted=True)]
    for _ in range(2):
        await store.unfollow("news", "ann")
    assert await store.followed("ann") == ["sport"]
    assert await _all(store, "news", 10) == []
    assert await store.followed("bob") == []


async def test_sqlite_forgets_what_is_old(tmp_path: Path) -> None:
    async with sqlite_stores(str(tmp_path / "devices.db"), lambda: NOW) as in_file:
        await in_file.broadcasts.add(NEWS)
        later = NEWS._replace(broadcast_id="b2", created_at=NOW + KEEP_DAYS * 86_400_000 + 1)
        await in_file.broadcasts.add(later)
        assert await in_file.broadcasts.listed(10) == [later]
