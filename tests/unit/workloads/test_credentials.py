"""Service credentials: what is one, whose it is, and what it may do."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.config import TokenConfig
from push_workloads.common.credentials import (
    ID_BYTES,
    SECRET_BYTES,
    Credential,
    Credentialed,
    Credentials,
    decoded,
    encoded,
    made,
)
from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.tokens import SERVICE, Tokens

TOKENS = Tokens(TokenConfig(secret=b"k" * 32, ttl_seconds=60, issuer="pushcluster", service_key=b"s" * 32))


def _made(number: int, *scopes: str) -> tuple[Credential, str]:
    return made(f"number {number}", scopes or ("publish",), 1000, bytes([number]) * (ID_BYTES + SECRET_BYTES))


def _verifier(*credentials: Credential) -> Credentialed:
    known = Credentials()
    known.replace(credentials)
    return Credentialed(TOKENS, known)


def test_each_speaks_for_the_service_with_its_own_scopes() -> None:
    (shop, shop_text), (other, other_text) = _made(1, "publish", "groups", "publish"), _made(2, "presence")
    verifier = _verifier(shop, other)
    for text, scopes in ((shop_text, {"groups", "publish"}), (other_text, {"presence"})):
        identity = verifier.verify(text)
        assert (identity.user_id, identity.scopes) == (SERVICE, frozenset(scopes))
    assert shop.scopes == ("groups", "publish")
    assert shop_text.encode() not in encoded([shop])


def test_none_is_good_before_they_are_known_and_none_that_is_gone() -> None:
    one, text = _made(1)
    known = Credentials()
    verifier = Credentialed(TOKENS, known)
    with pytest.raises(Unavailable):
        verifier.verify(text)
    known.replace([one])
    assert verifier.verify(text).scopes == frozenset({"publish"})
    known.replace([])
    with pytest.raises(Unauthorized):
        verifier.verify(text)


def test_other_tokens_are_what_they_were() -> None:
    verifier = _verifier(_made(1)[0])
    assert verifier.verify("s" * 32).scopes is None  # the one of the Secret may do all
    assert verifier.verify(TOKENS.issue("ada", int(time.time()), "t")).user_id == "ada"
    for text in (None, "", "x"):
        with pytest.raises(Unauthorized):
            verifier.verify(text)


@given(st.data())
def test_no_letter_of_one_can_be_another(data: st.DataObject) -> None:
    one, text = _made(1)
    at = data.draw(st.integers(0, len(text) - 1))
    other = text[:at] + data.draw(st.sampled_from("abcXYZ019_-. ")) + text[at + 1 :]
    if other != text:
        with pytest.raises(Unauthorized):
            _verifier(one).verify(other)


@given(st.text(max_size=80))
def test_nothing_else_is_one(text: str) -> None:
    with pytest.raises(Unauthorized):
        _verifier(_made(1)[0]).verify(f"pcs_{text}")


@given(st.permutations(range(4)))
def test_the_same_ones_are_told_the_same(order: list[int]) -> None:
    credentials = [_made(number)[0] for number in range(4)]
    told = encoded([credentials[number] for number in order])
    assert told == encoded(credentials)
    assert decoded(told) == credentials
