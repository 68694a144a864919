"""Service credentials: what a customer's own backend shows instead of a token, and what each may do. Pure.

A credential is `pcs_ID_SECRET`. Only its hash is kept: 256 random bits need no slow one. Every service that takes them
has them all in its memory; `common/following.py` keeps that up to date.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.issuers import NOT_VALID
from push_workloads.common.tokens import NEVER, SERVICE, Identity

PREFIX: Final = "pcs_"  # by which those who look for leaked secrets know it
SECRET_BYTES: Final = 32
ID_BYTES: Final = 6
SCOPES: Final = {
    "publish": "send messages to users, groups and topics",
    "groups": "make, change and read groups, as their owners may",
    "topics": "set the policies of topics",
    "presence": "read who is online",
    "push": "send notifications, broadcast, and see what became of them",
}
_SHOWN: Final = re.compile(r"pcs_([0-9a-f]{12})_([0-9A-Za-z_-]{43})", re.ASCII)
_NOBODYS: Final = bytes(32)


class Credential(Struct, frozen=True):
    """`digest`: of the whole text. `created_at`: Unix milliseconds."""

    id: str
    name: str
    scopes: tuple[str, ...]
    digest: bytes
    created_at: int


class Verifier(Protocol):
    def verify(self, text: str | None) -> Identity:
        """The identity behind a token; raises Unauthorized."""


def made(name: str, scopes: Iterable[str], now_ms: int, randomness: bytes) -> tuple[Credential, str]:
    """A new one, and its text, which nobody can tell again; `randomness`: ID_BYTES and SECRET_BYTES."""
    secret = base64.urlsafe_b64encode(randomness[ID_BYTES:]).decode().rstrip("=")
    credential_id = randomness[:ID_BYTES].hex()
    text = f"{PREFIX}{credential_id}_{secret}"
    return Credential(credential_id, name, tuple(sorted(set(scopes))), _digest(text), now_ms), text


def encoded(credentials: Iterable[Credential]) -> bytes:
    """As they are told to the services: the same for the same ones, in whichever order."""
    return msgspec.json.encode(sorted(credentials, key=lambda one: one.id))


def decoded(data: bytes) -> list[Credential]:
    """Raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=list[Credential])


class Credentials:
    """Those that a process knows. `complete`: they were read once."""

    def __init__(self) -> None:
        self.complete = False
        self._by_id: dict[str, Credential] = {}

    def replace(self, credentials: Iterable[Credential]) -> None:
        self._by_id = {one.id: one for one in credentials}
        self.complete = True

    def find(self, text: str) -> Credential | None:
        """The one whose text this is; as fast for one that is wrong as for one that is not there."""
        found = _SHOWN.fullmatch(text)
        known = self._by_id.get(found[1]) if found is not None else None
        right = hmac.compare_digest(_digest(text), known.digest if known is not None else _NOBODYS)
        return known if right else None


class Credentialed:
    """Takes service credentials, and whatever else `tokens` takes."""

    def __init__(self, tokens: Verifier, credentials: Credentials) -> None:
        self._tokens = tokens
        self._credentials = credentials

    def verify(self, text: str | None) -> Identity:
        if text is None or not text.startswith(PREFIX):
            return self._tokens.verify(text)
        if not self._credentials.complete:
            raise Unavailable("which credentials are good is not known yet; try again", retry_after_ms=1000)
        found = self._credentials.find(text)
        if found is None:
            raise Unauthorized(NOT_VALID)
        return Identity(SERVICE, NEVER, scopes=frozenset(found.scopes))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
