"""Passwords that change or are lost, and accounts that end: without HTTP, with hashes that cost little."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry
from tests.support.waiting import eventually

from push_workloads.auth import resets
from push_workloads.auth.accounts import BadCredentials
from push_workloads.auth.attempts import ACCOUNT, Attempts, MemoryCounts
from push_workloads.auth.entrance import Entrance
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.mail import Letter, MailError, Post
from push_workloads.auth.oauth.identities import Identity
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.revoker import Revoker
from push_workloads.auth.sessions import Sessions, Signed
from push_workloads.auth.store import MemoryAccounts
from push_workloads.auth.upkeep import FRESH_MS, Letters, ResetLimits, Upkeep
from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import BadRequest, Conflict, Forbidden, RateLimited, Unauthorized, Unavailable
from push_workloads.common.revocations import Revocations
from push_workloads.common.tokens import Tokens

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
EMAIL, OLD, NEW, HOME = "ada@example.com", "correct horse", "battery staple", "192.0.2.1"
KEY = b"k" * 32


class Silent:
    """A Redis that takes everything, and counts registrations and resets."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    async def eval(self, script: str, keys: int, key: str, *_: Any) -> list[int]:
        self.counts[key] = self.counts.get(key, 0) + 1
        return [self.counts[key], 1000]


class Box:
    """Where mails arrive; `refusals`: how many are not taken before that."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.refusals = 0

    async def send(self, letter: Letter) -> None:
        if self.refusals:
            self.refusals -= 1
            raise MailError("busy")
        self.letters.append(letter)


class World:
    def __init__(self, *, mails: bool = True) -> None:
        self.now_ms = 1_700_000_000_000
        self.store, self.redis, self.box = MemoryAccounts(), Silent(), Box()
        self.registry = CollectorRegistry()
        self.tokens = Tokens(TokenConfig(secret=KEY, ttl_seconds=10**9, issuer="pushcluster"))
        self.passwords = Passwords(self.registry, CHEAP)
        revoker = Revoker(self.store, self.redis, 10**9, lambda: self.now_ms // 1000)
        self.sessions = Sessions(self.store, self.tokens, revoker, b"key", self.now)
        attempts = Attempts(MemoryCounts(self.now), MemoryCounts(self.now))
        self.entrance = Entrance(self.store, self.passwords, self.sessions, Limiter(self.redis, 0), attempts, self.now)
        limits = ResetLimits(Limiter(self.redis, 5, "from"), Limiter(self.redis, 2, "of"))
        self.post = Post(self.box, self.registry, pauses_seconds=(0.0, 0.0))
        letters = Letters(self.post if mails else None, "https://chat.example.com/reset", KEY)
        self.erased: list[str] = []
        self.upkeep = Upkeep(self.store, self.passwords, self.sessions, attempts, limits, letters, self.erase, self.now)

    async def erase(self, user_id: str) -> None:
        self.erased.append(user_id)

    def now(self) -> int:
        return self.now_ms

    async def register(self) -> Signed:
        await self.passwords.prepare()
        return await self.entrance.register(EMAIL, OLD, None, "phone", HOME)

    async def login(self, password: str, address: str = HOME) -> Signed:
        return await self.entrance.login(EMAIL, password, "laptop", address)

    async def is_good(self, signed: Signed) -> bool:
        """Whether a service lets its access token in."""
        known = Revocations()
        for one in await self.store.revocations(0):
            known.add(one)
        identity = self.tokens.verify(signed.access_token)
        return not known.hold(identity.user_id, identity.session_id, identity.issued_at)

    async def is_signed_in(self, signed: Signed) -> bool:
        try:
            await self.sessions.refresh(signed.refresh_token, HOME)
        except Unauthorized:
            return False
        return True

    async def token(self) -> str:
        """What a mail brings."""
        before = len(self.box.letters)
        await self.upkeep.forgot(EMAIL, HOME)
        await self.settled()
        (letter,) = self.box.letters[before:]
        found = re.search(r"https://chat\.example\.com/reset#reset_token=(\S+)", letter.text)
        assert found is not None
        assert letter.to == EMAIL
        return found[1]

    async def settled(self) -> None:
        await eventually(lambda: self.post._waiting == 0)


async def test_another_password_ends_all_sessions_and_signs_in_anew() -> None:
    world = World()
    signed = [await world.register(), await world.login(OLD)]
    again = await world.upkeep.change(signed[0].account.id, OLD, NEW, "phone", HOME)
    for one in signed:
        assert not await world.is_good(one)
        assert not await world.is_signed_in(one)
    assert await world.is_good(again)
    assert await world.is_signed_in(again)
    with pytest.raises(BadCredentials):
        await world.login(OLD)
    await world.login(NEW)


async def test_who_does_not_know_the_password_changes_nothing_and_is_slowed_down() -> None:
    world = World()
    signed = await world.register()
    for _ in range(ACCOUNT.free):
        with pytest.raises(Forbidden, match=r"^password: "):
            await world.upkeep.change(signed.account.id, "wrong horse", NEW, "", HOME)
    with pytest.raises(RateLimited):
        await world.upkeep.change(signed.account.id, OLD, NEW, "", HOME)
    with pytest.raises(RateLimited):
        await world.login(OLD)
    assert await world.is_signed_in(signed)
    with pytest.raises(BadRequest):
        await world.upkeep.change(signed.account.id, OLD, "short", "", HOME)


async def test_a_mail_takes_away_the_logins_that_somebody_else_may_have_linked() -> None:
    """Who registers with another's address and links a login of their own must not come back by it."""
    world = World()
    account = (await world.register()).account
    others = Identity("github", "1", account.id, "eve@example.com", False, 0)
    own = Identity("google", "2", account.id, EMAIL, False, 0)
    for one in (others, own):
        await world.store.identities.add(one)
    await world.upkeep.reset(await world.token(), NEW, "phone", HOME)
    assert await world.store.identities.of_user(account.id) == [own]


async def test_an_account_takes_its_logins_along() -> None:
    world = World()
    account = (await world.register()).account
    await world.store.identities.add(Identity("github", "1", account.id, EMAIL, True, 0))
    await world.upkeep.delete(account.id, None, OLD, HOME)
    assert await world.store.identities.find("github", "1") is None


async def test_a_mail_sets_a_new_password_once() -> None:
    world = World()
    signed = await world.register()
    token = await world.token()
    again = await world.upkeep.reset(token, NEW, "phone", HOME)
    assert again.account.id == signed.account.id
    assert not await world.is_good(signed)
    assert await world.is_good(again)
    for text in (token, "", "x", "u1.1." + "m" * 43):
        with pytest.raises(Unauthorized):
            await world.upkeep.reset(text, "a third password", "", HOME)
    await world.login(NEW)


async def test_of_two_mails_one_counts_and_none_after_half_an_hour() -> None:
    world = World()
    await world.register()
    first, second = await world.token(), await world.token()
    world.now_ms += resets.RESET_SECONDS * 1000 - 1
    await world.upkeep.reset(second, NEW, "", HOME)
    with pytest.raises(Unauthorized):
        await world.upkeep.reset(first, OLD, "", HOME)
    world.redis.counts.clear()
    third = await world.token()
    world.now_ms += resets.RESET_SECONDS * 1000
    with pytest.raises(Unauthorized):
        await world.upkeep.reset(third, OLD, "", HOME)


async def test_of_many_at_once_with_one_mail_one_is_let_in() -> None:
    world = World()
    await world.register()
    token = await world.token()
    asked = [world.upkeep.reset(token, f"password {number}", "", HOME) for number in range(20)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert sorted(type(one).__name__ for one in told) == ["Signed"] + ["Unauthorized"] * 19


async def test_a_mail_gets_an_owner_in_whom_somebody_keeps_out() -> None:
    world = World()
    await world.register()
    for _ in range(ACCOUNT.free):
        with pytest.raises(BadCredentials):
            await world.login("wrong horse", "198.51.100.7")
    with pytest.raises(RateLimited):
        await world.login(OLD)
    again = await world.upkeep.reset(await world.token(), NEW, "", HOME)
    assert await world.is_signed_in(again)


async def test_nobody_learns_who_has_an_account_and_nobody_is_flooded() -> None:
    world = World()
    await world.register()
    await world.upkeep.forgot("nobody@example.com", "192.0.2.9")
    for number in range(5):
        await world.upkeep.forgot(EMAIL, f"198.51.100.{number}")
    await world.settled()
    assert len(world.box.letters) == 2  # of one account in an hour
    for number in range(5):
        await world.upkeep.forgot(f"user{number}@example.com", HOME)
    with pytest.raises(RateLimited):
        await world.upkeep.forgot(EMAIL, HOME)
    with pytest.raises(BadRequest):
        await world.upkeep.forgot("nonsense", HOME)


async def test_without_a_mail_server_it_says_so_whoever_it_is() -> None:
    world = World(mails=False)
    await world.register()
    told = set()
    for email in (EMAIL, "nobody@example.com"):
        with pytest.raises(Unavailable) as refused:
            await world.upkeep.forgot(email, HOME)
        told.add(refused.value.message)
    assert len(told) == 1


@pytest.mark.parametrize(("refusals", "outcome"), [(2, "ok"), (3, "failed")])
async def test_a_mail_that_is_not_taken_is_tried_again(refusals: int, outcome: str) -> None:
    world = World()
    await world.register()
    world.box.refusals = refusals
    await world.upkeep.forgot(EMAIL, HOME)
    await world.settled()
    assert world.registry.get_sample_value("push_auth_mails_total", {"outcome": outcome}) == 1
    assert len(world.box.letters) == (outcome == "ok")


@pytest.mark.parametrize("password", [OLD, None])
async def test_an_account_ends_with_all_its_sessions(password: str | None) -> None:
    world = World()
    signed = [await world.register(), await world.login(OLD)]
    token = await world.token()
    user_id, session_id = signed[0].account.id, world.tokens.verify(signed[0].access_token).session_id
    await world.upkeep.delete(user_id, session_id, password, HOME)
    for one in signed:
        assert not await world.is_good(one)
        assert not await world.is_signed_in(one)
    with pytest.raises(BadCredentials):
        await world.login(OLD)
    with pytest.raises(Unauthorized):
        await world.upkeep.reset(token, NEW, "", HOME)
    assert world.erased == [user_id]
    again = await world.register()
    assert again.account.id != user_id
    assert await world.is_good(again)


async def test_an_account_is_not_ended_by_whoever_has_a_token() -> None:
    world = World()
    signed = await world.register()
    user_id, session_id = signed.account.id, world.tokens.verify(signed.access_token).session_id
    with pytest.raises(Forbidden):
        await world.upkeep.delete(user_id, session_id, "wrong horse", HOME)
    world.now_ms += FRESH_MS + 1
    for session in (session_id, None, "none"):
        with pytest.raises(Forbidden):
            await world.upkeep.delete(user_id, session, None, HOME)
    assert await world.is_signed_in(signed)


class Meanwhile(MemoryAccounts):
    """Does something at the moment when a login is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], Awaitable[object]] | None = None

    async def add_login(self, login: Any) -> None:
        then, self.then = self.then, None
        if then is not None:
            await then()
        await super().add_login(login)


@pytest.mark.parametrize("what", ["change", "delete"])
async def test_a_login_with_the_old_password_does_not_outlive_it(what: str) -> None:
    world = World()
    store = Meanwhile()
    world.store = world.entrance._store = world.upkeep._store = world.sessions._store = store
    world.sessions._revoker._store = store
    signed = await world.register()
    user_id = signed.account.id
    if what == "change":
        store.then = lambda: world.upkeep.change(user_id, OLD, NEW, "", HOME)
    else:
        store.then = lambda: world.upkeep.delete(user_id, None, OLD, HOME)
    with pytest.raises(BadCredentials):
        await world.login(OLD)
    assert len(await store.logins(user_id, world.now_ms)) == (1 if what == "change" else 0)


async def test_of_two_changes_at_once_one_is_made() -> None:
    world = World()
    user_id = (await world.register()).account.id
    asked = [world.upkeep.change(user_id, OLD, f"password {number}", "", HOME) for number in range(3)]
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in told if not isinstance(one, Conflict | Forbidden)] == [Signed]


@pytest.mark.parametrize("ends", ["once", "never"])
async def test_a_password_that_is_set_halfway_leaves_nobody_in(ends: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    thief = await world.register()
    account = await world.store.by_email(EMAIL)
    assert account is not None
    before, calls = world.sessions.end_all, []

    async def fails(user_id: str) -> None:
        calls.append(user_id)
        if ends == "never" or len(calls) > 1:
            raise Unavailable("the store is away", retry_after_ms=1000)
        await before(user_id)

    monkeypatch.setattr(world.sessions, "end_all", fails)
    with pytest.raises(Unavailable):
        await world.upkeep.change(account.id, OLD, NEW, "", HOME)
    changed = await world.store.by_id(account.id)
    assert changed is not None
    assert (changed.password_hash == account.password_hash) is (ends == "never")
    assert bool(await world.store.logins(account.id, world.now_ms)) is (ends == "never")
    assert await world.is_good(thief) is await world.is_signed_in(thief) is (ends == "never")
