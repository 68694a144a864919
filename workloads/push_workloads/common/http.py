"""HTTP for the four services that speak it: a table of routes from which both the server and its OpenAPI come.

A handler takes a Call (who asks, path and query, the decoded body) and returns a msgspec Struct; errors are PushErrors.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from push_workloads.common.addresses import Network, client_address
from push_workloads.common.config import Listen
from push_workloads.common.errors import BadRequest, Forbidden, PushError, RateLimited, TooLarge, Unavailable
from push_workloads.common.listening import Listener, Stop, listening
from push_workloads.common.measures import Requests
from push_workloads.common.revocations import Verifier
from push_workloads.common.tokens import SERVICE, Identity, bearer

MAX_BODY_BYTES = 256 * 1024
BODY_SECONDS = 15.0
# What we answer is data: no browser is to guess at it, show it in a frame, run it, keep it, or tell others its address.
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",  # CORS has its own rules, these are for all that does not ask
    "Referrer-Policy": "no-referrer",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, understood: what a handler needs and nothing of the server."""

    path: dict[str, str]
    query: dict[str, str]
    body: Any
    identity: Identity | None
    address: str
    agent: str = ""
    cookies: Mapping[str, str] = field(default_factory=dict)

    @property
    def bearer(self) -> Identity:
        """The caller. Only routes with `auth=True` may ask, and those never run without one."""
        if self.identity is None:
            raise AssertionError("the route does not ask for a token")
        return self.identity

    @property
    def user_id(self) -> str:
        return self.bearer.user_id


def service_only(call: Call) -> None:
    """Raises Forbidden for a user's token."""
    if call.user_id != SERVICE:
        raise Forbidden("this takes a service credential")


class Cookie(msgspec.Struct, frozen=True):
    """For this host alone, and no script of a page may read it. `max_age` in seconds; 0 takes it away. `secure`:
    browsers reach us over TLS. Lax: it comes along when another site sends the browser here, and with nothing that a
    page of another site asks for by itself."""

    name: str
    value: str
    max_age: int
    secure: bool


class Redirect(msgspec.Struct, frozen=True):
    """The answer that sends a browser elsewhere, with cookies for when it comes back."""

    location: str
    cookies: tuple[Cookie, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter, for the document; handlers parse the text. `schema` is what it says in JSON Schema."""

    name: str
    description: str
    required: bool = False
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the API. `body` and `answer` are msgspec types; `answer` None is an empty 204, Redirect a `status`
    that sends on. `max_bytes`: of the body, at most MAX_BODY_BYTES. `max_age`: for how many seconds anybody may keep
    the answer, 0 for not at all. `scope`: with which a service credential may ask; None: no such one may."""

    method: str
    path: str
    handler: Callable[[Call], Awaitable[msgspec.Struct | None]]
    summary: str
    answer: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None = None
    status: int = 200
    auth: bool = True
    query: tuple[Query, ...] = ()
    errors: tuple[int, ...] = field(default=())
    max_bytes: int = MAX_BODY_BYTES
    scope: str | None = None
    max_age: int = 0


def application(
    service: str,
    routes: Sequence[Route],
    tokens: Verifier,
    origins: Sequence[str],
    registry: CollectorRegistry,
    proxies: Sequence[Network] = (),
) -> web.Application:
    """The app of one service: its routes, `/openapi.json`, JSON errors everywhere, CORS for the allowed origins; each
    request is counted in `registry`. `proxies` are believed as to whom they have a request from.

    Its document is at `/openapi/SERVICE.json` too: where all services share one host, each needs a path of its own.
    """
    layers = [_measured(Requests(registry)), edge(frozenset(origins))]
    app = web.Application(middlewares=layers, client_max_size=MAX_BODY_BYTES)
    paths = [route.path for route in routes]
    for route in routes:
        app.router.add_route(route.method, patterned(route.path, paths), _handle(route, tokens, proxies))
    document = msgspec.json.encode(openapi(f"PushCluster {service}", routes))

    async def serve_document(_: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    for path in ("/openapi.json", f"/openapi/{service}.json"):
        app.router.add_get(path, serve_document)
    return app


def patterned(path: str, paths: Sequence[str]) -> str:
    """The path for the router: a parameter at its end is never a word that another path has in that place. Else a
    method that `/things/word` has not would be asked of `/things/{thing_id}`, and each would answer for the other."""
    before, slash, last = path.rpartition("/")
    if not last.startswith("{"):
        return path
    ends = (other.rpartition("/") for other in paths)
    words = sorted({end for start, _, end in ends if start == before and not end.startswith("{")})
    if not words:
        return path
    return f"{before}{slash}{{{last[1:-1]}:(?!(?:{'|'.join(map(re.escape, words))})$)[^{{}}/]+}}"


@asynccontextmanager
async def serving(
    app: web.Application,
    listen: Listen,
    *,
    stop_seconds: float = 3.0,
    ends_with_client: bool = False,
    max_field_size: int = 8190,
) -> AsyncIterator[Listener]:
    """Accepts connections while the context is open; then finishes running requests for at most `stop_seconds`.

    `ends_with_client`: a handler is cancelled when its client goes. `max_field_size`: of one header, in bytes.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=stop_seconds,
        keepalive_timeout=30,
        handler_cancellation=ends_with_client,
        max_field_size=max_field_size,
    )

    async def start(shared: socket.socket | None) -> Stop:
        own = web.TCPSite(runner, listen.host, listen.port)
        site = own if shared is None else web.SockSite(runner, shared)
        await site.start()
        return site.stop

    await runner.setup()
    try:
        async with listening(listen, start) as listener:
            yield listener
    finally:
        await runner.cleanup()


def _handle(
    route: Route, tokens: Verifier, proxies: Sequence[Network]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    decoder = msgspec.json.Decoder(route.body) if route.body is not None else None

    async def handle(request: web.Request) -> web.Response:
        identity = _caller(request, route, tokens)
        body = None
        if decoder is not None:
            was_there = request.content.is_eof()
            body = _decode(decoder, await _read(request, route.max_bytes))
            if not was_there:  # while the body came, the token may have been revoked
                identity = _caller(request, route, tokens)
        agent = request.headers.get("User-Agent", "")
        address = client_address(request.remote or "", request.headers.getall("X-Forwarded-For", []), proxies)
        call = Call(dict(request.match_info), dict(request.query), body, identity, address, agent, request.cookies)
        answer = await route.handler(call)
        if answer is None:
            return web.Response(status=204)
        if isinstance(answer, Redirect):
            return _sent_on(answer, route.status)
        kept = {"Cache-Control": f"public, max-age={route.max_age}"} if route.max_age else {}
        body = msgspec.json.encode(answer)
        return web.Response(body=body, status=route.status, content_type="application/json", headers=kept)

    return handle


def _caller(request: web.Request, route: Route, tokens: Verifier) -> Identity | None:
    """Who asks, on a route that wants to know. Raises Unauthorized, Forbidden."""
    if not route.auth:
        return None
    identity = tokens.verify(bearer(request.headers.get("Authorization")))
    _admit(identity, route)
    return identity


def _admit(identity: Identity, route: Route) -> None:
    """Raises Forbidden for a service credential that is for something else."""
    if identity.scopes is not None and route.scope not in identity.scopes:
        needs = f"the scope {route.scope}" if route.scope is not None else "a user's token"
        raise Forbidden(f"this takes {needs}")


def _sent_on(answer: Redirect, status: int) -> web.Response:
    response = web.Response(status=status, headers={"Location": answer.location})
    for one in answer.cookies:
        response.set_cookie(
            one.name, one.value, max_age=one.max_age, path="/", secure=one.secure, httponly=True, samesite="Lax"
        )
    return response


async def _read(request: web.Request, max_bytes: int) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError as error:
        raise BadRequest(f"the body did not come within {BODY_SECONDS:g} s") from error
    if len(raw) > max_bytes:
        raise TooLarge(f"the body is over {max_bytes} bytes")
    return raw


def _decode(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not what this route takes: {error}") from error


def _measured(requests: Requests) -> Any:
    """Around everything else: what it sees is what the client gets."""

    @web.middleware
    async def measured(request: web.Request, handler: Any) -> web.StreamResponse:
        began = time.monotonic()
        response: web.StreamResponse = await handler(request)
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else None
        requests.answered(request.method, route, response.status, time.monotonic() - began)
        return response

    return measured


def edge(origins: frozenset[str]) -> Any:
    """The outermost layer: CORS, and every failure as `{"error":{"code","message"}}`."""

    @web.middleware
    async def edge(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: web.StreamResponse = web.Response(status=204)
        else:
            response = await _answer(request, handler)
        if response.prepared:
            return response
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.update(cors(request.headers.get("Origin"), origins))
        return response

    return edge


async def _answer(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answered: web.StreamResponse = await handler(request)
        return answered
    except PushError as error:
        return error_response(error)
    except web.HTTPRequestEntityTooLarge:
        return error_response(TooLarge(f"the body is over {MAX_BODY_BYTES} bytes"))
    except web.HTTPException as error:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status, "bad_request")
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}  # RFC 9110 §15.5.6
        return _error(error.status, code, error.reason, allowed)
    except (ConnectionError, TimeoutError) as error:
        _log.warning("a peer failed", extra={"path": request.path, "cause": repr(error)})
        return error_response(Unavailable("a part of the platform is away; try again", retry_after_ms=1000))
    except Exception:  # noqa: BLE001 - the edge: logged whole, told as `internal`
        _log.exception("a request failed", extra={"method": request.method, "path": request.path})
        return error_response(PushError("something went wrong here; it has been logged"))


def error_response(error: PushError) -> web.Response:
    headers = {}
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_ms / 1000))
    return _error(error.status, error.code, error.message, headers)


def _error(status: int, code: str, message: str, headers: dict[str, str]) -> web.Response:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def cors(origin: str | None, origins: frozenset[str]) -> dict[str, str]:
    """The headers that let a page of an allowed origin read an answer."""
    if origin is None or origin not in origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
        "Access-Control-Expose-Headers": "Retry-After",
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }


# The document ---------------------------------------------------------------------------------------------------------

_REASONS = {
    400: "the request cannot be understood",
    401: "the token is missing or not valid",
    403: "known, and not allowed",
    404: "not found",
    409: "exists already, or exists with other content",
    413: "the body is too large",
    429: RateLimited.__doc__ or "",
    503: "a part of the platform is away",
}


def openapi(title: str, routes: Sequence[Route]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a table of routes."""
    kinds = {kind for route in routes for kind in (route.body, route.answer)} - {None, Redirect}
    types = sorted((kind for kind in kinds if kind), key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schemas["Error"] = {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
            }
        },
    }
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ] + [
        {
            "name": q.name,
            "in": "query",
            "required": q.required,
            "description": q.description,
            "schema": dict(q.schema),
        }
        for q in route.query
    ]
    failures = {503, *route.errors} | ({400, 413} if route.body else set()) | ({401, 403} if route.auth else set())
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()} {route.path}").strip("_"),
        "parameters": parameters,
        "responses": {str(route.status if route.answer else 204): _success(route)}
        | {str(status): _failure(_REASONS[status]) for status in sorted(failures)},
    }
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(route.body.__name__)}
    if route.auth:
        operation["security"] = [{"bearer": []}]
    if route.scope is not None:
        operation["description"] = f"A service credential needs the scope `{route.scope}`."
    return operation


def _success(route: Route) -> dict[str, Any]:
    if route.answer is Redirect:
        header = {"description": "where to go on", "required": True, "schema": {"type": "string"}}
        return {"description": route.summary, "headers": {"Location": header}}
    if route.answer is None:
        return {"description": "done"}
    return {"description": route.summary, "content": _json(route.answer.__name__)}


def _failure(description: str) -> dict[str, Any]:
    return {"description": description, "content": _json("Error")}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
