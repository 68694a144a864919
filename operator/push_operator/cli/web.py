"""Serves the demo page on this machine, with the two small documents that it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from push_operator.cluster.local.sockets import LOOPBACK, listening
from push_operator.plan.expose import EVENTS_PATH, SOCKET_PATH
from push_operator.plan.services import PUBLIC_PORTS, SSE_PORT

PAGE_PORT: Final = 8090
_FOLDER = Path(__file__).with_name("page")
_HOSTS = ("localhost", "127.0.0.1")
_LOCAL = "http://localhost:* http://127.0.0.1:* ws://localhost:* ws://127.0.0.1:*"
_HEADERS = {
    "Content-Security-Policy": f"default-src 'self'; connect-src 'self' {_LOCAL}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
# Not left to `mimetypes`, which asks the machine's own tables.
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
Status = Callable[[], dict[str, Any]]


def page_origins(offset: int) -> tuple[str, ...]:
    """The origins under which a browser on this machine may have the page."""
    return tuple(f"http://{host}:{PAGE_PORT + offset}" for host in _HOSTS)


@asynccontextmanager
async def serving_page(offset: int, status: Status) -> AsyncIterator[str]:
    """The page's address, for as long as the context is open. Raises ClusterError when its port is in use."""
    port = PAGE_PORT + offset
    listener = listening(LOOPBACK, port, "the web page needs it; move all ports with --port-offset N")
    runner = web.AppRunner(_application(offset, status), access_log=None, shutdown_timeout=0.5)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield f"http://localhost:{port}"
    finally:
        await runner.cleanup()
        listener.close()


def _application(offset: int, status: Status) -> web.Application:
    async def config(request: web.Request) -> web.Response:
        return web.json_response(addresses(request.host, offset))

    async def status_now(_: web.Request) -> web.Response:
        return web.json_response(status())

    async def file(request: web.Request) -> web.Response:
        return _static(request.match_info["name"] or "index.html")

    app = web.Application()
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/config.json", config)
    app.router.add_get("/status.json", status_now)
    app.router.add_get("/{name:[^{}]*}", file)
    return app


def addresses(host_header: str, offset: int) -> dict[str, str]:
    """Where each service is, and where streams of events are, under the host name that the browser used for the
    page."""
    asked = host_header.rsplit(":", 1)[0]
    host = asked if asked in _HOSTS else _HOSTS[0]
    made = {name: f"http://{host}:{port + offset}" for name, port in PUBLIC_PORTS.items()}
    return made | {
        "gateway": f"ws://{host}:{PUBLIC_PORTS['gateway'] + offset}{SOCKET_PATH}",
        "sse": f"http://{host}:{SSE_PORT + offset}{EVENTS_PATH}",
    }


def _static(name: str) -> web.Response:
    """A file of the page's folder; only names that are listed there, so no path can lead out of it."""
    files = {path.relative_to(_FOLDER).as_posix(): path for path in _FOLDER.rglob("*") if path.is_file()}
    path = files.get(name)
    if path is None or path.suffix not in _TYPES:
        raise web.HTTPNotFound()
    text = _TYPES[path.suffix].startswith("text/")
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8" if text else None)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
