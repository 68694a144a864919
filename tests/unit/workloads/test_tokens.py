"""Access tokens: what is believed, and that everything else is refused with one and the same answer."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import Unauthorized
from push_workloads.common.tokens import MAX_TOKEN_BYTES, Tokens, bearer

KEY = b"k" * 32
NOW = int(time.time())
HOUR = 3600  # longer than any run: these tokens are made when the module is read
TOKENS = Tokens(TokenConfig(secret=KEY, ttl_seconds=HOUR, issuer="pushcluster"))
CLAIMS: dict[str, Any] = {
    "iss": "pushcluster",
    "aud": "pushcluster",
    "sub": "u1",
    "iat": NOW,
    "exp": NOW + HOUR,
    "jti": "t1",
}


def _signed(key: bytes = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode(claims, key, algorithm=algorithm)


def _without_signature() -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(CLAIMS)}."


def test_what_is_issued_is_believed() -> None:
    identity = TOKENS.verify(TOKENS.issue("a user", NOW, "t1"))
    assert (identity.user_id, identity.expires_at) == ("a user", NOW + HOUR)


def test_the_tests_own_claims_are_believed() -> None:
    assert TOKENS.verify(_signed()).user_id == "u1"


BAD = {
    "missing": None,
    "empty": "",
    "garbage": "not.a.token",
    "one part": "abc",
    "alg none": _without_signature(),
    "alg HS512": _signed(key=b"k" * 64, algorithm="HS512"),
    "wrong key": _signed(key=b"x" * 32),
    "cut": _signed()[:-2],
    "expired": _signed(iat=NOW - 100, exp=NOW - 50),
    "from the future": _signed(iat=NOW + HOUR, exp=NOW + 2 * HOUR),
    "wrong audience": _signed(aud="other"),
    "no audience": _signed(aud=None),
    "wrong issuer": _signed(iss="other"),
    "no expiry": _signed(exp=None),
    "no subject": _signed(sub=None),
    "empty subject": _signed(sub=""),
    "long subject": _signed(sub="a" * 129),
    "huge": _signed(extra="x" * MAX_TOKEN_BYTES),
    "not ASCII": "é.é.é",
    "surrogate": "\ud800.a.b",
    "deeply nested": base64.urlsafe_b64encode(b"[" * 2000).rstrip(b"=").decode() + ".e30.e30",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_refused(text: str | None) -> None:
    with pytest.raises(Unauthorized) as refused:
        TOKENS.verify(text)
    assert refused.value.message == "the access token is missing or not valid"


@given(st.text(max_size=200))
def test_no_text_does_anything_but_be_refused(text: str) -> None:
    with pytest.raises(Unauthorized):
        TOKENS.verify(text)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
    ],
)
def test_bearer(header: str | None, token: str | None) -> None:
    assert bearer(header) == token
