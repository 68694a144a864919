"""What comes over an admin port from somebody who may give orders: who that is, and what is asked."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from push_workloads.common.errors import BadRequest, Forbidden, PushError, Unauthorized
from push_workloads.common.service import MAX_ADMIN_BODY_BYTES
from push_workloads.common.tokens import bearer

NO_ORDERS: Final = "this process takes no orders: set ADMIN_TOKEN, to the same as the operator's"
NOT_SHOWN: Final = "send `Authorization: Bearer TOKEN`, with the ADMIN_TOKEN of this process"


def authorize(request: web.Request, token: bytes | None) -> None:
    """Raises Forbidden where no `token` is set, Unauthorized when it is not shown."""
    if token is None:
        raise Forbidden(NO_ORDERS)
    shown = (bearer(request.headers.get("Authorization")) or "").encode("utf-8", "replace")
    if not hmac.compare_digest(shown, token):
        raise Unauthorized(NOT_SHOWN)


async def decoded(decoder: msgspec.json.Decoder[Any], request: web.Request) -> Any:
    """Raises BadRequest."""
    try:
        return decoder.decode(await request.read())
    except web.HTTPRequestEntityTooLarge as error:
        raise BadRequest(f"the body is over {MAX_ADMIN_BODY_BYTES} bytes: send one small JSON object") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fields = ", ".join(field.name for field in msgspec.structs.fields(decoder.type))
        raise BadRequest(f"send a JSON object with {fields}: {error}") from error


async def obeyed(
    token: bytes | None,
    decoder: msgspec.json.Decoder[Any] | None,
    carry_out: Callable[[Any], Awaitable[tuple[int, object]]],
    request: web.Request,
) -> web.Response:
    """The answer to one order: status and body from `carry_out`, which is given the body of the request, or without a
    decoder the request itself; a fault is told as it is."""
    try:
        authorize(request, token)
        order = await decoded(decoder, request) if decoder is not None else request
        return answer(*await carry_out(order))
    except PushError as error:
        return answer(error.status, {"error": error.message})


def answer(status: int, body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
