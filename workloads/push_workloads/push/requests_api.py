"""`POST /push` over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from msgspec import Struct

from push_workloads.common.http import Call, Route, service_only
from push_workloads.push.deliveries import State
from push_workloads.push.office import PushOffice
from push_workloads.push.requests import NewPush, Request, Stage


class PushAnswer(Struct, omit_defaults=True):
    """`push_id` is the message id of all its deliveries."""

    push_id: str
    stage: Stage
    users: int
    send_at: int | None = None
    duplicate: bool = False


class DeliveryCounts(Struct):
    """Of devices. `queued` and `held` are on their way still."""

    queued: int
    held: int
    cancelled: int
    sent: int
    failed: int


class PushView(Struct):
    push_id: str
    stage: Stage
    users: int
    created_at: int
    send_at: int | None
    deliveries: DeliveryCounts


def push_routes(office: PushOffice) -> list[Route]:
    async def push(call: Call) -> PushAnswer:
        service_only(call)
        asked: NewPush = call.body
        request, duplicate = await office.push(asked)
        return PushAnswer(request.push_id, request.stage, request.users, request.send_at, duplicate)

    async def one(call: Call) -> PushView:
        service_only(call)
        return await view(await office.find(call.path["push_id"]))

    async def cancel(call: Call) -> PushView:
        service_only(call)
        return await view(await office.cancel(call.path["push_id"]))

    async def view(request: Request) -> PushView:
        counts = counts_of(await office.counts(request.push_id))
        return PushView(request.push_id, request.stage, request.users, request.created_at, request.send_at, counts)

    path = "/push/{push_id}"
    routes = [
        Route("POST", "/push", push, "Sends a notification to users' devices, now or at a time", PushAnswer,
              body=NewPush, status=202, errors=(403, 409)),
        Route("GET", path, one, "What has become of it", PushView, errors=(403, 404)),
        Route("DELETE", path, cancel, "Cancels what of it was not sent", PushView, errors=(403, 404)),
    ]  # fmt: skip
    return [replace(route, scope="push") for route in routes]


def counts_of(counts: Mapping[State, int]) -> DeliveryCounts:
    return DeliveryCounts(
        counts[State.QUEUED], counts[State.HELD], counts[State.CANCELLED], counts[State.SENT], counts[State.FAILED]
    )
