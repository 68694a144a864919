"""An HTTP server of an issuer's keys that does what a test tells it, whatever a real one would not do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from push_workloads.common.keys import SigningKey, as_jwk
from tests.support.services import listening

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class KeyServer:
    """`answers`: by path. `asked`: how often each was asked for."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Answer] = {}
        self.asked: dict[str, int] = {}

    def publish(self, *keys: SigningKey, path: str = "/keys") -> None:
        """These from now on, and no others."""
        self.say(path, json.dumps({"keys": [as_jwk(one.key) for one in keys]}))

    def say(self, path: str, text: str | bytes, status: int = 200, **headers: str) -> None:
        body = text.encode() if isinstance(text, str) else text

        async def answer(_: web.Request) -> web.Response:
            return web.Response(body=body, status=status, headers=headers)

        self.answers[path] = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        answer = self.answers.get(request.path)
        return await answer(request) if answer is not None else web.Response(status=404)


@asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    own = listening()
    server = KeyServer(own.getsockname()[1])
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, own).start()
    try:
        yield server
    finally:
        await runner.cleanup()
