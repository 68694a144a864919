"""The operator and the admin ports of gateways that answer, hang, lie and break off. All on loopback."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.support.waiting import eventually

from push_operator.admin.http import MAX_WORDS, HttpGateways, Limits, http_gateways
from push_operator.admin.port import Order
from push_operator.errors import ClusterError, Conflict
from push_operator.fleet.values import Sample, Stats

QUICK = Limits(answer_seconds=1.0, all_seconds=1.5)  # where somebody hangs, and others must answer all the same
PATIENT = Limits(answer_seconds=20.0, all_seconds=30.0)
TOKEN = "the-token-of-the-platform"
ORDER = Order(TOKEN, epoch=7)
GOOD = {"boot": "b", "connections": 3}
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Desk:
    """An admin port that answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.says: Any = GOOD
        self.asked: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.peers: set[Any] = set()

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        self.asked.append((request.method, request.path, dict(request.headers), await request.read()))
        body = self.says if isinstance(self.says, bytes) else json.dumps(self.says).encode()
        return web.Response(status=self.status, body=body, headers={"Location": "/elsewhere"})


@pytest.fixture
async def place() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def gateways() -> AsyncIterator[HttpGateways]:
    async with http_gateways(lambda: 5.0, PATIENT) as made:
        yield made


async def _desk(place: AsyncExitStack, desk: Desk) -> str:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", desk.answer)
    server = await place.enter_async_context(TestServer(app))
    return str(server.make_url("")).rstrip("/")


@asynccontextmanager
async def _speaking(talk: Talk) -> AsyncIterator[str]:
    """A peer that says something of its own over TCP; its conversations end with it."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except OSError:
            pass  # the other side had enough
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for one in talks:
            one.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(1024):
        pass


def _sayer(*parts: bytes, drip: float = 0.0) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(drip)

    return talk


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
BODY = json.dumps(GOOD).encode()
PACKED = gzip.compress(BODY)
BROKEN: dict[str, tuple[Talk, str]] = {
    "hangs": (_hang, "does not answer in time"),
    "drips": (_sayer(*[bytes([one]) for one in HEAD % len(BODY) + BODY], drip=0.2), "does not answer in time"),
    "stops amid the body": (_sayer(HEAD % 500 + BODY), "ends the connection"),
    "closes": (_sayer(), "ends the connection"),
    "is huge": (_sayer(HEAD % (1 << 30), *[b" " * 8192] * 20), "says more than 64 KiB"),
    "is huge in chunks": (
        _sayer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"2000\r\n" + b" " * 8192 + b"\r\n"] * 20),
        "says more than 64 KiB",
    ),
    "speaks no HTTP": (_sayer(b"SSH-2.0-OpenSSH\r\n\r\n"), "is not HTTP"),
    "has endless headers": (_sayer(b"HTTP/1.1 200 OK\r\nX: ", *[b"x" * 8192] * 20), "is not HTTP"),
    "speaks no JSON": (_sayer(HEAD % 4 + b"<ht>"), "says what cannot be: it is no JSON"),
    "packs": (_sayer(HEAD[:-2] % len(PACKED) + b"Content-Encoding: gzip\r\n\r\n" + PACKED), "no JSON"),
    "says NaN": (_sayer(HEAD % 33 + b'{"boot": "b", "connections": NaN}'), "no JSON"),
    "redirects": (_sayer(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), "answers 302"),
    "fails": (_sayer(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), "answers 500"),
}


def _limits(how: str) -> Limits:
    """Only those that would never end are cut short: a slow machine is no failure."""
    return QUICK if how in ("hangs", "drips") else PATIENT


@pytest.mark.parametrize("how", BROKEN)
async def test_one_that_is_broken_is_left_out_and_named_once(
    how: str, place: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    talk, why = BROKEN[how]
    caplog.set_level(logging.INFO)
    async with http_gateways(lambda: 5.0, _limits(how)) as gateways, _speaking(talk) as broken:
        asked = {"good": await _desk(place, Desk()), "bad": broken}
        rounds = [await gateways.stats(asked) for _ in range(2)]
    assert rounds == [{"good": Sample(5.0, Stats("b", connections=3))}] * 2
    lines = [line.getMessage() for line in caplog.records if line.name.startswith("push_operator")]
    assert len(lines) == 1
    assert "gateway bad" in lines[0]
    assert why in lines[0]


@pytest.mark.parametrize("address", ["", "http://", "ftp://127.0.0.1", "http://127.0.0.1:99999", "http://[::", "\x00"])
async def test_an_address_that_is_none_is_left_out(address: str, gateways: HttpGateways) -> None:
    assert await gateways.stats({"a": address}) == {}
    with pytest.raises(ClusterError):
        await gateways.drain(address, 1.0, ORDER)


async def test_nobody_listens(gateways: HttpGateways, unused_tcp_port: int) -> None:
    address = f"http://127.0.0.1:{unused_tcp_port}"
    assert await gateways.stats({"a": address}) == {}
    with pytest.raises(ClusterError, match="cannot be reached"):
        await gateways.stay(address, ORDER)


async def test_there_is_nobody_to_ask(gateways: HttpGateways) -> None:
    assert await gateways.stats({}) == {}


async def test_a_round_ends_although_most_hang_and_those_that_answer_come_first_the_next_time(
    place: AsyncExitStack,
) -> None:
    """With room for two at a time, twenty that hang keep the good one from its turn once, not twice."""
    limits = Limits(at_once=2, answer_seconds=1.0, all_seconds=1.5)
    async with http_gateways(lambda: 5.0, limits) as gateways, _speaking(_hang) as hanging:
        asked = {f"bad{number}": hanging for number in range(20)} | {"good": await _desk(place, Desk())}
        first = await gateways.stats(asked)
        # The good one got no turn and counts as silent too, behind the others: it is asked alone once.
        await gateways.stats({"good": asked["good"]})
        second = await gateways.stats(asked)
    assert first == {}
    assert second.keys() == {"good"}


async def test_a_round_that_is_cancelled_ends_its_questions() -> None:
    asked, ended = [], []

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        ended.append(await reader.read())

    async with http_gateways(lambda: 5.0, PATIENT) as gateways, _speaking(hang) as hanging:
        running = asyncio.ensure_future(gateways.stats({"a": hanging, "b": hanging}))
        await eventually(lambda: len(asked) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: len(ended) == 2)


async def test_all_are_asked_at_once_and_a_sample_has_the_time_of_its_question(place: AsyncExitStack) -> None:
    """Each waits for all others to have been asked: one after the other nobody would answer."""
    clock, together = [0.0], asyncio.Barrier(20)

    async def answer(_: web.Request) -> web.Response:
        await together.wait()
        clock[0] = 99.0
        return web.json_response(GOOD)

    app = web.Application()
    app.router.add_get("/stats", answer)
    address = str((await place.enter_async_context(TestServer(app))).make_url("")).rstrip("/")
    async with http_gateways(lambda: clock[0], PATIENT) as gateways:
        samples = await gateways.stats({str(number): address for number in range(20)})
    assert len(samples) == 20
    assert {sample.at for sample in samples.values()} == {0.0}


async def test_connections_are_kept_and_no_proxy_of_the_environment_is_used(
    gateways: HttpGateways, place: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    desk = Desk()
    address = await _desk(place, desk)
    for _ in range(5):
        assert await gateways.stats({"a": address})
        await gateways.drain(address, 1.0, ORDER)
    assert len(desk.peers) == 1
    assert not any("Authorization" in headers for method, _, headers, _ in desk.asked if method == "GET")


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_orders_are_what_the_gateway_expects(gateways: HttpGateways, place: AsyncExitStack, status: int) -> None:
    desk = Desk()
    desk.status = status
    address = await _desk(place, desk)
    await gateways.drain(address, 12.5, ORDER)
    await gateways.stay(address, ORDER)
    await gateways.shed(address, 100, 20.0, ORDER)
    assert [(method, path, json.loads(body)) for method, path, _, body in desk.asked] == [
        ("POST", "/drain", {"rate": 12.5, "epoch": 7}),
        ("POST", "/undrain", {"epoch": 7}),
        ("POST", "/shed", {"connections": 100, "rate": 20.0, "epoch": 7}),
    ]
    assert {headers["Authorization"] for _, _, headers, _ in desk.asked} == {f"Bearer {TOKEN}"}


async def test_a_conflict_has_the_gateways_words(gateways: HttpGateways, place: AsyncExitStack) -> None:
    desk = Desk()
    desk.status, desk.says = 409, {"error": "obeys epoch 9", "epoch": 9}
    with pytest.raises(Conflict, match=r"409, obeys epoch 9$"):
        await gateways.drain(await _desk(place, desk), 1.0, ORDER)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500, 503])
async def test_other_answers_are_cluster_errors(gateways: HttpGateways, place: AsyncExitStack, status: int) -> None:
    desk = Desk()
    desk.status = status
    with pytest.raises(ClusterError, match=str(status)) as refused:
        await gateways.drain(await _desk(place, desk), 1.0, ORDER)
    assert not isinstance(refused.value, Conflict)
    assert len(desk.asked) == 1, "no redirect is followed, and no refusal asked again"
    assert ("restart it" in str(refused.value)) == (status in (401, 403))


@pytest.mark.parametrize("how", ["hangs", "closes", "is huge", "speaks no HTTP"])
async def test_an_order_to_one_that_is_broken_fails_in_time(how: str) -> None:
    talk, why = BROKEN[how]
    async with http_gateways(lambda: 5.0, _limits(how)) as gateways, _speaking(talk) as broken:
        with pytest.raises(ClusterError, match=why):
            await gateways.drain(broken, 1.0, ORDER)


@pytest.mark.parametrize(
    "says",
    [
        {"error": f"you said Bearer {TOKEN}\n\x1b[31m"},
        f"Authorization: Bearer {TOKEN}".encode() * 50,
        b"\xff" * 9000,
        {"error": [TOKEN]},
    ],
)
@pytest.mark.parametrize("status", [401, 409, 500])
async def test_the_token_is_in_no_error_and_no_log(
    gateways: HttpGateways, place: AsyncExitStack, caplog: pytest.LogCaptureFixture, says: Any, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    desk = Desk()
    desk.status, desk.says = status, says
    address = await _desk(place, desk)
    with pytest.raises(ClusterError) as refused:
        await gateways.drain(address, 1.0, ORDER)
    await gateways.stats({"a": address})
    assert len(str(refused.value)) < MAX_WORDS + 200
    assert str(refused.value).isprintable()
    assert not _said(refused.value, caplog)


async def test_the_token_is_in_no_error_of_a_broken_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for how in ("hangs", "closes", "stops amid the body", "speaks no HTTP"):
        async with http_gateways(lambda: 5.0, _limits(how)) as gateways, _speaking(BROKEN[how][0]) as broken:
            with pytest.raises(ClusterError) as failed:
                await gateways.drain(broken, 1.0, ORDER)
            assert not _said(failed.value, caplog)


async def test_a_token_that_no_header_can_carry_is_an_error_without_it(
    gateways: HttpGateways, place: AsyncExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    address = await _desk(place, Desk())
    with pytest.raises(ClusterError) as failed:
        await gateways.drain(address, 1.0, Order(f"{TOKEN}\r\nHost: x", epoch=1))
    assert not _said(failed.value, caplog)


def _said(error: BaseException | None, caplog: pytest.LogCaptureFixture) -> bool:
    """Is the token in what a log or a traceback of this error could show?"""
    told = [caplog.text]
    while error is not None:
        told += [str(error), repr(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return any(TOKEN in text for text in told)
