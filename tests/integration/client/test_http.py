"""The HTTP side of the Python client against a server that is told how to fail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from push_client import Api, ApiError, Endpoints


class Server:
    """Answers with the next of `answers`: a status, or None for a connection that just ends. Then 200 and `body`."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.body: object = {"groups": [], "conversations": []}
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        answer = self.answers.pop(0) if self.answers else 200
        if answer is None:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if answer == 200:
            return web.json_response(self.body)
        error = {"error": {"code": "some_code", "message": "in words"}}
        return web.json_response(error, status=answer, headers={"Retry-After": "0"})


@asynccontextmanager
async def api_of(server: Server) -> AsyncIterator[Api]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with Api(Endpoints.at(f"http://{host}:{port}"), "token") as api:
            yield api
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("answer", [429, 503, None])
async def test_what_passes_is_asked_again(answer: int | None) -> None:
    server = Server(answer, answer)
    async with api_of(server) as api:
        assert await api.groups() == []
    assert len(server.asked) == 3


@pytest.mark.parametrize("answer", [503, None])
async def test_not_for_ever(answer: int | None) -> None:
    server = Server(*[answer] * 10)
    async with api_of(server) as api:
        with pytest.raises(ApiError) as raised:
            await api.groups()
    assert raised.value.status == (answer or 0)
    assert len(server.asked) in (4, 8), "aiohttp itself repeats once what is idempotent"


@pytest.mark.parametrize("answer", [400, 404, 409, 500])
async def test_what_does_not_pass_is_told_in_the_platforms_words(answer: int) -> None:
    server = Server(answer)
    async with api_of(server) as api:
        with pytest.raises(ApiError, match="some_code: in words") as raised:
            await api.groups()
    assert (raised.value.status, raised.value.code) == (answer, "some_code")
    assert len(server.asked) == 1


async def test_what_could_be_done_twice_is_not_repeated_without_an_answer() -> None:
    server = Server(None, 200)
    async with api_of(server) as api:
        with pytest.raises(ApiError, match="unreachable"):
            await api.create_group("Team")
        server.answers = [None, 200]
        await api.create_group("Team", dedup_id="k" * 16)
    assert len(server.asked) == 3


async def test_ids_go_into_paths_as_they_are() -> None:
    server = Server()
    async with api_of(server) as api:
        await api.block("a/b?c")
        server.body = {"messages": [], "next": None}
        await api.history("group:x/y", before="1.2")
        await api.history("..")
    assert server.asked == [
        "PUT /blocks/a%2Fb%3Fc",
        "GET /channels/group%3Ax%2Fy/messages?before=1.2",
        "GET /conversations/../messages",
    ]
