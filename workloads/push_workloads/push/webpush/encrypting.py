"""A message that only the browser can read (RFC 8291), as one record of aes128gcm (RFC 8188). Pure.

On `cryptography` itself: what there is for Python (`http-ece`) cannot pad, and its length would tell the push service
what kind of message it carries.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from push_workloads.push.webpush.vapid import point

MAX_PLAIN: Final = 3993  # RFC 8291 §4: what fits in 4,096 bytes, which every push service takes
BLOCK: Final = 512  # lengths are told in steps of this
SALT_BYTES: Final = 16
_RECORD: Final = 4096
_LAST: Final = b"\x02"  # RFC 8188 §2: ends the last record's text, padding follows


class BadKeys(ValueError):
    """What the browser gave is no key to encrypt for."""


def encrypted(
    plain: bytes, p256dh: bytes, auth: bytes, *, key: EllipticCurvePrivateKey, salt: bytes, pad: bool = True
) -> bytes:
    """The body of the request. `key` and `salt` must be fresh for each message. `plain` has at most MAX_PLAIN bytes.
    Raises BadKeys."""
    try:
        theirs = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), p256dh)
    except ValueError as error:
        raise BadKeys("p256dh is no point of P-256") from error
    ours = point(key)
    secret = key.exchange(ECDH(), theirs)
    material = _derived(auth, secret, b"WebPush: info\x00" + p256dh + ours, 32)
    content_key = _derived(salt, material, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(salt, material, b"Content-Encoding: nonce\x00", 12)
    text = plain + _LAST + bytes(_padding(len(plain)) if pad else 0)
    header = salt + _RECORD.to_bytes(4, "big") + len(ours).to_bytes(1, "big") + ours
    return header + AESGCM(content_key).encrypt(nonce, text, None)


def _padding(length: int) -> int:
    return min(MAX_PLAIN, -(-length // BLOCK) * BLOCK) - length


def _derived(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
