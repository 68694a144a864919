"""Dead letters as the platform's operator asks for them, over the admin port: listed, put back, dropped.

    GET  /dead-letters?after=SEQ&limit=N           {"dead_letters": [{"seq", "subject", "reason", "attempts", "since",
                                                   "size"}]}, in the order in which they came
    POST /dead-letters/retry      {"seq"}          200 {"put_back": seq}; 404
    POST /dead-letters/drop       {"seq"}          200 {"dropped": seq}; 404

Whoever asks shows the ADMIN_TOKEN. Faults are {"error": what to do}.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from push_workloads.common.errors import BadRequest, Unavailable
from push_workloads.common.orders import obeyed
from push_workloads.common.service import AdminRoutes
from push_workloads.push.dead import MAX_PAGE, Dead, DeadLetters


class One(Struct):
    seq: Annotated[int, Meta(ge=1)]


class DeadOffice:
    """`token`: the ADMIN_TOKEN."""

    def __init__(self, token: bytes | None) -> None:
        self._token = token
        self._dead: DeadLetters | None = None

    def open(self, dead: DeadLetters) -> None:
        """From now on they can be reached."""
        self._dead = dead

    def routes(self) -> AdminRoutes:
        decoder = msgspec.json.Decoder(One)
        return {
            ("GET", "/dead-letters"): partial(obeyed, self._token, None, self._list),
            ("POST", "/dead-letters/retry"): partial(obeyed, self._token, decoder, self._retry),
            ("POST", "/dead-letters/drop"): partial(obeyed, self._token, decoder, self._drop),
        }

    async def _list(self, request: web.Request) -> tuple[int, object]:
        after, limit = _number(request, "after", 0), _number(request, "limit", MAX_PAGE)
        return 200, {"dead_letters": [_shown(one) for one in await self._letters.page(after, limit)]}

    async def _retry(self, one: One) -> tuple[int, object]:
        await self._letters.retry(one.seq)
        return 200, {"put_back": one.seq}

    async def _drop(self, one: One) -> tuple[int, object]:
        await self._letters.drop(one.seq)
        return 200, {"dropped": one.seq}

    @property
    def _letters(self) -> DeadLetters:
        if self._dead is None:
            raise Unavailable("not connected to NATS yet: try again")
        return self._dead


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or len(text) > 19:
        raise BadRequest(f"{name}: a whole number, not {text[:40]!r}")
    return int(text)


def _shown(one: Dead) -> dict[str, object]:
    return one._asdict()
