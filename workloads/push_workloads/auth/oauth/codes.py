"""What is good for one time, kept in Redis for all replicas: states that have come back, and codes for apps."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any, Final

import msgspec

from push_workloads.auth.oauth.attempts import ATTEMPT_SECONDS
from push_workloads.auth.oauth.people import Person
from push_workloads.common.cache import reaching

CODE_SECONDS: Final = 60
CODE_BYTES: Final = 32
MAX_CODE: Final = 128  # characters
_WHAT: Final = "login"


class Ticket(msgspec.Struct, frozen=True):
    """Who has logged in at a provider, and the app's challenge, if it gave one."""

    person: Person
    challenge: str | None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Ticket).decode


class Codes:
    """Kept by their hashes: whoever reads Redis cannot use them. Both methods raise Unavailable without it."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    async def first_use(self, state: str) -> bool:
        """Whether this state has not come back before."""
        async with reaching(_WHAT):
            return bool(await self._cache.set(_key("state", state), b"", nx=True, ex=ATTEMPT_SECONDS))

    async def issue(self, ticket: Ticket) -> str:
        code = secrets.token_urlsafe(CODE_BYTES)
        async with reaching(_WHAT):
            await self._cache.set(_key("code", code), _encode(ticket), ex=CODE_SECONDS)
        return code

    async def redeem(self, code: str) -> Ticket | None:
        """What a code is for, the first time that it is shown within its minute; None afterwards."""
        if len(code) > MAX_CODE:
            return None
        async with reaching(_WHAT):
            kept = await self._cache.getdel(_key("code", code))
        return _decode(kept) if kept is not None else None


def _key(what: str, secret: str) -> str:
    return f"auth:oauth:{what}:{sha256(secret.encode('utf-8', 'replace')).hexdigest()}"
