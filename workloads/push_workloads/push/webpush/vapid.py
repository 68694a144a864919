"""Who we are to push services: a key pair, and a token that it signs for each of them (VAPID, RFC 8292). Pure."""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

KEY_BYTES: Final = 32
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256: keys are below
LIFE_SECONDS: Final = 12 * 3600  # at most 24 hours (§2)
RENEW_SECONDS: Final = 3600  # before its end
MAX_ORIGINS: Final = 1000  # whoever registers devices chooses them


class BadVapidKey(ValueError):
    """The text completes "the key …"; nothing of the key is in it."""


def read_key(text: str) -> EllipticCurvePrivateKey:
    """A P-256 key as PEM, or as its 32 bytes in base64url, as the tools for Web Push print it. Raises BadVapidKey."""
    if text.lstrip().startswith("-----BEGIN"):
        return _from_pem(text.strip().encode())
    try:
        raw = base64.b64decode(text.strip().rstrip("=") + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadVapidKey("must be PEM, or 32 bytes in base64url") from error
    number = int.from_bytes(raw, "big")
    if len(raw) != KEY_BYTES or not 0 < number < ORDER:
        raise BadVapidKey("must be PEM, or 32 bytes in base64url")
    return derive_private_key(number, SECP256R1())


def _from_pem(pem: bytes) -> EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:  # TypeError: with a passphrase
        raise BadVapidKey("is PEM that cannot be read: it must be a private key without a passphrase") from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise BadVapidKey("must be of the curve P-256 (prime256v1)")
    return key


def point(key: EllipticCurvePrivateKey) -> bytes:
    """Its public half: 65 bytes."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Vapid:
    """`subject`: whom the operators of a push service may write to, a mailto: or https: address. One token serves for
    all sends to an origin until it is nearly over."""

    def __init__(self, key: EllipticCurvePrivateKey, subject: str) -> None:
        self._key = key
        self._subject = subject
        self.public_key = unpadded(point(key))
        self._tokens: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def authorization(self, endpoint: str, now: float) -> str:
        """The header for a send to this endpoint; `now` in Unix seconds."""
        parts = urlsplit(endpoint)
        origin = f"{parts.scheme}://{parts.netloc}"
        until, header = self._tokens.get(origin, (0.0, ""))
        if now >= until:
            header = self._signed(origin, now)
            self._tokens[origin] = (now + LIFE_SECONDS - RENEW_SECONDS, header)
            if len(self._tokens) > MAX_ORIGINS:
                self._tokens.popitem(last=False)
        return header

    def _signed(self, origin: str, now: float) -> str:
        claims = {"aud": origin, "exp": int(now) + LIFE_SECONDS, "sub": self._subject}
        return f"vapid t={jwt.encode(claims, self._key, algorithm='ES256')}, k={self.public_key}"
