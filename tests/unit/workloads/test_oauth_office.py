"""From a person to an account, with a store in memory and hashes that cost little."""

from __future__ import annotations

import asyncio

import pytest
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry

from push_workloads.auth.accounts import Account
from push_workloads.auth.oauth.identities import Identity
from push_workloads.auth.oauth.linking import PENDING_MS
from push_workloads.auth.oauth.office import Office
from push_workloads.auth.oauth.people import Person
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.store import MemoryAccounts
from push_workloads.common.errors import Conflict, Unavailable

NOW_MS = 1_700_000_000_000
PERSON = Person("github", "1", "ada@example.com", "Ada")
LEFT = Identity("github", "1", "gone", "ada@example.com", True, NOW_MS - PENDING_MS)


class Slow(MemoryAccounts):
    """Others get their turn in each call, as they do with a store that is somewhere else."""

    async def add(self, account: Account) -> None:
        await asyncio.sleep(0)
        await super().add(account)

    async def by_email(self, email: str) -> Account | None:
        await asyncio.sleep(0)
        return await super().by_email(email)


@pytest.fixture
def store() -> MemoryAccounts:
    return Slow()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(CollectorRegistry(), PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def office(store: MemoryAccounts, passwords: Passwords) -> Office:
    return Office(store, passwords, lambda: NOW_MS)


async def test_many_first_logins_at_once_make_one_account(store: MemoryAccounts, office: Office) -> None:
    made = await asyncio.gather(*(office.account_of(PERSON) for _ in range(20)))
    assert len({one.id for one in made}) == 1
    assert await store.by_email("ada@example.com") == made[0]


async def test_two_providers_at_once_make_one_account(store: MemoryAccounts, office: Office) -> None:
    """With the same verified address: one makes the account, the other is linked to it."""
    made = await asyncio.gather(*(office.account_of(PERSON._replace(provider=f"p{number}")) for number in range(5)))
    assert len({one.id for one in made}) == 1
    assert len(await office.of_user(made[0].id)) == 5


async def test_an_account_that_a_provider_made_has_no_password(office: Office, passwords: Passwords) -> None:
    account = await office.account_of(PERSON)
    await passwords.prepare()
    for guess in (b"", b"nobody has this password", account.password_hash.encode()):
        assert not await passwords.verify(guess, account.password_hash)
    assert not passwords.outdated(account.password_hash)  # it is one like all others


async def test_what_a_crash_or_a_deletion_left_is_nobodys(store: MemoryAccounts, office: Office) -> None:
    await store.identities.add(LEFT)
    account = await office.account_of(PERSON)
    found = await store.identities.find("github", "1")
    assert found is not None
    assert found.user_id == account.id != "gone"


async def test_what_may_still_become_an_account_is_waited_for(
    store: MemoryAccounts, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("push_workloads.auth.oauth.office._BETWEEN_SECONDS", 0.0)
    fresh = Identity("github", "1", "coming", "ada@example.com", True, NOW_MS - PENDING_MS + 1)
    await store.identities.add(fresh)
    with pytest.raises(Unavailable):
        await office.account_of(PERSON)
    assert await store.identities.find("github", "1") == fresh
    await store.add(Account("coming", "ada@example.com", None, "hash", NOW_MS))
    assert (await office.account_of(PERSON)).id == "coming"


async def test_linking_again_changes_nothing_and_what_was_left_can_be_linked(
    store: MemoryAccounts, office: Office
) -> None:
    user = Account("u9", "nine@example.com", None, "hash", NOW_MS)
    await store.add(user)
    await store.identities.add(LEFT)
    first = await office.link(user, PERSON)
    assert await office.link(user, PERSON._replace(email=None)) == first
    with pytest.raises(Conflict):
        await office.link(Account("u8", "e@example.com", None, "hash", NOW_MS), PERSON)


async def test_an_account_that_a_provider_made_keeps_a_way_in(office: Office) -> None:
    account = await office.account_of(PERSON)
    await office.link(account, Person("google", "g", None, None))
    await office.unlink(account.id, "github", "1")
    with pytest.raises(Conflict):
        await office.unlink(account.id, "google", "g")
    assert await office.account_of(Person("google", "g", None, None)) == account
