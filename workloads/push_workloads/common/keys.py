"""The keys of access tokens: public ones, as a JWK set has them (RFC 7517), and private ones of our own, of which it is
known when each signs and for how long it is still published. Pure.

An algorithm belongs to a key and never to a token: what a token says of it must be that, or the token is none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")  # none that takes a shared secret
MAX_KEYS: Final = 100  # of one set; those beyond are left out
MAX_KID_CHARS: Final = 256
RSA_MIN_BITS: Final = 2048  # RFC 7518 §3.3
SEED_MIN_BYTES: Final = 32
MAX_AGE_SECONDS: Final = 300  # how long a published set may be kept, and how often one is asked for anew
PUBLISH_SECONDS: Final = 900  # a new key is published for so long before it signs: everybody has asked by then
GRACE_SECONDS: Final = 60  # an old one stays for longer than the last token it signed, by clocks that are not equal
NEVER: Final = 2**53
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-4 D.1.2.3
_PEM: Final = re.compile(r"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)
_ABLE: Final = {"RSA": ("RS256", "PS256"), "EC P-256": ("ES256",), "EC P-384": ("ES384",), "OKP Ed25519": ("EdDSA",)}
_ABBREVIATED: Final = 16  # characters of a thumbprint that make a kid

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Public = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class BadKey(ValueError):
    """Not a key that signs here; the text names the fix and holds nothing of the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One that checks signatures, by the one algorithm that it is for."""

    kid: str
    algorithm: str
    public: Public


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One that signs, from `signs_from` on until a later one does; it is published until `until`. Unix seconds."""

    key: Key
    private: Private
    signs_from: int = 0
    until: int = NEVER


# What others publish --------------------------------------------------------------------------------------------------


def read_jwks(body: bytes, allowed: Sequence[str]) -> dict[str, Key]:
    """The keys of a JWK set that check signatures by an algorithm that is allowed, by their kid; the rest is left out,
    as RFC 7517 §5 has it. Raises BadKey when it is no set at all."""
    try:
        listed = msgspec.json.decode(body)["keys"]
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError, KeyError) as error:
        raise BadKey("the answer is no JWK set") from error
    if not isinstance(listed, list):
        raise BadKey("the answer is no JWK set: `keys` is no list")
    found: dict[str, Key] = {}
    for one in listed[:MAX_KEYS]:
        key = _public_key(one, allowed) if isinstance(one, dict) else None
        if key is not None:
            found.setdefault(key.kid, key)
    return found


def _public_key(jwk: Mapping[str, Any], allowed: Sequence[str]) -> Key | None:
    kid, algorithm = jwk.get("kid"), _algorithm(jwk, allowed)
    if not isinstance(kid, str) or not 1 <= len(kid) <= MAX_KID_CHARS or algorithm is None:
        return None
    if jwk.get("use", "sig") != "sig" or "d" in jwk:  # for encryption; or a private key, which is nobody's secret now
        return None
    try:
        public = jwt.PyJWK(dict(jwk), algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < RSA_MIN_BITS:
        return None
    return Key(kid, algorithm, public) if isinstance(public, Public) else None


def _algorithm(jwk: Mapping[str, Any], allowed: Sequence[str]) -> str | None:
    """The one that this key is for: what it says, if its kind can do that; else the first of its kind."""
    able = _ABLE.get(f"{jwk.get('kty')} {jwk.get('crv', '')}".strip(), ())
    said = jwk.get("alg")
    return next((one for one in allowed if one in able and said in (None, one)), None)


# Our own --------------------------------------------------------------------------------------------------------------


def from_seed(seed: str) -> SigningKey:
    """The ES256 key that a secret text stands for: the same one always. Raises BadKey."""
    if len(seed.encode()) < SEED_MIN_BYTES:
        raise BadKey(f"has {len(seed.encode())} bytes and needs at least {SEED_MIN_BYTES}")
    return _signing(p256_from_seed("signing key ES256", seed))


def p256_from_seed(purpose: str, seed: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key that a secret text stands for: the same one always, and another one for another purpose."""
    # 512 bits reduced to 256: what that prefers of one number over another cannot be seen (FIPS 186-5 A.2.1).
    wide = hashlib.sha512(f"pushcluster.io {purpose}\0{seed}".encode()).digest()
    scalar = int.from_bytes(wide, "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def from_pem(text: str) -> tuple[SigningKey, ...]:
    """Private keys in PEM, one after the other: the first signs, all are published. Raises BadKey."""
    blocks = [found[0] for found in _PEM.finditer(text)]
    if not blocks:
        raise BadKey("holds no private key in PEM: make one with `openssl genpkey -algorithm EC "
                     "-pkeyopt ec_paramgen_curve:P-256`")  # fmt: skip
    made = [_signing(_load(block)) for block in blocks[:MAX_KEYS]]
    return (made[0], *(SigningKey(one.key, one.private, signs_from=NEVER) for one in made[1:]))


def _load(pem: str) -> Private:
    try:
        private = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError) as error:
        raise BadKey("holds what is no private key in PEM without a password") from error
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name == "secp256r1":
        return private
    raise BadKey("holds a key that is neither of the curve P-256 (ES256) nor Ed25519 (EdDSA)")


def _signing(private: Private) -> SigningKey:
    public = private.public_key()
    algorithm = "ES256" if isinstance(public, ec.EllipticCurvePublicKey) else "EdDSA"
    return SigningKey(Key(_thumbprint(public)[:_ABBREVIATED], algorithm, public), private)


def in_turn(made: Mapping[int, SigningKey], ttl_seconds: int) -> tuple[SigningKey, ...]:
    """Keys by when each was made (Unix seconds): the first signs until the second does, and so on. A new one is
    published before it signs, an old one until the last token that it signed has expired."""
    times = sorted(made)
    starts = [0, *(at + PUBLISH_SECONDS for at in times[1:])]
    ends = [*(start + ttl_seconds + GRACE_SECONDS for start in starts[1:]), NEVER]
    rows = zip(times, starts, ends, strict=True)
    return tuple(SigningKey(made[at].key, made[at].private, start, end) for at, start, end in rows)


def signing(keys: Iterable[SigningKey], now: int) -> SigningKey:
    """The one that signs now; `keys` are in the order in which they begin."""
    return [one for one in keys if one.signs_from <= now][-1]


def published(keys: Iterable[SigningKey], now: int) -> dict[str, Key]:
    """Those that check signatures now, by kid."""
    return {one.key.kid: one.key for one in keys if now < one.until}


def as_jwk(key: Key) -> dict[str, str]:
    """The public key as a member of a JWK set."""
    return {**_members(key.public), "kid": key.kid, "alg": key.algorithm, "use": "sig"}


def _members(public: Public) -> dict[str, str]:
    algorithm: Any = ECAlgorithm if isinstance(public, ec.EllipticCurvePublicKey) else OKPAlgorithm
    made = algorithm.to_jwk(public, as_dict=True)
    return {name: made[name] for name in ("crv", "kty", "x", "y") if name in made}


def _thumbprint(public: Public) -> str:
    """RFC 7638 §3: of the members that are required, in the order of their names."""
    text = msgspec.json.encode(dict(sorted(_members(public).items())))
    return jwt.utils.base64url_encode(hashlib.sha256(text).digest()).decode()
