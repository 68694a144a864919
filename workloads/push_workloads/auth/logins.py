"""A login and its refresh tokens. Pure.

A refresh token is `USER.LOGIN.GENERATION.MAC`. It is not kept: the MAC is made of the platform's key and of a salt that
stands in the store, so that whoever reads the store cannot make one, and the current one can be told again to a client
that did not hear the answer. Each use makes the next generation. An old one that is shown later was copied: the login
ends (RFC 9700 §4.14.2).
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b, sha256
from typing import Final, NamedTuple

REFRESH_TOKEN_DAYS: Final = 30  # without use
GRACE_MS: Final = 30_000  # in which the last but one is taken again: its answer may have been lost
SALT_BYTES: Final = 16
MAX_LOGINS: Final = 100  # of one user; the one that was used least lately goes first
MAX_DEVICE: Final = 100  # characters
MAX_TOKEN: Final = 300
_TOKEN: Final = re.compile(r"([0-9a-zA-Z_-]{1,64})\.([0-9a-zA-Z_-]{1,64})\.([0-9]{1,9})\.([0-9a-zA-Z_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Login:
    """One time that a user proved who they are, on one device. `device`: as its user would know it again. Times are in
    Unix milliseconds; `seen_at`: when the current generation was made."""

    user_id: str
    id: str
    device: str
    address: str
    created_at: int
    seen_at: int
    expires_at: int
    generation: int
    salt: bytes


class Shown(NamedTuple):
    """What stands in a refresh token that somebody shows."""

    user_id: str
    login_id: str
    generation: int
    mac: str


class Verdict(Enum):
    RENEW = "the current one: the next generation is made"
    REPEAT = "the one before, just now: the current one is told again"
    COPIED = "an old one: somebody has a copy"
    NOTHING = "none of ours, or of a login that is over"


def key_of(secret: bytes) -> bytes:
    """The key of the MACs, from the one that signs access tokens: a leak of one must not be a leak of the other."""
    return blake2b(secret[:64], person=b"refresh-tokens", digest_size=32).digest()


def refresh_token(login: Login, key: bytes) -> str:
    """The current one."""
    said = f"{login.user_id}.{login.id}.{login.generation}"
    return f"{said}.{_mac(said, login.salt, key)}"


def shown(text: str) -> Shown | None:
    """What a refresh token says of itself, None when it is none."""
    found = _TOKEN.fullmatch(text) if len(text) <= MAX_TOKEN else None
    return Shown(found[1], found[2], int(found[3]), found[4]) if found is not None else None


def judge(login: Login | None, token: Shown, key: bytes, now_ms: int) -> Verdict:
    """What to make of a refresh token, given its login."""
    if login is None or now_ms >= login.expires_at:
        return Verdict.NOTHING
    said = f"{token.user_id}.{token.login_id}.{token.generation}"
    if not hmac.compare_digest(_mac(said, login.salt, key), token.mac):
        return Verdict.NOTHING
    if token.generation == login.generation:
        return Verdict.RENEW
    if token.generation == login.generation - 1 and now_ms - login.seen_at <= GRACE_MS:
        return Verdict.REPEAT
    return Verdict.COPIED


def device_of(given: str | None, agent: str) -> str:
    """How a user knows a device again: what its app calls it, else its User-Agent."""
    text = "".join(letter for letter in (given or agent) if letter.isprintable()).strip()
    return text[:MAX_DEVICE]


def _mac(said: str, salt: bytes, key: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(key, said.encode() + b"." + salt, sha256)).decode().rstrip("=")
