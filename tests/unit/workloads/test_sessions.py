"""Sessions without HTTP: refresh tokens, their reuse, and how sessions end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.auth.accounts import Account
from push_workloads.auth.logins import (
    GRACE_MS,
    MAX_LOGINS,
    Login,
    Verdict,
    device_of,
    judge,
    key_of,
    refresh_token,
    shown,
)
from push_workloads.auth.revoker import Revoker
from push_workloads.auth.sessions import Sessions, Signed
from push_workloads.auth.store import MemoryAccounts
from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import NotFound, Unauthorized
from push_workloads.common.revocations import Revocation
from push_workloads.common.tokens import Tokens

ADA = Account("u1", "ada@example.com", None, "hash", 1000)
KEY = key_of(b"k" * 32)
LOGIN = Login("u1", "l1", "phone", "::1", 1000, 1000, 1_000_000, 3, b"s" * 16)
TTL_SECONDS = 60


class Silent:
    """A Redis that takes everything."""

    async def eval(self, *_: Any) -> None: ...


class Fixture:
    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = MemoryAccounts()
        self.tokens = Tokens(TokenConfig(secret=b"k" * 32, ttl_seconds=10**9, issuer="pushcluster"))
        revoker = Revoker(self.store, Silent(), TTL_SECONDS, lambda: self.now_ms // 1000)
        self.sessions = Sessions(self.store, self.tokens, revoker, KEY, lambda: self.now_ms)

    async def signed_in(self, device: str = "phone") -> Signed:
        if await self.store.by_id(ADA.id) is None:
            await self.store.add(ADA)
        return await self.sessions.sign_in(ADA, device, "::1")

    def login_of(self, signed: Signed) -> str:
        found = self.tokens.verify(signed.access_token).session_id
        assert found is not None
        return found

    async def revoked(self) -> list[Revocation]:
        return await self.store.revocations(0)


async def test_each_use_makes_the_next_refresh_token() -> None:
    fixture = Fixture()
    first = await fixture.signed_in()
    fixture.now_ms += 3_600_000
    second = await fixture.sessions.refresh(first.refresh_token, "::2")
    assert second.account == ADA
    assert second.refresh_token != first.refresh_token
    assert fixture.login_of(second) == fixture.login_of(first)
    (kept,) = await fixture.sessions.open("u1")
    assert (kept.device, kept.address, kept.seen_at, kept.generation) == ("phone", "::2", fixture.now_ms, 2)
    assert kept.expires_at - kept.seen_at == 30 * 86_400_000
    assert await fixture.revoked() == []


async def test_a_client_that_did_not_hear_the_answer_asks_again() -> None:
    fixture = Fixture()
    first = await fixture.signed_in()
    second = await fixture.sessions.refresh(first.refresh_token, "::1")
    fixture.now_ms += GRACE_MS
    again = await fixture.sessions.refresh(first.refresh_token, "::1")
    assert again.refresh_token == second.refresh_token
    assert (await fixture.sessions.refresh(again.refresh_token, "::1")).refresh_token != again.refresh_token


async def test_whoever_shows_an_old_one_ends_the_session() -> None:
    fixture = Fixture()
    first = await fixture.signed_in()
    second = await fixture.sessions.refresh(first.refresh_token, "::1")
    fixture.now_ms += GRACE_MS + 1
    for text in (first.refresh_token, second.refresh_token):
        with pytest.raises(Unauthorized):
            await fixture.sessions.refresh(text, "::1")
    assert await fixture.sessions.open("u1") == []
    (told,) = await fixture.revoked()
    assert (told.user_id, told.session_id) == ("u1", fixture.login_of(first))
    assert told.until >= fixture.now_ms // 1000 + TTL_SECONDS


async def test_of_many_at_once_all_get_the_same() -> None:
    fixture = Fixture()
    first = await fixture.signed_in()
    answers = await asyncio.gather(*(fixture.sessions.refresh(first.refresh_token, "::1") for _ in range(50)))
    assert len({one.refresh_token for one in answers}) == 1
    (kept,) = await fixture.sessions.open("u1")
    assert kept.generation == 2


async def test_a_login_that_is_over_gives_nothing() -> None:
    fixture = Fixture()
    first = await fixture.signed_in()
    fixture.now_ms += 30 * 86_400_000
    with pytest.raises(Unauthorized):
        await fixture.sessions.refresh(first.refresh_token, "::1")
    assert await fixture.sessions.open("u1") == []
    assert await fixture.revoked() == []


async def test_a_logout_ends_one_session_and_no_other() -> None:
    fixture = Fixture()
    phone, laptop = await fixture.signed_in("phone"), await fixture.signed_in("laptop")
    await fixture.sessions.logout("nonsense")
    await fixture.sessions.logout(phone.refresh_token)
    await fixture.sessions.logout(phone.refresh_token)
    assert [one.device for one in await fixture.sessions.open("u1")] == ["laptop"]
    assert [one.session_id for one in await fixture.revoked()] == [fixture.login_of(phone)]
    await fixture.sessions.refresh(laptop.refresh_token, "::1")


async def test_sessions_are_ended_by_their_user_alone() -> None:
    fixture = Fixture()
    signed = [await fixture.signed_in(name) for name in ("phone", "laptop", "tablet")]
    ids = [fixture.login_of(one) for one in signed]
    for user_id, session_id in (("u2", ids[0]), ("u1", "l9")):
        with pytest.raises(NotFound):
            await fixture.sessions.end(user_id, session_id)
    await fixture.sessions.end("u1", ids[0])
    await fixture.sessions.end_others("u1", ids[1])
    assert [one.id for one in await fixture.sessions.open("u1")] == [ids[1]]
    assert {one.session_id for one in await fixture.revoked()} == {ids[0], ids[2]}


async def test_one_too_many_ends_that_which_was_used_least_lately() -> None:
    fixture = Fixture()
    first = await fixture.signed_in("0")
    for number in range(1, MAX_LOGINS):
        fixture.now_ms += 1
        await fixture.signed_in(str(number))
    fixture.now_ms += 1
    await fixture.sessions.refresh(first.refresh_token, "::1")
    await fixture.signed_in("one more")
    devices = {one.device for one in await fixture.sessions.open("u1")}
    assert len(devices) == MAX_LOGINS
    assert {"0", "2", "one more"} <= devices
    assert "1" not in devices


async def test_an_account_that_is_gone_is_not_refreshed() -> None:
    fixture = Fixture()
    signed = await fixture.sessions.sign_in(replace(ADA, id="u9"), "", "::1")
    with pytest.raises(Unauthorized):
        await fixture.sessions.refresh(signed.refresh_token, "::1")


@pytest.mark.parametrize(
    ("generation", "after_ms", "verdict"),
    [
        (3, 0, Verdict.RENEW),
        (2, GRACE_MS, Verdict.REPEAT),
        (2, GRACE_MS + 1, Verdict.COPIED),
        (1, 0, Verdict.COPIED),
        (4, 0, Verdict.COPIED),  # made with our key, and of no generation that there is
        (3, 1_000_000, Verdict.NOTHING),
    ],
)
def test_what_a_token_is_worth(generation: int, after_ms: int, verdict: Verdict) -> None:
    token = shown(refresh_token(replace(LOGIN, generation=generation), KEY))
    assert token is not None
    assert judge(LOGIN, token, KEY, LOGIN.seen_at + after_ms) is verdict
    assert judge(None, token, KEY, LOGIN.seen_at) is Verdict.NOTHING


@given(st.data())
def test_nobody_makes_a_token_without_the_key_and_the_salt(data: st.DataObject) -> None:
    text = refresh_token(LOGIN, KEY)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019_-."))
    other = shown(text[:at] + letter + text[at + 1 :])
    if other is not None and other != shown(text):
        # Base64 of 32 bytes ends with two bits that say nothing: they are compared all the same.
        assert judge(LOGIN, other, KEY, 1000) is Verdict.NOTHING
    token = shown(text)
    assert token is not None
    assert judge(LOGIN, token, key_of(b"j" * 32), 1000) is Verdict.NOTHING
    assert judge(replace(LOGIN, salt=b"t" * 16), token, KEY, 1000) is Verdict.NOTHING


@given(st.text(max_size=400))
def test_what_is_no_refresh_token_is_none(text: str) -> None:
    found = shown(text)
    assert found is None or text == ".".join(map(str, found))


def test_how_a_device_is_called() -> None:
    assert device_of("Ada's phone", "curl/8") == "Ada's phone"
    assert device_of(None, "curl/8") == "curl/8"
    assert device_of(" a\x00\nb ", "") == "ab"
    assert len(device_of("x" * 500, "")) == 100
