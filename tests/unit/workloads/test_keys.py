"""Keys of access tokens: which of a set are taken, which of ours signs when, and what is asked of an issuer when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from push_workloads.common.config import TokenConfig
from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.issuers import (
    DEFAULT_ALGORITHMS,
    FORGET_SECONDS,
    MAX_UNKNOWN,
    STALE_SECONDS,
    BadIssuers,
    KeySource,
    TrustedIssuer,
    may_fetch,
    read_issuers,
)
from push_workloads.common.keys import (
    ALGORITHMS,
    GRACE_SECONDS,
    NEVER,
    PUBLISH_SECONDS,
    BadKey,
    Key,
    as_jwk,
    from_pem,
    from_seed,
    in_turn,
    published,
    read_jwks,
    signing,
)
from push_workloads.common.tokens import Tokens

TTL = 86_400
Private = Any


def _pem(private: Private) -> str:
    made: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.decode()


PEM_OF_ED25519 = _pem(ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32))
RSA_KEY = rsa.generate_private_key(65537, 2048)


def _jwk(private: Private, kid: str | None = "k", **more: Any) -> dict[str, Any]:
    kinds = {ec.EllipticCurvePrivateKey: ECAlgorithm, ed25519.Ed25519PrivateKey: OKPAlgorithm}
    algorithm: Any = next((made for kind, made in kinds.items() if isinstance(private, kind)), RSAAlgorithm)
    jwk = algorithm.to_jwk(private.public_key(), as_dict=True)
    return {**jwk, **({"kid": kid} if kid is not None else {}), **more}


def _read(*jwks: Any, allowed: tuple[str, ...] = DEFAULT_ALGORITHMS) -> dict[str, str]:
    return {kid: key.algorithm for kid, key in read_jwks(json.dumps({"keys": jwks}).encode(), allowed).items()}


P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def test_a_key_has_one_algorithm_whatever_a_token_says() -> None:
    assert _read(_jwk(P256, "a"), _jwk(EDWARDS, "b"), _jwk(RSA_KEY, "c")) == {"a": "ES256", "b": "EdDSA", "c": "RS256"}
    assert _read(_jwk(RSA_KEY, "c"), allowed=("PS256", "RS256")) == {"c": "PS256"}
    assert _read(_jwk(RSA_KEY, "c", alg="RS256"), allowed=("PS256", "RS256")) == {"c": "RS256"}
    assert _read(_jwk(P384, "d"), allowed=ALGORITHMS) == {"d": "ES384"}


LEFT_OUT = {
    "a shared secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "alg": "HS256"},
    "no kid": _jwk(P256, None),
    "a kid that is no text": {**_jwk(P256), "kid": 7},
    "a kid without an end": _jwk(P256, "k" * 257),
    "for encryption": _jwk(P256, use="enc"),
    "another algorithm than it can": _jwk(P256, alg="RS256"),
    "no algorithm": _jwk(P256, alg="none"),
    "a shared secret's algorithm": _jwk(RSA_KEY, alg="HS256"),
    "not allowed": _jwk(P384),
    "a short RSA key": _jwk(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - the point of it
    "a private key": {**_jwk(P256), "d": "AAAA"},
    "a point that is not on the curve": {**_jwk(P256), "x": _jwk(P256)["y"], "y": _jwk(P256)["x"]},
    "half a point": {name: value for name, value in _jwk(P256).items() if name != "y"},
    "no base64": {**_jwk(P256), "x": "%%%"},
    "an unknown kind": {"kty": "XYZ", "kid": "k"},
    "text": "key",
    "nothing": None,
}


@pytest.mark.parametrize("jwk", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_what_is_no_key_for_us_is_left_out_and_the_rest_is_taken(jwk: Any) -> None:
    assert _read(jwk, _jwk(EDWARDS, "good")) == {"good": "EdDSA"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"keys":{}}', b'{"keys":null}', b"[" * 5000, b"\xff"])
def test_what_is_no_set_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(BadKey):
        read_jwks(body, DEFAULT_ALGORITHMS)


def test_of_two_keys_of_one_name_the_first_counts_and_a_set_has_an_end() -> None:
    assert _read(_jwk(P256, "a"), _jwk(EDWARDS, "a")) == {"a": "ES256"}
    assert len(_read(*(_jwk(P256, str(number)) for number in range(150)))) == 100


def test_what_we_publish_can_be_read() -> None:
    keys = (from_seed("s" * 32), *from_pem(PEM_OF_ED25519))
    body = json.dumps({"keys": [as_jwk(one.key) for one in keys]}).encode()
    assert b'"d"' not in body
    read = read_jwks(body, ("ES256", "EdDSA"))
    assert read == {one.key.kid: one.key for one in keys}


@given(st.text(st.characters(codec="utf-8"), min_size=32, max_size=80))
def test_a_seed_is_one_key_always(seed: str) -> None:
    assert from_seed(seed).key == from_seed(seed).key
    assert from_seed(seed).key.kid != from_seed(seed + "x").key.kid


def test_a_short_seed_is_none() -> None:
    with pytest.raises(BadKey, match="has 31 bytes and needs at least 32"):
        from_seed("s" * 31)


def test_the_first_pem_signs_and_all_are_published() -> None:
    keys = from_pem(f"a comment\n{_pem(P256)}\n{PEM_OF_ED25519}")
    assert [one.key.algorithm for one in keys] == ["ES256", "EdDSA"]
    assert signing(keys, NEVER - 1) is keys[0]
    assert len(published(keys, NEVER - 1)) == 2


@pytest.mark.parametrize(
    "text",
    ["", "JWT", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", _pem(P384), _pem(RSA_KEY)],
    ids=["empty", "text", "no key", "P-384", "RSA"],
)  # fmt: skip
def test_another_pem_is_refused_with_the_fix(text: str) -> None:
    with pytest.raises(BadKey) as refused:
        from_pem(text)
    assert "AAAA" not in str(refused.value)


MOMENTS = st.lists(st.integers(1, 10**9), min_size=1, max_size=6, unique=True).map(sorted)


@given(MOMENTS, st.integers(60, 10**6), st.integers(0, 10**9 + 10**7))
def test_whatever_signs_is_known_before_and_for_as_long_as_its_tokens_live(made: list[int], ttl: int, now: int) -> None:
    keys = in_turn({at: from_seed(f"{at}".rjust(32)) for at in made}, ttl)
    current = signing(keys, now)
    assert current.key.kid in published(keys, now)
    if current is not keys[0]:  # everybody has asked since it was made
        assert current.signs_from - made[keys.index(current)] == PUBLISH_SECONDS
    assert current.key.kid in published(keys, now + ttl)  # as long as what it signs now
    later = [one for one in keys if one.signs_from > now]
    assert {one.key.kid for one in later} <= published(keys, now).keys()


def test_an_old_key_goes_when_its_last_token_has() -> None:
    keys = in_turn({0: from_seed("a" * 32), 10_000: from_seed("b" * 32)}, TTL)
    end = 10_000 + PUBLISH_SECONDS + TTL + GRACE_SECONDS
    assert len(published(keys, end - 1)) == 2
    assert list(published(keys, end)) == [keys[1].key.kid]
    assert signing(keys, 10_000 + PUBLISH_SECONDS - 1) is keys[0]
    tokens = Tokens(TokenConfig(None, TTL, "pushcluster", signing_keys=keys))
    assert [len(tokens.jwks(now)) for now in (0, end)] == [2, 1]


# What is asked of an issuer -------------------------------------------------------------------------------------------

KEYS: dict[str, Key] = {"a": from_seed("a" * 32).key}


class Source:
    """A source, its clock, and how often it has asked to be asked."""

    def __init__(self) -> None:
        self.now, self.wanted = 0.0, 0
        self.source = KeySource(TrustedIssuer("https://a.example", "a", ""))
        self.source.open(self._want, lambda: self.now)

    def _want(self) -> None:
        self.wanted += 1

    def verdict(self, kid: str) -> str:
        try:
            self.source.find(kid)
        except Unavailable:
            return "wait"
        except Unauthorized:
            return "no"
        return "yes"


def test_an_unknown_key_is_asked_for_once_and_refused_after_the_answer() -> None:
    source = Source()
    assert source.verdict("a") == "wait"  # nothing was fetched yet, and that is under way
    assert source.wanted == 0
    source.source.take(KEYS, 0.0)
    assert [source.verdict(kid) for kid in ("a", "b", "b", "b")] == ["yes", "wait", "wait", "wait"]
    assert source.wanted == 1
    source.source.take(KEYS, 0.0)  # the answer to a question from before
    assert source.verdict("b") == "wait"
    source.now = 1.0
    source.source.take(KEYS, 0.5)
    assert [source.verdict("b") for _ in range(100)] == ["no"] * 100
    assert source.wanted == 1
    source.source.take({}, 0.9)
    assert source.verdict("a") == "wait"  # its issuer took it back; perhaps it comes again
    source.now += FORGET_SECONDS + 1
    assert source.verdict("b") == "wait"
    assert source.wanted == 3


def test_a_storm_of_made_up_keys_takes_no_room_and_hides_no_new_key() -> None:
    source = Source()
    source.source.take(KEYS, 0.0)
    for number in range(10 * MAX_UNKNOWN):
        assert source.verdict(f"made up {number}") == "wait"
    assert len(source.source._unknown) == MAX_UNKNOWN
    assert source.verdict("a") == "yes"
    source.source.take(KEYS | {"new": KEYS["a"]}, 1.0)
    assert source.verdict("new") == "yes"


def test_keys_that_nobody_could_fetch_for_a_day_are_trusted_no_more() -> None:
    source = Source()
    source.source.take(KEYS, 0.0)
    source.now = STALE_SECONDS
    assert source.verdict("a") == "yes"
    source.now += 1
    assert source.verdict("a") == "wait"


@pytest.mark.parametrize(
    ("url", "insecure", "may"),
    [("https://a", False, True), ("http://a", False, False), ("http://a", True, True), ("file:///etc", True, False),
     ("https://", True, False), ("https://[", True, False), ("", True, False)],
)  # fmt: skip
def test_keys_come_by_https_unless_it_is_said(url: str, insecure: bool, may: bool) -> None:
    assert may_fetch(url, insecure) is may


def _issuers(**changes: Any) -> str:
    return json.dumps([{"issuer": "https://a.example", "audience": "a", "userIdPrefix": "", **changes}])


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", _issuers(algorithms=["HS256"]), _issuers(algorithms=[]), _issuers(issuer="http://a.example"),
     _issuers(jwksUrl="ftp://a"), _issuers(surprise=1), "[" * 5000,
     json.dumps(json.loads(_issuers()) * 2), json.dumps([{"issuer": "https://a", "audience": "a"}])],
)  # fmt: skip
def test_other_lists_of_issuers_are_refused(text: str) -> None:
    with pytest.raises(BadIssuers):
        read_issuers(text)
