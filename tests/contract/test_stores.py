"""The adapters of the accounts' store behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import asyncio
import time
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
from push_workloads.common.credentials import Credential
from push_workloads.common.errors import Conflict
from push_workloads.common.revocations import Revocation

ADA = Account("u1", "ada@example.com", "Ada", "hash-1", 1000)
EVE = Account("u2", "eve@example.com", None, "hash-2", 2000)


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


async def test_whose_data_has_to_go_is_kept(accounts: AccountStore) -> None:
    now = int(time.time())
    long_ago = now - 29 * 86_400
    for user_id, at in (("u1", long_ago), ("u2", now), ("u3", now), ("u4", now - 31 * 86_400)):
        await accounts.erase(user_id, at)
    assert await accounts.erased(long_ago) == {"u1": long_ago, "u2": now, "u3": now}
    assert await accounts.erased(now) == {"u2": now, "u3": now}


async def test_credentials_are_kept_until_they_are_removed(accounts: AccountStore) -> None:
    shop = Credential("c1", "the shop", ("groups", "publish"), b"d" * 32, 1000)
    other = Credential("c2", "a café", ("presence",), b"e" * 32, 2000)
    assert await accounts.credentials() == []
    await accounts.add_credential(shop)
    await accounts.add_credential(other)
    assert sorted(await accounts.credentials(), key=lambda one: one.id) == [shop, other]
    told = await asyncio.gather(*(accounts.remove_credential("c1") for _ in range(5)))
    assert told.count(True) == 1
    assert await accounts.credentials() == [other]


async def test_sqlite_keeps_accounts_and_nobody_else_may_read_them(tmp_path: Path) -> None:
    path = tmp_path / "made" / "accounts.db"
    async with sqlite_accounts(str(path)) as store:
        await store.add(ADA)
        assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    async with sqlite_accounts(str(path)) as store:
        assert await store.by_id("u1") == ADA
