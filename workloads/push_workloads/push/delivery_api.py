"""What became of a message at each device, over HTTP: to its user, and to servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call, Query, Route
from push_workloads.common.tokens import SERVICE
from push_workloads.push.deliveries import Delivery, DeliveryLog, State
from push_workloads.push.devices import Platform, format_place, parse_place

MAX_PAGE: Final = 100
MAX_MESSAGE_ID: Final = 128
_QUERY: Final = (
    Query("message_id", "of a message", required=True),
    Query("after", "a `next` of an earlier answer: what follows that page"),
)


class DeliveryView(Struct):
    """`queued`: it is to be sent. `held`: it waits, for `reason`. Ends are `cancelled` (not sent, and need not be),
    `sent` (the provider has taken it; `provider_id` is what it calls it) and `failed`; with `reason` `ambiguous…`
    nobody knows. `at`: Unix milliseconds. `attempts`: how often it was sent, or tried."""

    user_id: str
    device_id: str
    platform: Platform
    state: State
    reason: str | None
    at: int
    attempts: int
    provider_id: str | None


class DeliveryPage(Struct):
    """In the order of users and devices. `next` goes into `after` for the page that follows; null when there is
    none."""

    deliveries: list[DeliveryView]
    next: str | None


def delivery_route(log: DeliveryLog) -> Route:
    async def deliveries(call: Call) -> DeliveryPage:
        message_id, after = _message_id(call), _after(call)
        if call.user_id != SERVICE:
            return DeliveryPage([_view(one) for one in await log.of_user(message_id, call.user_id)], None)
        return _page(await log.of_message(message_id, after, MAX_PAGE + 1))

    return Route(
        "GET",
        "/deliveries",
        deliveries,
        "What became of a message at the caller's devices; for a service credential at all of them",
        DeliveryPage,
        query=_QUERY,
        errors=(400,),
        scope="push",
    )


def _page(found: Sequence[Delivery]) -> DeliveryPage:
    """Of what was found, which is one more than a page when there is another."""
    shown = found[:MAX_PAGE]
    last = format_place(shown[-1].user_id, shown[-1].device_id) if len(found) > MAX_PAGE else None
    return DeliveryPage([_view(one) for one in shown], last)


def _message_id(call: Call) -> str:
    message_id = call.query.get("message_id", "")
    if not 0 < len(message_id) <= MAX_MESSAGE_ID or not message_id.isascii() or not message_id.isprintable():
        raise BadRequest("message_id: the id of a message")
    return message_id


def _after(call: Call) -> tuple[str, str] | None:
    text = call.query.get("after")
    try:
        return parse_place(text) if text is not None else None
    except ValueError as error:
        raise BadRequest("after: the `next` of an earlier answer") from error


def _view(one: Delivery) -> DeliveryView:
    return DeliveryView(*one[1:])
