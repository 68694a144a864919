"""The adapters of groups behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer

from push_workloads.message.groups.cassandra import cassandra_groups
from push_workloads.message.groups.rules import Group, Member
from push_workloads.message.groups.sqlite import sqlite_groups
from push_workloads.message.groups.store import GroupStore, MemoryGroups

KEYSPACE = "contract_groups"
GROUP = Group("g1", "Friends", "ann", 1, "ann", 1_790_000_000_000, pending=b'{"change":"added"}')


SHARED = pytest.mark.parametrize("store", ["memory", "cassandra"], indirect=True)  # by replicas


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GroupStore]:
    if request.param == "memory":
        yield MemoryGroups()
    elif request.param == "sqlite":
        async with sqlite_groups(str(tmp_path / "groups.db")) as sqlite:
            yield sqlite
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_groups(await server.emptied(KEYSPACE), {}) as cassandra:
            yield cassandra


def member(user_id: str, group_id: str = "g1", seq: int = 7) -> Member:
    return Member(group_id, user_id, "member", "e1", seq)


async def test_a_group_is_made_once_and_comes_back_whole(store: GroupStore) -> None:
    assert await store.group("g1") is None
    assert await store.create(GROUP)
    assert not await store.create(GROUP._replace(name="Another"))
    assert await store.group("g1") == GROUP


async def test_of_those_who_race_one_changes_a_group(store: GroupStore) -> None:
    await store.create(GROUP)
    tries = [store.replace(GROUP._replace(name=f"name {number}", members=number)) for number in range(8)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 7 + [True]
    held = await store.group("g1")
    assert held is not None
    assert (held.version, held.name) == (1, f"name {held.members}")
    assert not await store.replace(GROUP._replace(pending=None))
    assert await store.replace(held._replace(pending=None, deleted=True))
    assert await store.group("g1") == held._replace(pending=None, deleted=True, version=2)


async def test_what_is_pending_is_found_until_it_is_settled(store: GroupStore) -> None:
    assert await store.unsettled(10) == []
    await store.create(GROUP)
    assert await store.unsettled(10) == ["g1"]
    assert await store.replace(GROUP._replace(pending=None))
    await store.settled("g1")
    assert await store.unsettled(10) == []
    assert await store.replace(GROUP._replace(version=1))
    assert await store.unsettled(10) == ["g1"]


async def test_members_come_by_name_in_pages_and_each_knows_its_groups(store: GroupStore) -> None:
    await store.create(GROUP)
    await store.create(GROUP._replace(group_id="g2", name="Others"))
    await store.put_members([member(name) for name in ("ann", "cid", "bob", "é")], 0)
    await store.put_members([member("bob", "g2", seq=9)], 0)
    await store.put_members([member("bob")._replace(role="admin")], 1)
    assert [one.user_id for one in await store.members("g1", "", 3)] == ["ann", "bob", "cid"]
    assert [one.user_id for one in await store.members("g1", "cid", 3)] == ["é"]
    assert await store.member("g1", "bob") == member("bob")._replace(role="admin")
    assert await store.member("g1", "dan") is None
    mine = await store.memberships("bob", 10)
    assert [(one.group_id, one.role, one.seq, group.name) for one, group in mine] == [
        ("g1", "admin", 7, "Friends"),
        ("g2", "member", 9, "Others"),
    ]
    assert len(await store.memberships("bob", 1)) == 1
    await store.remove_members("g1", ["bob", "nobody"], 2)
    assert [group.group_id for _, group in await store.memberships("bob", 10)] == ["g2"]
    assert [one.user_id for one in await store.members("g1", "", 9)] == ["ann", "cid", "é"]


async def test_a_deleted_group_is_nobodys(store: GroupStore) -> None:
    await store.create(GROUP)
    await store.put_members([member("ann")], 0)
    await store.replace(GROUP._replace(deleted=True))
    assert await store.memberships("ann", 10) == []


async def test_blocks(store: GroupStore) -> None:
    await store.block("ann", "bob")
    await store.block("ann", "bob")
    await store.block("ann", "al")
    assert await store.blocks("ann", 10) == ["al", "bob"]
    assert await store.blocks("ann", 1) == ["al"]
    assert await store.blocks("bob", 10) == []
    assert await store.blocks_one("ann", "bob")
    assert not await store.blocks_one("bob", "ann")
    await store.unblock("ann", "bob")
    await store.unblock("ann", "bob")
    assert await store.blocks("ann", 10) == ["al"]


async def test_who_of_many_blocks_one(store: GroupStore) -> None:
    for user, other in (("ann", "eve"), ("bob", "eve"), ("bob", "zoë's \"*"), ("dan", "bob")):
        await store.block(user, other)
    assert await store.blockers(["ann", "bob", "dan", "nobody"], "eve") == {"ann", "bob"}
    assert await store.blockers(["ann", "bob"], "zoë's \"*") == {"bob"}
    assert await store.blockers([], "eve") == await store.blockers(["dan"], "eve") == set()


async def test_who_shares_a_group(store: GroupStore) -> None:
    await store.create(GROUP)
    await store.create(GROUP._replace(group_id="g2"))
    await store.put_members([member("ann"), member("bob"), member("cid", "g2"), member("dan", "g2")], 0)
    assert await store.sharing("ann", ["bob", "cid", "dan", "nobody"]) == {"bob"}
    assert await store.sharing("dan", ["bob", "cid"]) == {"cid"}
    assert await store.sharing("nobody", ["bob"]) == await store.sharing("ann", []) == set()
    await store.remove_members("g1", ["bob"], 1)
    assert await store.sharing("ann", ["bob"]) == set()


async def test_settings_of_users_stay_until_they_are_forgotten(store: GroupStore) -> None:
    await store.put_visibility("ann", "nobody")
    await store.put_visibility("bob", "contacts")
    await store.put_visibility("bob", "everyone")
    await store.block("ann", "bob")
    await store.block("bob", "ann")
    assert await store.visibilities(["ann", "bob", "cid"]) == {"ann": "nobody", "bob": "everyone"}
    assert await store.visibilities([]) == {}
    await store.forget("ann")
    await store.forget("nobody")
    assert await store.visibilities(["ann", "bob"]) == {"bob": "everyone"}
    assert await store.blocks("ann", 10) == []
    assert await store.blocks("bob", 10) == ["ann"]


async def test_policies(store: GroupStore) -> None:
    await store.put_policy("news.", b"{}")
    await store.put_policy("news.", b'{"read":"everyone"}')
    await store.put_policy("ops", b"{}")
    assert await store.policies() == {"news.": b'{"read":"everyone"}', "ops": b"{}"}
    await store.remove_policy("ops")
    await store.remove_policy("ops")
    assert list(await store.policies()) == ["news."]


@SHARED
async def test_a_replica_that_comes_late_with_an_old_change_undoes_nothing(store: GroupStore) -> None:
    await store.create(GROUP)
    await store.put_members([member("bob")], 4)
    await store.remove_members("g1", ["bob"], 6)
    await store.put_members([member("bob")], 4)
    assert await store.member("g1", "bob") is None
    await store.put_members([member("bob", seq=20)], 8)
    await store.remove_members("g1", ["bob"], 6)
    assert await store.member("g1", "bob") == member("bob", seq=20)
    assert [one.seq for one, _ in await store.memberships("bob", 9)] == [20]
