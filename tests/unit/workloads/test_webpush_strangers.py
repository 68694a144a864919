"""Web Push to push services that nobody knows: they hold up each other at most."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric import ec

from push_workloads.push.carrier import Answer, Later, Sent
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show
from push_workloads.push.posting import Reply
from push_workloads.push.webpush import resolver, sender
from push_workloads.push.webpush.resolver import PublicResolver
from push_workloads.push.webpush.sender import WebPushCarrier
from push_workloads.push.webpush.vapid import Vapid, point, unpadded

KEY = ec.generate_private_key(ec.SECP256R1())
POINT, SECRET = unpadded(point(KEY)), "A" * 22
HELLO = Notification("m1", Show.ALERT, 2_000_000_000, "Ann", "hello")
HANGING = "https://{}.strangers.example/"


def device(user_id: str, endpoint: str) -> Device:
    return Device(user_id, "browser", "webpush", endpoint, POINT, SECRET, None, 0, 0)


@pytest.fixture
async def carrier(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebPushCarrier]:
    """Strangers take a request and do not answer; the known ones do."""

    async def post(http: ClientSession, url: Any, body: bytes, headers: dict[str, str]) -> Reply:
        if url.host.endswith("strangers.example"):
            await asyncio.Event().wait()
        return Reply(403 if "refuses" in url.path else 201, None, b"")

    monkeypatch.setattr(sender, "post", post)
    async with ClientSession() as http:
        yield WebPushCarrier(http, Vapid(KEY, "mailto:push@example.com"), frozenset())


async def test_strangers_that_hang_leave_room_for_all_others(carrier: WebPushCarrier) -> None:
    async with asyncio.TaskGroup() as tasks:

        def begun(user_id: str, name: str) -> asyncio.Task[Answer]:
            return tasks.create_task(carrier.send(device(user_id, HANGING.format(name)), HELLO))

        hers = [begun("eve", f"eve-{number}") for number in range(50)]
        theirs = [begun(f"eve-{number}", f"eve-{number}") for number in range(50)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answered = [one for one in [*hers, *theirs] if one.done()]
        assert {one.result() for one in answered} == {Later("crowded")}
        assert (sum(not one.done() for one in hers), sum(not one.done() for one in [*hers, *theirs])) == (2, 16)
        assert await carrier.send(device("bob", "https://fcm.googleapis.com/fcm/send/x"), HELLO) == Sent()
        for one in [*hers, *theirs]:
            one.cancel()
    # Their places have come back.
    again = asyncio.create_task(carrier.send(device("eve", HANGING.format("eve")), HELLO))
    await asyncio.sleep(0)
    assert not again.done()
    again.cancel()


async def test_what_a_stranger_says_is_no_fault_of_ours(carrier: WebPushCarrier) -> None:
    for host, ours in (("push.example.com", False), ("web.push.apple.com", True)):
        assert await carrier.send(device("eve", f"https://{host}/refuses"), HELLO) == Later("http_403", ours=ours)


@contextmanager
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A name server that does not answer for strangers: the names that it was asked for."""
    asked, over, real = list[str](), threading.Event(), socket.getaddrinfo

    def look_up(host: str, *more: Any) -> Any:
        if not host.endswith("strangers.example"):
            return real(host, *more)
        asked.append(host)
        over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        yield asked
    finally:
        over.set()


async def test_strangers_name_servers_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "CONNECT_SECONDS", 0.3)
    names = PublicResolver(frozenset({"localhost"}))
    with slow_names(monkeypatch) as asked:
        hers = [asyncio.create_task(names.resolve(f"{number}.strangers.example", 443)) for number in range(20)]
        found = await names.resolve("localhost", 443)
        assert [(one["host"], one["port"]) for one in found] == [("127.0.0.1", 443)]
        ended = await asyncio.gather(*hers, return_exceptions=True)
        assert all(isinstance(one, TimeoutError) for one in ended)
        assert len(asked) == resolver.THREADS  # the others are not looked up any more
    await names.close()


async def test_a_strangers_name_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    names = PublicResolver(frozenset())
    with pytest.raises(OSError, match="not of the internet"):
        await names.resolve("localhost", 443)
    monkeypatch.setattr(resolver, "is_public", lambda host: True)
    (one,) = await names.resolve("localhost", 443)
    assert (one["hostname"], one["host"], one["port"], one["family"]) == ("localhost", "127.0.0.1", 443, socket.AF_INET)
    await names.close()
