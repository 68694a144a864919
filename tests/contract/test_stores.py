"""The adapters of each store port behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer

from push_workloads.auth.accounts import Account
from push_workloads.auth.cassandra import cassandra_accounts
from push_workloads.auth.logins import Login
from push_workloads.auth.sqlite import sqlite_accounts
from push_workloads.auth.store import AccountStore, MemoryAccounts
from push_workloads.common.errors import Conflict
from push_workloads.common.revocations import Revocation
from push_workloads.push.cassandra import cassandra_devices
from push_workloads.push.devices import MAX_DEVICES, Device
from push_workloads.push.sqlite import sqlite_devices
from push_workloads.push.store import DeviceStore, MemoryDevices

ADA = Account("u1", "ada@example.com", "Ada", "hash-1", 1000)
EVE = Account("u2", "eve@example.com", None, "hash-2", 2000)
PHONE = Device("u1", "phone", "fcm", "token-1", None, None, "com.example", 1000, 1000)


ADAPTERS = ("memory", "sqlite", "cassandra")


@pytest.fixture(params=ADAPTERS)
async def accounts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AccountStore]:
    if request.param == "memory":
        yield MemoryAccounts()
    elif request.param == "sqlite":
        async with sqlite_accounts(str(tmp_path / "accounts.db")) as sqlite:
            yield sqlite
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_accounts(await server.emptied("contract_auth"), {}) as cassandra:
            yield cassandra


@pytest.fixture(params=ADAPTERS)
async def devices(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DeviceStore]:
    if request.param == "memory":
        yield MemoryDevices()
    elif request.param == "sqlite":
        async with sqlite_devices(str(tmp_path / "devices.db")) as sqlite:
            yield sqlite
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_devices(await server.emptied("contract_push"), {}) as cassandra:
            yield cassandra


async def test_an_account_is_found_by_id_and_by_email(accounts: AccountStore) -> None:
    await accounts.add(ADA)
    await accounts.add(EVE)
    assert await accounts.by_email("ada@example.com") == ADA
    assert await accounts.by_id("u2") == EVE
    assert await accounts.by_email("nobody@example.com") is None
    assert await accounts.by_id("u3") is None


async def test_of_many_with_one_email_one_is_added(accounts: AccountStore) -> None:
    wanted = [replace(ADA, id=f"u{number}") for number in range(50)]
    answers = await asyncio.gather(*map(accounts.add, wanted), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 49 + ["NoneType"]
    winner = wanted[answers.index(None)]
    assert await accounts.by_email(ADA.email) == winner
    assert [one for one in wanted if await accounts.by_id(one.id)] == [winner]


async def test_a_refused_account_takes_no_other_with_it(accounts: AccountStore) -> None:
    await accounts.add(ADA)
    others = [replace(EVE, id=f"e{number}", email=f"eve{number}@example.com") for number in range(20)]
    clashes = [accounts.add(replace(ADA, id=f"a{number}")) for number in range(20)]
    mixed = [work for pair in zip(map(accounts.add, others), clashes, strict=True) for work in pair]
    answers = await asyncio.gather(*mixed, return_exceptions=True)
    assert all(isinstance(answer, Conflict) for answer in answers[1::2])
    assert [await accounts.by_id(other.id) for other in others] == others


async def test_a_hash_is_replaced_only_while_it_stands(accounts: AccountStore) -> None:
    await accounts.add(ADA)
    assert not await accounts.replace_password_hash("u1", "hash-0", "hash-9")
    assert not await accounts.replace_password_hash("u9", "hash-1", "hash-9")
    assert await accounts.by_id("u1") == ADA
    assert await accounts.replace_password_hash("u1", "hash-1", "hash-9")
    assert await accounts.by_id("u1") == replace(ADA, password_hash="hash-9")
    assert await accounts.by_email(ADA.email) == replace(ADA, password_hash="hash-9")


async def test_of_many_that_replace_a_hash_one_does(accounts: AccountStore) -> None:
    await accounts.add(ADA)
    wanted = [f"new-{number}" for number in range(20)]
    told = await asyncio.gather(*(accounts.replace_password_hash("u1", "hash-1", one) for one in wanted))
    assert told.count(True) == 1
    assert await accounts.by_id("u1") == replace(ADA, password_hash=wanted[told.index(True)])


async def test_an_account_that_is_removed_leaves_its_email_to_others(accounts: AccountStore) -> None:
    await accounts.add(ADA)
    await accounts.add(EVE)
    for _ in range(2):
        await accounts.remove(ADA)
    assert (await accounts.by_id("u1"), await accounts.by_email(ADA.email)) == (None, None)
    assert not await accounts.replace_password_hash("u1", "hash-1", "hash-9")
    again = replace(ADA, id="u3")
    await accounts.add(again)
    await accounts.remove(ADA)  # it is somebody else's by now
    assert await accounts.by_id("u3") == await accounts.by_email(ADA.email) == again
    assert await accounts.by_id("u2") == EVE


LOGIN = Login("u1", "l1", "phone", "::1", 1000, 1000, 9000, 1, b"salt")


async def test_logins_are_listed_and_end(accounts: AccountStore) -> None:
    laptop, eves = replace(LOGIN, id="l2", device="laptop", expires_at=5000), replace(LOGIN, user_id="u2")
    for one in (LOGIN, laptop, eves):
        await accounts.add_login(one)
    assert await accounts.login("u1", "l1") == LOGIN
    assert await accounts.login("u2", "l2") is None
    assert sorted(one.id for one in await accounts.logins("u1", 4999)) == ["l1", "l2"]
    assert await accounts.logins("u1", 5000) == [LOGIN]
    await accounts.end_login("u1", "l1")
    await accounts.end_login("u1", "l1")
    assert await accounts.login("u1", "l1") is None
    assert await accounts.logins("u2", 0) == [eves]


async def test_of_many_that_renew_a_login_one_does(accounts: AccountStore) -> None:
    await accounts.add_login(LOGIN)
    wanted = [replace(LOGIN, address=f"::{number}", generation=2, seen_at=2000) for number in range(20)]
    answers = await asyncio.gather(*(accounts.renew(one, 1) for one in wanted))
    assert answers.count(True) == 1
    assert await accounts.login("u1", "l1") == wanted[answers.index(True)]
    assert not await accounts.renew(replace(LOGIN, id="l9", generation=2), 1)
    await accounts.end_login("u1", "l1")
    assert not await accounts.renew(replace(LOGIN, generation=3), 2)
    assert await accounts.login("u1", "l1") is None


async def test_revocations_are_kept_as_long_as_they_count(accounts: AccountStore) -> None:
    now = 1_700_000_000
    one, other = Revocation("u1", "l1", now + 10), Revocation("u1", None, now + 86_400 * 300, before=now)
    for revocation in (one, one, other):
        await accounts.revoke(revocation)
    assert set(await accounts.revocations(now)) == {one, other}
    assert await accounts.revocations(now + 10) == [other]


async def test_a_device_is_registered_listed_and_removed(devices: DeviceStore) -> None:
    assert await devices.put(PHONE) == PHONE
    browser = Device("u1", "browser", "webpush", "https://push.example.com/1", "p", "a", None, 900, 900)
    await devices.put(browser)
    assert await devices.of_user("u1") == [browser, PHONE]
    assert await devices.of_user("u2") == []
    assert await devices.remove("u1", "phone")
    assert not await devices.remove("u1", "phone")
    assert not await devices.remove("u2", "browser")
    assert await devices.of_user("u1") == [browser]


async def test_registering_again_keeps_the_time_of_the_first(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    again = PHONE._replace(address="token-2", app=None, created_at=5000, updated_at=5000)
    stored = again._replace(created_at=1000)
    assert await devices.put(again) == stored
    assert await devices.of_user("u1") == [stored]


async def test_an_address_moves_to_its_new_owner(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    await devices.put(PHONE._replace(user_id="u2", device_id="other"))
    assert await devices.of_user("u1") == []
    assert [device.device_id for device in await devices.of_user("u2")] == ["other"]


async def test_an_address_moves_between_devices_of_one_user(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    await devices.put(PHONE._replace(device_id="reinstalled"))
    assert [device.device_id for device in await devices.of_user("u1")] == ["reinstalled"]


async def test_the_same_text_at_two_platforms_is_two_addresses(devices: DeviceStore) -> None:
    await devices.put(PHONE)
    await devices.put(PHONE._replace(device_id="ipad", platform="apns"))
    assert len(await devices.of_user("u1")) == 2


async def test_a_full_user_may_change_devices_and_not_add_one(devices: DeviceStore) -> None:
    full = [PHONE._replace(device_id=f"d{number}", address=f"t{number}") for number in range(MAX_DEVICES)]
    for device in full:
        await devices.put(device)
    with pytest.raises(Conflict):
        await devices.put(PHONE)
    await devices.put(full[3]._replace(address="t-new"))
    await devices.put(full[4]._replace(device_id="renamed"))
    with pytest.raises(Conflict):
        await devices.put(PHONE)
    assert len(await devices.of_user("u1")) == MAX_DEVICES
    await devices.put(PHONE._replace(user_id="u2"))


async def test_many_devices_at_once_come_to_the_limit_and_not_over_it(devices: DeviceStore) -> None:
    for number in range(MAX_DEVICES - 2):
        await devices.put(PHONE._replace(device_id=f"d{number}", address=f"t{number}"))
    more = [PHONE._replace(device_id=f"m{number}", address=f"m{number}") for number in range(4)]
    answers = await asyncio.gather(*map(devices.put, more), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 2 + ["Device"] * 2
    assert len(await devices.of_user("u1")) == MAX_DEVICES


async def test_an_address_that_many_want_at_once_has_one_owner(devices: DeviceStore) -> None:
    users = [f"u{number}" for number in range(8)]
    await asyncio.gather(*(devices.put(PHONE._replace(user_id=user)) for user in users))
    assert len([user for user in users if await devices.of_user(user)]) == 1


async def test_an_address_that_went_and_came_back(devices: DeviceStore) -> None:
    for user in ("u1", "u2", "u1"):
        await devices.put(PHONE._replace(user_id=user))
    assert await devices.of_user("u1") == [PHONE]
    assert await devices.of_user("u2") == []
    assert not await devices.remove("u2", "phone")
    assert await devices.of_user("u1") == [PHONE]
    await devices.put(PHONE._replace(user_id="u2", device_id="tablet", address="t2"))
    assert [device.device_id for device in await devices.of_user("u2")] == ["tablet"]


async def test_a_refused_device_leaves_the_address_where_it_was(devices: DeviceStore) -> None:
    await devices.put(PHONE._replace(user_id="u2"))
    for number in range(MAX_DEVICES):
        await devices.put(PHONE._replace(device_id=f"d{number}", address=f"t{number}"))
    with pytest.raises(Conflict):
        await devices.put(PHONE)
    assert len(await devices.of_user("u2")) == 1


async def test_sqlite_keeps_accounts_and_nobody_else_may_read_them(tmp_path: Path) -> None:
    path = tmp_path / "made" / "accounts.db"
    async with sqlite_accounts(str(path)) as store:
        await store.add(ADA)
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    async with sqlite_accounts(str(path)) as store:
        assert await store.by_id("u1") == ADA
