"""The three stores of identities behave as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer

from push_workloads.auth.cassandra import cassandra_accounts
from push_workloads.auth.oauth.identities import Identities, Identity
from push_workloads.auth.sqlite import sqlite_accounts
from push_workloads.auth.store import MemoryAccounts
from push_workloads.common.errors import Conflict

ADA = Identity("github", "1", "u1", "ada@example.com", True, 1000)
SAME_NUMBER_ELSEWHERE = Identity("google", "1", "u2", None, False, 2000)


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
async def identities(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Identities]:
    if request.param == "memory":
        yield MemoryAccounts().identities
    elif request.param == "sqlite":
        async with sqlite_accounts(str(tmp_path / "accounts.db")) as sqlite:
            yield sqlite.identities
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_accounts(await server.emptied("contract_identities"), {}) as cassandra:
            yield cassandra.identities


async def test_an_identity_is_found_by_its_person_and_by_its_user(identities: Identities) -> None:
    await identities.add(ADA)
    await identities.add(SAME_NUMBER_ELSEWHERE)
    assert await identities.find("github", "1") == ADA
    assert await identities.find("google", "1") == SAME_NUMBER_ELSEWHERE
    assert await identities.find("github", "2") is None
    second = replace(ADA, subject="9/ä", founding=False, email=None)
    await identities.add(second)
    assert {one.subject for one in await identities.of_user("u1")} == {"1", "9/ä"}
    assert await identities.of_user("u3") == []


async def test_of_many_that_want_one_person_one_has_them(identities: Identities) -> None:
    wanted = [replace(ADA, user_id=f"u{number}") for number in range(50)]
    answers = await asyncio.gather(*map(identities.add, wanted), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 49 + ["NoneType"]
    winner = wanted[answers.index(None)]
    assert await identities.find("github", "1") == winner
    assert [one.user_id for one in wanted if await identities.of_user(one.user_id)] == [winner.user_id]


async def test_a_person_is_let_go_by_whose_they_are_alone(identities: Identities) -> None:
    await identities.add(ADA)
    assert not await identities.remove(replace(ADA, user_id="u2"))
    assert not await identities.remove(replace(ADA, subject="2"))
    assert await identities.find("github", "1") == ADA
    assert await identities.remove(ADA)
    assert not await identities.remove(ADA)
    assert await identities.of_user("u1") == []
    await identities.add(replace(ADA, user_id="u2"))
    with pytest.raises(Conflict):
        await identities.add(ADA)
    assert await identities.of_user("u1") == []
