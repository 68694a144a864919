"""Keys from their issuers over real HTTP: when they are fetched, and what is not taken."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from tests.support.key_server import KeyServer, key_server
from tests.support.waiting import eventually

from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.fetching import DISCOVERY_PATH, MAX_ANSWER_BYTES, Pace, fetching
from push_workloads.common.issuers import KeySource, TrustedIssuer
from push_workloads.common.keys import from_seed

ONE, TWO = from_seed("1" * 32), from_seed("2" * 32)
PACE = Pace(refresh=60.0, least=0.2, retry=0.02, longest=0.05)


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server() as made:
        made.publish(ONE)
        yield made


def _source(server: KeyServer, **changes: Any) -> KeySource:
    given: dict[str, Any] = {"jwks_url": f"{server.url}/keys", "allow_insecure": True} | changes
    return KeySource(TrustedIssuer(server.url, "a", "", **given))


def _verdict(source: KeySource, kid: str) -> str:
    try:
        source.find(kid)
    except Unavailable:
        return "wait"
    except Unauthorized:
        return "no"
    return "yes"


async def _asked_again(server: KeyServer) -> None:
    """With what it says now."""
    seen = server.asked["/keys"]
    await eventually(lambda: server.asked["/keys"] > seen + 2)


async def test_keys_are_there_soon_and_are_asked_for_once(server: KeyServer) -> None:
    source = _source(server)
    async with fetching([source], PACE):
        await eventually(lambda: _verdict(source, ONE.key.kid) == "yes")
    assert server.asked == {"/keys": 1}


async def test_a_storm_of_unknown_keys_is_one_question(server: KeyServer) -> None:
    source = _source(server)
    async with fetching([source], PACE):
        await eventually(lambda: source.known)
        server.publish(ONE, TWO)
        began = asyncio.get_running_loop().time()
        while _verdict(source, TWO.key.kid) != "yes":
            for number in range(100):
                assert _verdict(source, f"{number}") in ("wait", "no")
            assert _verdict(source, ONE.key.kid) == "yes"  # nobody else waits for it
            await asyncio.sleep(0)
        took = asyncio.get_running_loop().time() - began
        assert server.asked["/keys"] == 2
        assert _verdict(source, "0") == "no"
    assert took < 5


async def test_however_many_unknown_keys_come_there_is_a_pause_between_two_questions(server: KeyServer) -> None:
    source = _source(server)
    numbers = itertools.count()
    async with fetching([source], PACE):
        began = asyncio.get_running_loop().time()
        await eventually(lambda: _verdict(source, f"{next(numbers)}") and server.asked.get("/keys", 0) >= 4)
        assert asyncio.get_running_loop().time() - began >= 2 * PACE.least


async def test_an_issuer_that_is_away_is_not_asked_more_for_being_asked_for(server: KeyServer) -> None:
    server.say("/keys", "", status=500)
    source = _source(server)
    async with fetching([source], Pace(retry=30.0)):
        await eventually(lambda: server.asked)
        for number in range(100):
            assert _verdict(source, f"{number}") == "wait"
            await asyncio.sleep(0)
    assert server.asked == {"/keys": 1}


async def test_keys_are_kept_while_the_issuer_is_away_and_it_is_found_again(server: KeyServer) -> None:
    source = _source(server)
    async with fetching([source], Pace(refresh=0.02, least=0.0, retry=0.02, longest=0.02)):
        await eventually(lambda: source.known)
        for answer in ("{}", '{"keys":[]}', '{"keys":[{"kty":"oct","kid":"a","k":"c2VjcmV0"}]}'):
            server.say("/keys", answer)
            await _asked_again(server)
            assert _verdict(source, ONE.key.kid) == "yes"
        server.publish(TWO)
        await eventually(lambda: _verdict(source, TWO.key.kid) == "yes")
        assert _verdict(source, ONE.key.kid) != "yes"


async def test_where_the_keys_are_is_discovered(server: KeyServer) -> None:
    server.say(DISCOVERY_PATH, json.dumps({"issuer": server.url, "jwks_uri": f"{server.url}/keys", "more": 1}))
    source = _source(server, jwks_url=None)
    async with fetching([source], PACE):
        await eventually(lambda: _verdict(source, ONE.key.kid) == "yes")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        '{"issuer":"URL"}',
        '{"issuer":"https://evil.example","jwks_uri":"URL/keys"}',
        '{"issuer":"URL/","jwks_uri":"URL/keys"}',
        '{"issuer":"URL","jwks_uri":"file:///etc/passwd"}',
        '{"issuer":"URL","jwks_uri":7}',
    ],
)
async def test_another_discovery_document_is_not_followed(server: KeyServer, document: str) -> None:
    server.say(DISCOVERY_PATH, document.replace("URL", server.url))
    source = _source(server, jwks_url=None)
    async with fetching([source], PACE):
        await eventually(lambda: server.asked.get(DISCOVERY_PATH, 0) > 2)
    assert not source.known
    assert "/keys" not in server.asked


async def test_a_secure_issuer_cannot_send_us_to_an_insecure_place(server: KeyServer) -> None:
    """Its document says http, and the manifest does not allow that."""
    source = _source(server, jwks_url=None, allow_insecure=False)
    server.say(DISCOVERY_PATH, json.dumps({"issuer": server.url, "jwks_uri": f"{server.url}/keys"}))
    async with fetching([source], PACE):
        await eventually(lambda: server.asked.get(DISCOVERY_PATH, 0) > 2)
    assert "/keys" not in server.asked


async def test_redirects_are_not_followed(server: KeyServer) -> None:
    server.say("/keys", "", status=302, Location=f"{server.url}/elsewhere")
    server.publish(ONE, path="/elsewhere")
    source = _source(server)
    async with fetching([source], PACE):
        await eventually(lambda: server.asked.get("/keys", 0) > 2)
    assert not source.known
    assert "/elsewhere" not in server.asked


async def test_an_answer_without_an_end_is_not_read(server: KeyServer) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)
            sent += 65_536

    server.answers["/keys"] = endless
    source = _source(server)
    async with fetching([source], Pace(retry=30.0)):
        await eventually(lambda: sent > MAX_ANSWER_BYTES)
        server.publish(ONE)
        other = _source(server)
        async with fetching([other], PACE):
            await eventually(lambda: other.known)
    assert not source.known
