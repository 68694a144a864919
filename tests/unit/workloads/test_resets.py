"""What a reset token is worth, and until when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.auth import logins
from push_workloads.auth.accounts import Account
from push_workloads.auth.resets import Shown, is_good, key_of, reset_token, shown

ADA = Account("u1", "ada@example.com", None, "hash-1", 1000)
KEY = key_of(b"k" * 32)
UNTIL = 2000


def _shown(account: Account = ADA, expires_at: int = UNTIL) -> Shown:
    found = shown(reset_token(account, KEY, expires_at))
    assert found is not None
    return found


@pytest.mark.parametrize(("now", "good"), [(0, True), (UNTIL - 1, True), (UNTIL, False), (UNTIL + 1, False)])
def test_it_is_good_for_a_while(now: int, good: bool) -> None:
    assert is_good(ADA, _shown(), KEY, now) is good


@pytest.mark.parametrize(
    "now_stands",
    [
        replace(ADA, password_hash="hash-2"),
        replace(ADA, email="eve@example.com"),
        replace(ADA, id="u2"),
    ],
)
def test_it_is_of_one_account_with_one_password(now_stands: Account) -> None:
    assert not is_good(now_stands, _shown(), KEY, 0)


def test_nobody_makes_one_without_the_key() -> None:
    assert not is_good(ADA, _shown(), key_of(b"j" * 32), 0)
    assert not is_good(ADA, _shown(), logins.key_of(b"k" * 32), 0)
    assert not is_good(ADA, _shown()._replace(expires_at=UNTIL + 1), KEY, 0)


@given(st.data())
def test_no_letter_of_it_can_be_another(data: st.DataObject) -> None:
    text = reset_token(ADA, KEY, UNTIL)
    at = data.draw(st.integers(0, len(text) - 1))
    other = shown(text[:at] + data.draw(st.sampled_from("abcXYZ019_-.")) + text[at + 1 :])
    assert other is None or other == shown(text) or not is_good(ADA, other, KEY, 0)


@given(st.text(max_size=250))
def test_what_is_no_token_is_none(text: str) -> None:
    found = shown(text)
    assert found is None or text == ".".join(map(str, (found.user_id, f"{found.expires_at}", found.mac)))
