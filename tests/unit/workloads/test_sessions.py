"""Registration and login without HTTP, with hashes that cost little."""

from __future__ import annotations

import hashlib

import pytest
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry

from push_workloads.auth.accounts import BadCredentials
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.passwords import Passwords
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

    async def sessions(self, hasher: PasswordHasher = CHEAP, registry: CollectorRegistry | None = None) -> Sessions:
        passwords = Passwords(registry or CollectorRegistry(), hasher)
        await passwords.prepare()
        tokens = Tokens(TokenConfig(secret=b"k" * 32, ttl_seconds=60, issuer="pushcluster"))
        return Sessions(self.store, passwords, tokens, Limiter(None, 0), lambda: NOW_MS)

    @property
    def checks(self) -> float:
        return self.registry.get_sample_value("push_auth_argon2_seconds_count") or 0.0


async def test_a_refresh_token_is_kept_only_as_a_hash() -> None:
    fixture = Fixture()
    sessions = await fixture.sessions()
    signed = await sessions.register("Ada@Example.com", "correct horse", " Ada ", "::1")
    assert (signed.account.email, signed.account.name, signed.account.created_at) == ("ada@example.com", "Ada", NOW_MS)
    kept = await fixture.store.refresh_token(hashlib.sha256(signed.refresh_token.encode()).digest())
    assert kept is not None
    assert (kept.user_id, kept.created_at, kept.expires_at - NOW_MS) == (signed.account.id, NOW_MS, 30 * 86_400_000)
    assert len(signed.refresh_token) == 43


async def test_each_login_has_its_own_family() -> None:
    fixture = Fixture()
    sessions = await fixture.sessions()
    one = await sessions.register("ada@example.com", "correct horse", None, "::1")
    other = await sessions.login("ADA@example.com", "correct horse")
    assert other.account == one.account
    families = set()
    for signed in (one, other):
        kept = await fixture.store.refresh_token(hashlib.sha256(signed.refresh_token.encode()).digest())
        assert kept is not None
        families.add(kept.family)
    assert len(families) == 2


async def test_unknown_user_and_wrong_password_cost_and_say_the_same() -> None:
    fixture = Fixture()
    sessions = await fixture.sessions(registry=fixture.registry)
    await sessions.register("ada@example.com", "correct horse", None, "::1")
    answers = []
    for email in ("ada@example.com", "nobody@example.com"):
        before = fixture.checks
        with pytest.raises(BadCredentials) as refused:
            await sessions.login(email, "wrong horse")
        answers.append((refused.value.message, fixture.checks - before))
    assert answers[0] == answers[1]
    assert answers[0][1] == 1


async def test_the_made_up_hash_opens_nothing() -> None:
    sessions = await Fixture().sessions()
    with pytest.raises(BadCredentials):
        await sessions.login("nobody@example.com", "nobody has this password")


async def test_a_hash_with_old_parameters_is_made_anew_at_login() -> None:
    fixture = Fixture()
    await (await fixture.sessions(CHEAP)).register("ada@example.com", "correct horse", None, "::1")
    sessions = await fixture.sessions(DEARER)
    with pytest.raises(BadCredentials):
        await sessions.login("ada@example.com", "wrong horse")
    for _ in range(2):
        await sessions.login("ada@example.com", "correct horse")
    account = await fixture.store.by_email("ada@example.com")
    assert account is not None
    assert not DEARER.check_needs_rehash(account.password_hash)


async def test_an_email_is_taken_in_every_spelling() -> None:
    sessions = await Fixture().sessions()
    await sessions.register("ada@example.com", "correct horse", None, "::1")
    with pytest.raises(Conflict):
        await sessions.register(" ADA@example.com", "other password", None, "::1")


async def test_a_token_of_an_account_that_is_gone() -> None:
    with pytest.raises(Unauthorized):
        await (await Fixture().sessions()).account("u1")
