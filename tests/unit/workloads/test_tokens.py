"""Access tokens: what is believed, and that everything else is refused with one and the same answer."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.hostile import Issuer, by_secret, foreign_token, hostile, own_token
from tests.unit.workloads.test_keys import PEM_OF_ED25519

from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.issuers import NO_GRANTS, TopicClaims, TrustedIssuer
from push_workloads.common.keys import SigningKey, from_pem, from_seed
from push_workloads.common.tokens import MAX_TOKEN_BYTES, Tokens, bearer

KEY = b"k" * 32
NOW = int(time.time())
DAY = 86_400  # longer than any run: these tokens are made when the module is read
TOKENS = Tokens(TokenConfig(secret=KEY, ttl_seconds=DAY, issuer="pushcluster"))
CLAIMS: dict[str, Any] = {
    "iss": "pushcluster",
    "aud": "pushcluster",
    "sub": "u1",
    "iat": NOW,
    "exp": NOW + DAY,
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
    assert (identity.user_id, identity.expires_at) == ("a user", NOW + DAY)


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
    "from the future": _signed(iat=NOW + DAY, exp=NOW + 2 * DAY),
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


# Keys ----------------------------------------------------------------------------------------------------------------

OWN = from_seed("s" * 32)
EDWARDS = from_pem(PEM_OF_ED25519)[0]
ISSUER = Issuer(from_seed("other" * 8), "https://login.example.com", "push")
TRUSTED = TrustedIssuer(ISSUER.issuer, ISSUER.audience, "corp:", topic_claims=TopicClaims("topics", "may_write"))


def _checking(*keys: SigningKey, secret: bytes | None = KEY, trusted: TrustedIssuer = TRUSTED) -> Tokens:
    """A service that takes all kinds, and knows all keys."""
    tokens = Tokens(TokenConfig(secret, DAY, "pushcluster", keys_url="http://auth", trusted=(trusted,)))
    ours, theirs = tokens.sources
    ours.take({one.key.kid: one.key for one in keys or (OWN,)}, 0.0)
    theirs.take({ISSUER.key.key.kid: ISSUER.key.key}, 0.0)
    return tokens


ALL = _checking(OWN, EDWARDS)
HOSTILE = hostile(OWN, KEY, ISSUER)


def test_the_table_is_of_tokens_that_are_good_but_for_one_thing() -> None:
    assert ALL.verify(own_token(OWN)).user_id == "ann"
    assert ALL.verify(own_token(EDWARDS, aud=["other", "pushcluster"], nbf=NOW - 1)).user_id == "ann"
    assert ALL.verify(foreign_token(ISSUER)).user_id == "corp:ann"
    assert ALL.verify(by_secret({"alg": "HS256"}, KEY)).user_id == "ann"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_is_refused(name: str) -> None:
    with pytest.raises((Unauthorized, Unavailable)):
        ALL.verify(HOSTILE[name])


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_a_secret_refuses_keys_refuse_too(text: str | None) -> None:
    with pytest.raises(Unauthorized):
        _checking(secret=None).verify(text)


def test_without_a_shared_secret_no_token_has_one() -> None:
    for secret in (b"", b"\0", KEY):
        with pytest.raises(Unauthorized):
            _checking(secret=None).verify(by_secret({"alg": "HS256"}, secret))


@given(st.sampled_from([own_token(OWN), foreign_token(ISSUER)]), st.data())
def test_a_token_with_another_letter_is_no_token(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda one: one != text[at]))
    other = text[:at] + letter + text[at + 1 :]
    assume(_meaning(other) != _meaning(text))  # the last letter of a part has bits that mean nothing
    with pytest.raises((Unauthorized, Unavailable)):
        ALL.verify(other)


def _meaning(text: str) -> object:
    try:
        return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split(".")]
    except ValueError:
        return None


def test_what_the_auth_service_signs_others_believe() -> None:
    config = TokenConfig(None, DAY, "pushcluster", signing_keys=(OWN,))
    text = Tokens(config).issue("a user", NOW, "t1", "s1")
    assert jwt.get_unverified_header(text) == {"alg": "ES256", "kid": OWN.key.kid, "typ": "JWT"}
    identity = ALL.verify(text)
    assert (identity.user_id, identity.session_id, identity.issued_at) == ("a user", "s1", NOW)


def test_an_issuers_claims_are_heeded_as_far_as_the_manifest_says() -> None:
    claims = {"topics": ["news", "team/*"], "may_write": ["team/a"], "sid": "a login of theirs"}
    identity = ALL.verify(foreign_token(ISSUER, **claims))
    assert identity.session_id is None
    reads = [topic for topic in ("news", "news/1", "team/", "team/a/b", "team") if identity.grants.reads(topic)]
    assert reads == ["news", "team/", "team/a/b"]
    assert [topic for topic in ("news", "team/a", "team/b") if identity.grants.writes(topic)] == ["team/a"]
    assert ALL.verify(own_token(OWN, topics=["*"], may_write=["*"])).grants == NO_GRANTS  # ours say nothing of it
    assert ALL.verify(foreign_token(ISSUER)).grants == NO_GRANTS


def test_users_of_an_issuer_are_ours_where_the_manifest_says_so() -> None:
    plain = TrustedIssuer(ISSUER.issuer, ISSUER.audience, "", user_id_claim="https://a.example/id")
    tokens = _checking(trusted=plain)
    assert tokens.verify(foreign_token(ISSUER, **{"https://a.example/id": "bob"})).user_id == "bob"
    for claims in ({"https://a.example/id": "$service"}, {"https://a.example/id": 7}, {}):
        with pytest.raises(Unauthorized):
            tokens.verify(foreign_token(ISSUER, **claims))


def test_a_key_that_may_have_come_meanwhile_is_waited_for() -> None:
    tokens = _checking(EDWARDS)
    with pytest.raises(Unavailable) as wait:
        tokens.verify(own_token(OWN))
    assert wait.value.retry_after_ms
    tokens.sources[0].take({OWN.key.kid: OWN.key}, 1.0)
    assert tokens.verify(own_token(OWN)).user_id == "ann"


def test_nobody_is_let_in_before_our_own_keys_are_known() -> None:
    tokens = Tokens(TokenConfig(None, DAY, "pushcluster", keys_url="http://auth", trusted=(TRUSTED,)))
    assert tokens.waiting()
    tokens.sources[0].take({}, 0.0)
    assert tokens.waiting() is None  # an issuer that is away keeps nobody but its own users waiting


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
