"""A login on its way: what we must know again when the browser comes back, sealed into a cookie of that browser. Pure.

So whoever begins logins and never ends them costs no memory, any replica can go on, and the answer to a login that was
begun in one browser is nothing in another (CSRF: RFC 9700 §4.7).
"""

from __future__ import annotations

import base64
import hmac
from hashlib import blake2b, sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ATTEMPT_SECONDS: Final = 600  # for a person to log in at the provider
NONCE_BYTES: Final = 12
MAX_SEALED: Final = 3500  # characters; browsers keep cookies of 4096
_decode: Final = msgspec.json.Decoder
_encode: Final = msgspec.json.Encoder().encode


class Attempt(msgspec.Struct, frozen=True):
    """`verifier` is ours with the provider (RFC 7636), `challenge` the app's with us. `expires_at` is Unix seconds."""

    provider: str
    state: str
    nonce: str
    verifier: str
    return_to: str
    challenge: str | None
    expires_at: int


def key_of(secret: bytes) -> bytes:
    """The key of the seals, from the one that signs access tokens."""
    return blake2b(secret[:64], person=b"oauth-attempts", digest_size=32).digest()


def cookie_name(state: str, *, secure: bool) -> str:
    """One for each attempt: several windows may be logging in. `__Host-`: no other host of the domain can set it."""
    return f"{'__Host-' if secure else ''}push-oauth-{sha256(state.encode()).hexdigest()[:16]}"


def seal(attempt: Attempt, key: bytes, nonce: bytes) -> str:
    """`nonce` is NONCE_BYTES that are never used again with this key."""
    return base64.urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, _encode(attempt), None)).decode()


def opened(sealed: str | None, key: bytes, provider: str, state: str, now: int) -> Attempt | None:
    """The attempt in a cookie; None when it is not ours, too old, or another one's. `now` in Unix seconds."""
    if not sealed or len(sealed) > MAX_SEALED:
        return None
    try:
        raw = base64.b64decode(sealed.encode(), altchars=b"-_", validate=True)
        attempt = _decode(Attempt).decode(AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], None))
    except (ValueError, InvalidTag, msgspec.DecodeError):
        return None
    same = hmac.compare_digest(attempt.state.encode(), state.encode()) and attempt.provider == provider
    return attempt if same and now < attempt.expires_at else None


def challenge_of(verifier: str) -> str:
    """S256 (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
