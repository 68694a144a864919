"""What the operator asks of a gateway, over its admin port: numbers, a drain, its end, a shed.

Only the operator may empty a gateway: it shows a token that no other pod has. And of its processes only the one that
leads: each says with which epoch it was elected, and who was before another is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final, Protocol

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from push_workloads.common.errors import Conflict, PushError
from push_workloads.common.orders import answer, authorize, decoded
from push_workloads.common.service import AdminRoutes
from push_workloads.gateway.departures import Departures
from push_workloads.gateway.stats import Stats

SHEDDING: Final = 202

Rate = Annotated[float, Meta(ge=0.1, le=100_000)]  # clients a second
Epoch = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Order(Protocol):
    epoch: int


class DrainOrder(Struct):
    rate: Rate
    epoch: Epoch


class UndrainOrder(Struct):
    epoch: Epoch


class ShedOrder(Struct):
    connections: Annotated[int, Meta(ge=1, le=1_000_000)]
    rate: Rate
    epoch: Epoch


class Fenced(Conflict):
    """Somebody with a higher epoch was obeyed before."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"an operator with epoch {epoch} leads: read the lease again")
        self.epoch = epoch


Carry = Callable[[Any], Awaitable[tuple[int, object]]]
"""Carries an order out; status and body of the answer"""


class Admin:
    def __init__(self, departures: Departures, stats: Stats, token: bytes | None) -> None:
        self._departures = departures
        self._stats = stats
        self._token = token
        self._epoch = 0

    def routes(self) -> AdminRoutes:
        return {
            ("GET", "/stats"): self._told,
            ("POST", "/drain"): partial(self._ordered, msgspec.json.Decoder(DrainOrder), self._drain),
            ("POST", "/undrain"): partial(self._ordered, msgspec.json.Decoder(UndrainOrder), self._undrain),
            ("POST", "/shed"): partial(self._ordered, msgspec.json.Decoder(ShedOrder), self._shed),
        }

    async def _told(self, _: web.Request) -> web.Response:
        return answer(200, self._stats.read(self._epoch))

    async def _ordered(
        self, decoder: msgspec.json.Decoder[Any], carry_out: Carry, request: web.Request
    ) -> web.Response:
        try:
            authorize(request, self._token)
            order: Order = await decoded(decoder, request)
            self._fence(order.epoch)
            status, body = await carry_out(order)
        except Fenced as error:
            return answer(error.status, {"error": error.message, "epoch": error.epoch})
        except PushError as error:
            return answer(error.status, {"error": error.message})
        return answer(status, body)

    def _fence(self, epoch: int) -> None:
        if epoch < self._epoch:
            raise Fenced(self._epoch)
        self._epoch = epoch

    async def _drain(self, order: DrainOrder) -> tuple[int, object]:
        await self._departures.drain(order.rate)
        return 200, self._departures.draining()

    async def _undrain(self, order: UndrainOrder) -> tuple[int, object]:
        await self._departures.undrain()
        return 200, {"draining": None}

    async def _shed(self, order: ShedOrder) -> tuple[int, object]:
        return SHEDDING, {"shedding": self._departures.shed(order.connections, order.rate)}
