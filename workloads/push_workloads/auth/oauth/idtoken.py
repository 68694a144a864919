"""ID tokens: is this the provider's word, for us, for this login? (OpenID Connect Core §3.1.3.7) Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from push_workloads.auth.oauth.people import ProviderFailed

MAX_TOKEN: Final = 16_384  # characters
MAX_KEYS: Final = 64
LEEWAY_SECONDS: Final = 30
# With keys that only the provider has. Never `none`, and no HMAC: it would make a secret of a key that is public.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)


class UnknownKey(ProviderFailed):
    """Signed with a key that is not among those that we have: they may have been changed."""


def usable_keys(document: Any) -> KeySet:
    """The public keys for signatures in a JWKS. Keys of kinds that nobody here knows are left out (RFC 7517 §5)."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ProviderFailed("the provider's JWKS has no list of keys")
    keys = []
    for one in listed:
        if isinstance(one, dict) and one.get("use", "sig") == "sig" and one.get("kty") in ("RSA", "EC", "OKP"):
            try:
                keys += KeySet.import_key_set({"keys": [one]}).keys
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    return KeySet(keys)


def verified(
    token: Any, keys: KeySet, *, issuer: str, client_id: str, nonce: str, access_token: str | None, now: int
) -> dict[str, Any]:
    """The claims. Raises UnknownKey, ProviderFailed. `now` in Unix seconds."""
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise ProviderFailed("the provider gave no ID token")
    try:
        header = jws.extract_compact(token.encode()).headers()
        key = _key(keys, header)
        decoded = jwt.decode(token, key, algorithms=[header["alg"]])
        _check(decoded, issuer, client_id, nonce, access_token, now)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        raise ProviderFailed(f"the ID token is not valid: {type(error).__name__}: {_claim(error)}") from error
    return dict(decoded.claims)


def _key(keys: KeySet, header: dict[str, Any]) -> Any:
    """By its `kid` among the provider's keys alone: `jku`, `jwk` and `x5u` of the token are never looked at."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS or "crit" in header:
        raise ProviderFailed("the ID token is signed in a way that is not accepted")
    fitting = [key for key in keys.keys if (kid is None or key.kid == kid) and key.get("alg", algorithm) == algorithm]
    if not fitting:
        raise UnknownKey("the ID token is signed with an unknown key")
    if len(fitting) > 1:
        raise ProviderFailed("the ID token does not say with which key it is signed")
    return fitting[0]


def _check(token: Any, issuer: str, client_id: str, nonce: str, access_token: str | None, now: int) -> None:
    options = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
    params = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    CodeIDToken(token.claims, token.header, options, params).validate(now=now, leeway=LEEWAY_SECONDS)


def _claim(error: Exception) -> str:
    """The claim that is wrong, never what stands in it."""
    return str(getattr(error, "claim", "") or getattr(error, "error", ""))
