"""What lets someone set a new password without the old one. Pure.

A reset token is `USER.EXPIRY.MAC`. It is not kept: the MAC is made of the platform's key, and of the password's hash
that stands when it is asked for. So whoever reads the store cannot make one; and once a password is set, be it by this
token, by another or by its owner, the hash is another one and no token from before is good any more.
"""

from __future__ import annotations

import base64
import hmac
import re
from hashlib import blake2b, sha256
from typing import Final, NamedTuple

from push_workloads.auth.accounts import Account

RESET_SECONDS: Final = 1800  # time for a mail to arrive and be read
MAX_TOKEN: Final = 200
_TOKEN: Final = re.compile(r"([0-9a-zA-Z_-]{1,64})\.([0-9]{1,12})\.([0-9a-zA-Z_-]{43})", re.ASCII)


class Shown(NamedTuple):
    """What stands in a reset token that somebody shows. `expires_at` in Unix seconds."""

    user_id: str
    expires_at: int
    mac: str


def key_of(secret: bytes) -> bytes:
    """The key of the MACs, from the platform's secret: a leak of one use's key must not be a leak of another's."""
    return blake2b(secret[:64], person=b"password-resets", digest_size=32).digest()


def reset_token(account: Account, key: bytes, expires_at: int) -> str:
    """Good until `expires_at` (Unix seconds), and for one change of the password."""
    return f"{account.id}.{expires_at}.{_mac(account, key, expires_at)}"


def shown(text: str) -> Shown | None:
    """What a reset token says of itself, None when it is none."""
    found = _TOKEN.fullmatch(text) if len(text) <= MAX_TOKEN else None
    return Shown(found[1], int(found[2]), found[3]) if found is not None else None


def is_good(account: Account, token: Shown, key: bytes, now: int) -> bool:
    """Whether it opens this account now (Unix seconds)."""
    wanted = _mac(account, key, token.expires_at)
    return hmac.compare_digest(wanted, token.mac) and token.user_id == account.id and now < token.expires_at


def _mac(account: Account, key: bytes, expires_at: int) -> str:
    said = "\n".join((account.id, str(expires_at), account.email, account.password_hash))
    return base64.urlsafe_b64encode(hmac.digest(key, said.encode(), sha256)).decode().rstrip("=")
