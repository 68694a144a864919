"""Identifiers. Pure: time and randomness come in as arguments."""

from __future__ import annotations

import hashlib


def uuid7(now_ms: int, entropy: bytes) -> str:
    """A UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits; sorts by time.

    `entropy` is at least 10 random bytes.
    """
    tail = int.from_bytes(entropy[:10], "big")
    number = (now_ms & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (tail & 0xFFF) << 64 | 0b10 << 62 | tail >> 18
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def ms_of(made: str) -> int:
    """The Unix milliseconds in a `uuid7`."""
    return int(made[:8] + made[9:13], 16)


def message_id_of(sender: str, target: str, dedup_id: str) -> str:
    """The message id that an idempotency key stands for: the same three values are the same message, for ever.

    A UUID version 8 (RFC 9562 §5.8) over a keyed-by-length hash, so that no two triples run into each other.
    """
    parts = (sender.encode(), target.encode(), dedup_id.encode())
    digest = hashlib.blake2b(b"".join(len(part).to_bytes(4, "big") + part for part in parts), digest_size=16).digest()
    number = int.from_bytes(digest, "big")
    number = number & ~(0xF << 76) | 0x8 << 76
    number = number & ~(0b11 << 62) | 0b10 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
