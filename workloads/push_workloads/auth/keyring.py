"""Service credentials as the platform's operator asks for them, over the admin port: made, listed, revoked.

    GET  /credentials                               {"credentials": [{"id", "name", "scopes", "created_at"}]}
    POST /credentials         {"name", "scopes"}    201, the same of one, with its "credential": shown this once
    POST /credentials/revoke  {"id"}                200 {"revoked": id}; 404

Whoever asks shows the ADMIN_TOKEN. Faults are {"error": what to do}.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from redis.exceptions import RedisError

from push_workloads.auth.store import AccountStore
from push_workloads.common.credentials import ID_BYTES, SCOPES, SECRET_BYTES, Credential, made
from push_workloads.common.errors import BadRequest, Conflict, NotFound
from push_workloads.common.following import tell
from push_workloads.common.looking import Trouble, look_again
from push_workloads.common.orders import obeyed
from push_workloads.common.service import AdminRoutes
from push_workloads.common.tasks import wait

MAX_CREDENTIALS: Final = 100
LOOK_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class NewCredential(Struct):
    """`name`: what it is for, as people will read it in the list."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[ -~]+$")]
    scopes: Annotated[list[str], Meta(min_length=1, max_length=len(SCOPES))]


class Revoked(Struct):
    id: Annotated[str, Meta(min_length=1, max_length=64)]


class Keyring:
    """`now_ms` is the clock. `token`: the ADMIN_TOKEN."""

    def __init__(self, store: AccountStore, cache: Any, token: bytes | None, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._cache = cache
        self._token = token
        self._now_ms = now_ms
        self._wake = asyncio.Event()

    def routes(self) -> AdminRoutes:
        new, gone = msgspec.json.Decoder(NewCredential), msgspec.json.Decoder(Revoked)
        return {
            ("GET", "/credentials"): partial(obeyed, self._token, None, self._list),
            ("POST", "/credentials"): partial(obeyed, self._token, new, self._create),
            ("POST", "/credentials/revoke"): partial(obeyed, self._token, gone, self._revoke),
        }

    async def run(self) -> None:
        """Until cancelled: what the services know is what the store has, also after Redis has lost it."""
        await look_again(self._tell, self._pause, Trouble(_log, "credentials are not in Redis"))

    async def _pause(self) -> None:
        await wait(self._wake, LOOK_SECONDS)
        self._wake.clear()

    async def _list(self, _: web.Request) -> tuple[int, object]:
        found = sorted(await self._store.credentials(), key=lambda one: (one.created_at, one.id))
        return 200, {"credentials": [_shown(one) for one in found]}

    async def _create(self, asked: NewCredential) -> tuple[int, object]:
        unknown = sorted(set(asked.scopes) - set(SCOPES))
        if unknown:
            raise BadRequest(f"there is no scope {', '.join(unknown)}: choose of {', '.join(SCOPES)}")
        if len(await self._store.credentials()) >= MAX_CREDENTIALS:
            raise Conflict(f"there are {MAX_CREDENTIALS} credentials: revoke one")
        one, text = made(asked.name, asked.scopes, self._now_ms(), secrets.token_bytes(ID_BYTES + SECRET_BYTES))
        await self._store.add_credential(one)
        await self._tell_now()
        return 201, _shown(one) | {"credential": text}

    async def _revoke(self, asked: Revoked) -> tuple[int, object]:
        if not await self._store.remove_credential(asked.id):
            raise NotFound(f"there is no credential {asked.id}: list them")
        await self._tell_now()
        return 200, {"revoked": asked.id}

    async def _tell_now(self) -> None:
        """It is in the store, whatever comes of this: `run` tells it as soon as Redis is back."""
        try:
            await self._tell()
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("credentials are told later: Redis does not answer", extra={"cause": repr(error)})
            self._wake.set()

    async def _tell(self) -> None:
        await tell(self._cache, await self._store.credentials())


def _shown(one: Credential) -> dict[str, object]:
    return {"id": one.id, "name": one.name, "scopes": one.scopes, "created_at": one.created_at}
