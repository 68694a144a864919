"""Registration and login without HTTP, with hashes that cost little."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry

from push_workloads.auth.accounts import BadCredentials
from push_workloads.auth.attempts import Attempts, MemoryCounts
from push_workloads.auth.entrance import Entrance
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.revoker import Revoker
from push_workloads.auth.sessions import Sessions
from push_workloads.auth.store import MemoryAccounts
from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import Conflict, Unauthorized
from push_workloads.common.tokens import Tokens

NOW_MS = 1_700_000_000_123
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
DEARER = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)


class Fixture:
    def __init__(self) -> None:
        self.store = MemoryAccounts()
        self.registry = CollectorRegistry()

    async def entrance(self, hasher: PasswordHasher = CHEAP, registry: CollectorRegistry | None = None) -> Entrance:
        passwords = Passwords(registry or CollectorRegistry(), hasher)
        await passwords.prepare()
        tokens = Tokens(TokenConfig(secret=b"k" * 32, ttl_seconds=60, issuer="pushcluster"))
        revoker = Revoker(self.store, None, 60, lambda: NOW_MS // 1000)
        sessions = Sessions(self.store, tokens, revoker, b"key", lambda: NOW_MS)
        attempts = Attempts(MemoryCounts(lambda: NOW_MS), MemoryCounts(lambda: NOW_MS))
        return Entrance(self.store, passwords, sessions, Limiter(None, 0), attempts, lambda: NOW_MS)

    @property
    def checks(self) -> float:
        return self.registry.get_sample_value("push_auth_argon2_seconds_count") or 0.0


async def test_unknown_user_and_wrong_password_cost_and_say_the_same() -> None:
    fixture = Fixture()
    entrance = await fixture.entrance(registry=fixture.registry)
    await entrance.register("ada@example.com", "correct horse", None, "", "::1")
    answers = []
    for email in ("ada@example.com", "nobody@example.com"):
        before = fixture.checks
        with pytest.raises(BadCredentials) as refused:
            await entrance.login(email, "wrong horse", "", "::1")
        answers.append((refused.value.message, fixture.checks - before))
    assert answers[0] == answers[1]
    assert answers[0][1] == 1


async def test_the_made_up_hash_opens_nothing() -> None:
    entrance = await Fixture().entrance()
    with pytest.raises(BadCredentials):
        await entrance.login("nobody@example.com", "nobody has this password", "", "::1")


async def test_a_hash_with_old_parameters_is_made_anew_at_login() -> None:
    fixture = Fixture()
    await (await fixture.entrance(CHEAP)).register("ada@example.com", "correct horse", None, "", "::1")
    entrance = await fixture.entrance(DEARER)
    with pytest.raises(BadCredentials):
        await entrance.login("ada@example.com", "wrong horse", "", "::1")
    for _ in range(2):
        await entrance.login("ada@example.com", "correct horse", "", "::1")
    account = await fixture.store.by_email("ada@example.com")
    assert account is not None
    assert not DEARER.check_needs_rehash(account.password_hash)


async def test_an_email_is_taken_in_every_spelling() -> None:
    entrance = await Fixture().entrance()
    await entrance.register("ada@example.com", "correct horse", None, "", "::1")
    with pytest.raises(Conflict):
        await entrance.register(" ADA@example.com", "other password", None, "", "::1")


async def test_a_token_of_an_account_that_is_gone() -> None:
    with pytest.raises(Unauthorized):
        await (await Fixture().entrance()).account("u1")
