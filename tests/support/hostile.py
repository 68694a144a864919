"""Tokens that must be refused, whoever is shown them: each is a good one but for one thing, and signed where the attack
allows it. They are made for a service that takes all three kinds: a shared secret, keys of our own, an issuer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from push_workloads.common.keys import SigningKey, as_jwk

OWN: Final = "pushcluster"
HOUR: Final = 3600
_SIGN: Final = get_default_algorithms()


@dataclass(frozen=True, slots=True)
class Issuer:
    """One that is trusted, and the audience that its tokens for us have."""

    key: SigningKey
    issuer: str
    audience: str


def encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Mapping[str, Any], claims: object, key: Any, algorithm: str) -> str:
    """A token with just this header, signed by this algorithm whatever the header says."""
    said = f"{encoded(dict(header))}.{encoded(claims)}"
    return f"{said}.{encoded(_SIGN[algorithm].sign(said.encode(), key))}"


def own_claims(**changes: Any) -> dict[str, Any]:
    """Of a token of ours; None leaves a claim out."""
    now = int(time.time())
    claims = {"iss": OWN, "aud": OWN, "sub": "ann", "iat": now, "exp": now + HOUR, "jti": "t1"}
    return {name: value for name, value in (claims | changes).items() if value is not None}


def own_token(key: SigningKey, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
    said = {"alg": key.key.algorithm, "kid": key.key.kid, "typ": "JWT", **(header or {})}
    return signed(said, own_claims(**changes), key.private, key.key.algorithm)


def foreign_token(issuer: Issuer, **changes: Any) -> str:
    return own_token(issuer.key, **({"iss": issuer.issuer, "aud": issuer.audience, "jti": None} | changes))


def hostile(own: SigningKey, secret: bytes, other: Issuer) -> dict[str, str]:
    """By what is wrong with each."""
    return {**_algorithms(own, secret), **_headers(own), **_claims(own), **_forms(own), **_issuers(own, other)}


def by_secret(header: Mapping[str, Any], secret: bytes) -> str:
    """The library refuses to take a public key for a secret; an attacker does not ask it."""
    said = f"{encoded(dict(header))}.{encoded(own_claims())}"
    return f"{said}.{encoded(hmac.digest(secret, said.encode(), hashlib.sha256))}"


def _algorithms(own: SigningKey, secret: bytes) -> dict[str, str]:
    kid, public = own.key.kid, own.key.public
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = json.dumps(as_jwk(own.key)).encode()
    plain = {"alg": "HS256", "typ": "JWT"}
    named = plain | {"kid": kid}
    stranger = ec.generate_private_key(ec.SECP256R1())

    return {
        "alg none": f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(own_claims())}.",
        "alg none with a kid": f"{encoded({'alg': 'none', 'kid': kid})}.{encoded(own_claims())}.",
        "alg None in capitals": f"{encoded({'alg': 'NONE'})}.{encoded(own_claims())}.",
        "confusion: HS256 with the public key in PEM": by_secret(plain, pem),
        "confusion: the same with its kid": by_secret(named, pem),
        "confusion: HS256 with the public key as JWK": by_secret(named, jwk),
        "the shared secret under the kid of a key": by_secret(named, secret),
        "an empty secret": by_secret(plain, b""),
        "HS512 with the shared secret": signed({"alg": "HS512"}, own_claims(), secret * 2, "HS512"),
        "ES256 named HS256": signed(named, own_claims(), own.private, own.key.algorithm),
        "an algorithm that is not the key's": signed(
            {"alg": "EdDSA" if own.key.algorithm != "EdDSA" else "ES256", "kid": kid}, own_claims(), own.private,
            own.key.algorithm),
        "an algorithm that nobody knows": own_token(own, {"alg": "XX999"}),
        "no algorithm": signed({"kid": kid}, own_claims(), own.private, own.key.algorithm),
        "an algorithm that is no text": own_token(own, {"alg": ["ES256"]}),
        "another key under this kid": signed({"alg": "ES256", "kid": kid}, own_claims(), stranger, "ES256"),
    }  # fmt: skip


def _headers(own: SigningKey) -> dict[str, str]:
    jwk = as_jwk(own.key)
    return {
        "no kid": signed({"alg": own.key.algorithm}, own_claims(), own.private, own.key.algorithm),
        "a kid that is no text": own_token(own, {"kid": 7}),
        "a kid that is a path": own_token(own, {"kid": "../../../dev/null"}),
        "jku": own_token(own, {"jku": "http://127.0.0.1:1/keys"}),
        "x5u": own_token(own, {"x5u": "http://127.0.0.1:1/cert"}),
        "jwk": own_token(own, {"jwk": jwk}),
        "x5c": own_token(own, {"x5c": ["MIIB"]}),
        "crit": own_token(own, {"crit": ["exp"], "exp": 1}),
        "b64": own_token(own, {"b64": False, "crit": ["b64"]}),
        "zip": own_token(own, {"zip": "DEF"}),
        "a logout token": own_token(own, {"typ": "logout+jwt"}),
        "a type that is no text": own_token(own, {"typ": None}),
    }


def _claims(own: SigningKey) -> dict[str, str]:
    now = int(time.time())
    return {
        "expired": own_token(own, iat=now - 100, exp=now - 50),
        "expired long ago": own_token(own, exp=-1),
        "not yet valid": own_token(own, nbf=now + HOUR),
        "from the future": own_token(own, iat=now + HOUR, exp=now + 2 * HOUR),
        "wrong aud": own_token(own, aud="other"),
        "wrong aud among many": own_token(own, aud=["other", "another"]),
        "no aud": own_token(own, aud=None),
        "wrong iss": own_token(own, iss="https://evil.example"),
        "iss in other letters": own_token(own, iss="PushCluster"),
        "no iss": own_token(own, iss=None),
        "no jti": own_token(own, jti=None),
        "no sub": own_token(own, sub=None),
        "no exp": own_token(own, exp=None),
        "no iat": own_token(own, iat=None),
        "exp that is text": own_token(own, exp="tomorrow"),
        "exp that is a list": own_token(own, exp=[now + HOUR]),
        "exp that is endless": own_token(own, exp=float("inf")),
        "exp that is no number": own_token(own, exp=float("nan")),
        "exp that is true": own_token(own, exp={"a": 1}),
        "sub that is a number": own_token(own, sub=7),
        "sub that is a list": own_token(own, sub=["ann"]),
        "an empty sub": own_token(own, sub=""),
        "a long sub": own_token(own, sub="a" * 129),
        "the service": own_token(own, sub="$service"),
        "iss that is a list": own_token(own, iss=[OWN]),
        "iss that is an object": own_token(own, iss={OWN: OWN}),
        "sid that is a number": own_token(own, sid=7),
        "bound to a key": own_token(own, cnf={"jkt": "x"}),
        "claims that are a list": signed(_said(own), [own_claims()], own.private, own.key.algorithm),
        "claims that are text": signed(_said(own), "claims", own.private, own.key.algorithm),
        "claims that are nothing": signed(_said(own), b"", own.private, own.key.algorithm),
        "nested too deeply": signed(_said(own), b'{"iss":"pushcluster","a":' + b"[" * 2500, own.private,
                                    own.key.algorithm),
    }  # fmt: skip


def _said(own: SigningKey) -> dict[str, str]:
    return {"alg": own.key.algorithm, "kid": own.key.kid}


def _forms(own: SigningKey) -> dict[str, str]:
    good = own_token(own)
    head, claims, signature = good.split(".")
    return {
        "cut": good[:-4],
        "without a signature": f"{head}.{claims}.",
        "two parts": f"{head}.{claims}",
        "four parts": f"{good}.{signature}",
        "five parts, as if encrypted": f"{good}.{head}.{claims}",
        "doubled": f"{good}{good}",
        "doubled with a point": f"{good}.{good}",
        "doubled with a comma": f"{good},{good}",
        "other claims under the signature": f"{head}.{encoded(own_claims(sub='bob'))}.{signature}",
        "another header over the signature": f"{encoded(_said(own) | {'a': 1})}.{claims}.{signature}",
        "huge": own_token(own, extra="x" * 5000),
        "one letter": "a",
        "points": "..",
        "a header nested too deeply": f"{encoded(b'[' * 2500)}.{claims}.{signature}",
        "a header that is no JSON": f"{encoded(b'{')}.{claims}.{signature}",
        "a header that is a list": f"{encoded([])}.{claims}.{signature}",
        "in the JSON serialization": json.dumps({"protected": head, "payload": claims, "signature": signature}),
    }


def _issuers(own: SigningKey, other: Issuer) -> dict[str, str]:
    return {
        "our key for an issuer": own_token(own, iss=other.issuer, aud=other.audience),
        "an issuer's key for us": own_token(other.key),
        "an issuer for somebody else": foreign_token(other, aud="another-application"),
        "an issuer with our audience": foreign_token(other, aud=OWN),
        "an issuer's expired one": foreign_token(other, exp=int(time.time()) - 60),
        "an issuer's user without an id": foreign_token(other, sub=None),
        "an issuer's user with a long id": foreign_token(other, sub="a" * 128),
        "an issuer's topics that are a number": foreign_token(other, topics=7),
        "an issuer's topics that are numbers": foreign_token(other, topics=[7]),
        "an issuer's topics without an end": foreign_token(other, topics=["t"] * 101),
        "an issuer with another ending": foreign_token(other, iss=other.issuer + "/"),
    }
