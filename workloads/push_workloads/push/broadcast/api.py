"""Broadcasts over HTTP, for service credentials; and over the admin port, for the platform's operator:

GET  /broadcasts            {"broadcasts": […]}, the newest first; with ?id= that one
POST /broadcasts            as over HTTP: 202
POST /broadcasts/stop {"id"}  200
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from push_workloads.common.errors import PushError
from push_workloads.common.http import Call, Route, service_only
from push_workloads.common.orders import answer, authorize, decoded
from push_workloads.common.service import AdminRoutes
from push_workloads.push.broadcast.desk import BroadcastDesk, BroadcastList, BroadcastView
from push_workloads.push.broadcast.model import NewBroadcast


def broadcast_routes(desk: BroadcastDesk) -> list[Route]:
    async def send(call: Call) -> BroadcastView:
        service_only(call)
        return await desk.send(call.body)

    async def listed(call: Call) -> BroadcastList:
        service_only(call)
        return await desk.listed()

    async def one(call: Call) -> BroadcastView:
        service_only(call)
        return await desk.one(call.path["broadcast_id"])

    async def stop(call: Call) -> BroadcastView:
        service_only(call)
        return await desk.stop(call.path["broadcast_id"])

    path = "/broadcasts/{broadcast_id}"
    routes = [
        Route("POST", "/broadcasts", send, "Sends a notification to all devices of a segment or topic", BroadcastView,
              body=NewBroadcast, status=202, errors=(403, 409)),
        Route("GET", "/broadcasts", listed, "The newest broadcasts", BroadcastList, errors=(403,)),
        Route("GET", path, one, "How far a broadcast has come", BroadcastView, errors=(403, 404)),
        Route("DELETE", path, stop, "Stops it", BroadcastView, errors=(403, 404)),
    ]  # fmt: skip
    return [replace(route, scope="push") for route in routes]


class Stop(Struct):
    id: Annotated[str, Meta(min_length=1, max_length=64)]


def admin_routes(desk: BroadcastDesk, token: bytes | None) -> AdminRoutes:
    """`token`: the ADMIN_TOKEN. Faults are {"error": what to do}."""
    new, gone = msgspec.json.Decoder(NewBroadcast), msgspec.json.Decoder(Stop)

    async def look(request: web.Request) -> tuple[int, object]:
        wanted = request.query.get("id")
        return 200, await desk.listed() if wanted is None else await desk.one(wanted)

    async def send(request: web.Request) -> tuple[int, object]:
        return 202, await desk.send(await decoded(new, request))

    async def stop(request: web.Request) -> tuple[int, object]:
        return 200, await desk.stop((await decoded(gone, request)).id)

    return {
        ("GET", "/broadcasts"): partial(_ordered, token, look),
        ("POST", "/broadcasts"): partial(_ordered, token, send),
        ("POST", "/broadcasts/stop"): partial(_ordered, token, stop),
    }


async def _ordered(
    token: bytes | None, carry_out: Callable[[web.Request], Awaitable[tuple[int, Any]]], request: web.Request
) -> web.Response:
    try:
        authorize(request, token)
        return answer(*await carry_out(request))
    except PushError as error:
        return answer(error.status, {"error": error.message})
