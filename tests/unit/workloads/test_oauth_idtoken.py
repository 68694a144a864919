"""ID tokens of people who mean no good. The keys are real, the provider is not needed."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from push_workloads.auth.oauth.idtoken import UnknownKey, usable_keys, verified
from push_workloads.auth.oauth.people import ProviderFailed

NOW = 1_700_000_000
ISSUER, CLIENT, NONCE = "https://login.example", "platform", "the nonce"
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "alg": "RS256", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec", "alg": "ES256", "use": "sig"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
PLAIN_RSA = RSAKey.import_key({name: value for name, value in RSA.as_dict(private=True).items() if name != "alg"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
KEYS = usable_keys({"keys": [one.as_dict(private=False) for one in (RSA, EC, ED)]})
CLAIMS = {"iss": ISSUER, "aud": CLIENT, "sub": "7", "nonce": NONCE, "iat": NOW, "exp": NOW + 60}


def signed(key: Any = RSA, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token; None takes a claim out, and a header field."""
    said = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    given = {"alg": "RS256", "kid": "rsa", **(header or {})}
    registry = jws.JWSRegistry(algorithms=[given["alg"]], strict_check_header=False)
    protected = {name: value for name, value in given.items() if value is not None}
    return jws.serialize_compact(protected, json.dumps(said).encode(), key, registry=registry)


def check(token: Any, keys: KeySet = KEYS, access_token: str | None = None) -> dict[str, Any]:
    return verified(token, keys, issuer=ISSUER, client_id=CLIENT, nonce=NONCE, access_token=access_token, now=NOW)


def test_good_ones() -> None:
    assert check(signed()) == CLAIMS
    assert check(signed(EC, {"alg": "ES256", "kid": "ec"})) == CLAIMS
    assert check(signed(ED, {"alg": "Ed25519", "kid": "ed"})) == CLAIMS
    assert check(signed(aud=[CLIENT]))["aud"] == [CLIENT]
    assert check(signed(aud=[CLIENT, "other"], azp=CLIENT))["azp"] == CLIENT
    assert check(signed(iat=NOW + 20, exp=NOW - 20))["sub"] == "7"  # clocks differ a little
    only = usable_keys({"keys": [RSA.as_dict(private=False)]})
    assert check(signed(header={"kid": None}), only) == CLAIMS


def _raw(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, claims))
    return ".".join((*parts, signature))


def _confused() -> str:
    """HMAC with the public key as its secret."""
    said = _raw({"alg": "HS256", "kid": "rsa"}, CLAIMS).removesuffix(".")
    mac = hmac.digest(RSA.as_pem(private=False), said.encode(), "sha256")
    return f"{said}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


HOSTILE: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "no text": lambda: 7,
    "no token": lambda: "x",
    "two dots": lambda: "..",
    "unsigned": lambda: _raw({"alg": "none"}, CLAIMS),
    "unsigned, with a kid": lambda: _raw({"alg": "none", "kid": "rsa"}, CLAIMS),
    "unsigned, in capitals": lambda: _raw({"alg": "NONE", "kid": "rsa"}, CLAIMS),
    "signature cut off": lambda: signed().rpartition(".")[0] + ".",
    "key confusion": _confused,
    "another's key under our kid": lambda: signed(STRANGER),
    "another key of ours": lambda: signed(EC, {"alg": "ES256", "kid": "rsa"}),
    "another algorithm than the key's": lambda: signed(PLAIN_RSA, {"alg": "RS512"}),
    "a key in its header": lambda: signed(STRANGER, {"kid": None, "jwk": STRANGER.as_dict(private=False)}),
    "an address of keys": lambda: signed(STRANGER, {"jku": "https://evil.example/jwks"}),
    "an address of a certificate": lambda: signed(STRANGER, {"x5u": "https://evil.example/cert"}),
    "something critical": lambda: _raw({"alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": False}, CLAIMS, "AA"),
    "a kid of another key": lambda: signed(ED, {"alg": "Ed25519", "kid": "rsa"}),
    "another issuer": lambda: signed(iss="https://evil.example"),
    "an issuer that is longer": lambda: signed(iss=f"{ISSUER}/"),
    "no issuer": lambda: signed(iss=None),
    "another audience": lambda: signed(aud="another"),
    "no audience": lambda: signed(aud=None),
    "an empty audience": lambda: signed(aud=[]),
    "several audiences and no azp": lambda: signed(aud=[CLIENT, "other"]),
    "another azp": lambda: signed(azp="other"),
    "another nonce": lambda: signed(nonce="another"),
    "no nonce": lambda: signed(nonce=None),
    "a nonce in a list": lambda: signed(nonce=[NONCE]),
    "expired": lambda: signed(exp=NOW - 31),
    "never ends": lambda: signed(exp=None),
    "ends in words": lambda: signed(exp="never"),
    "not yet": lambda: signed(nbf=NOW + 60),
    "from the future": lambda: signed(iat=NOW + 60),
    "no subject": lambda: signed(sub=None),
    "huge": lambda: signed(padding="x" * 20_000),
    "no object": lambda: jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, b"[]", RSA),
    "no JSON": lambda: jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, b"\xff", RSA),
    "doubled": lambda: signed() + "." + signed(),
    "another access token's": lambda: signed(at_hash="x" * 22),
}  # fmt: skip


@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_ones(made: Callable[[], Any]) -> None:
    with pytest.raises(ProviderFailed) as refused:
        check(made(), access_token="an access token")
    assert NONCE not in refused.value.message


def test_several_keys_and_no_kid() -> None:
    second = RSAKey.generate_key(2048, {"kid": "second"})
    both = usable_keys({"keys": [one.as_dict(private=False) for one in (RSA, second)]})
    with pytest.raises(ProviderFailed):
        check(signed(header={"kid": None}), both)


def test_the_only_key_of_the_algorithm_and_no_kid() -> None:
    other = RSAKey.generate_key(2048, {"kid": "other", "alg": "RS512"})
    both = usable_keys({"keys": [one.as_dict(private=False) for one in (other, RSA)]})
    assert check(signed(header={"kid": None}), both) == CLAIMS


def test_an_unknown_kid_is_told_apart() -> None:
    with pytest.raises(UnknownKey):
        check(signed(STRANGER, {"kid": "new"}))


@given(st.text(max_size=300))
def test_whatever_a_token_is(text: str) -> None:
    with pytest.raises(ProviderFailed):
        check(text)


@given(st.integers(0, 2000), st.sampled_from("ABCxyz012_-."))
def test_a_letter_that_is_changed(at: int, letter: str) -> None:
    token = signed()
    at %= token.rindex(".")  # the last letter of a signature has bits that count for nothing
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        with pytest.raises(ProviderFailed):
            check(changed)


def test_keys_that_are_of_no_use_are_left_out() -> None:
    secret = {"kty": "oct", "k": "AAAA", "kid": "oct"}
    encrypting = {**EC.as_dict(private=False), "use": "enc", "kid": "enc"}
    odd: list[Any] = [secret, encrypting, {"kty": "LMS"}, {"kty": "RSA", "n": 1}, None, "x", RSA.as_dict(private=False)]
    assert [key.kid for key in usable_keys({"keys": odd}).keys] == ["rsa"]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": [{}] * 65}])
def test_a_document_without_keys(document: Any) -> None:
    with pytest.raises(ProviderFailed):
        usable_keys(document)
