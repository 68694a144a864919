"""A company's own users, by a certified OpenID provider: they log in there, and need no account here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import ClientSession
from tests.support.chat import Client, Plane, data_plane
from tests.support.npm import NoPackages
from tests.support.oidc_provider import OidcProvider
from tests.support.servers import Nats, Valkey, running
from tests.support.services import InProcess
from tests.support.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

AUDIENCE = "https://push.example"
CLIENT = {"client_id": "chat", "client_secret": "c" * 32, "redirect_uris": ["http://127.0.0.1:1/back"]}
SETTINGS: dict[str, Any] = {
    "clients": [CLIENT],
    "accounts": {
        "ann": {"uid": "a-1", "topics": ["news", "team/*"], "may_write": ["team/*"]},
        "bob": {"uid": "b-2", "topics": ["news"]},
    },
    "resources": {AUDIENCE: "ES256", "https://other.example": "ES256"},
    "access": ["uid", "topics", "may_write"],
}


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[OidcProvider]:
    try:
        made = OidcProvider(tmp_path / "oidc", SETTINGS)
    except NoPackages as missing:
        pytest.skip(f"nothing of an OpenID provider is tested here: {missing}")
    async with running(made):
        yield made


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        yield made


@pytest.fixture
async def gateway(plane: Plane, provider: OidcProvider) -> InProcess:
    """Its issuer is found by discovery."""
    trusted = {"issuer": provider.issuer, "audience": AUDIENCE, "userIdPrefix": "corp:", "userIdClaim": "uid",
               "topicClaims": {"read": "topics", "write": "may_write"}, "allowInsecure": True}  # fmt: skip
    environ = {"TRUSTED_ISSUERS": json.dumps([trusted])}
    await plane.message(**environ)
    return await plane.gateway(**environ)


async def _token(provider: OidcProvider, account: str, audience: str = AUDIENCE) -> str:
    return str((await provider.log_in(account, CLIENT, resource=audience))["access_token"])


async def _enter(plane: Plane, gateway: InProcess, token: str) -> Client:
    """As a client does: it comes again as long as it is told to wait."""

    async def entered() -> Client | None:
        try:
            return await plane.client(gateway, "", token=token)
        except InvalidStatus as refused:
            assert refused.response.status_code == 503, refused
            return None

    client: Client = await eventually(entered)
    return client


async def _refused(gateway: InProcess, token: str) -> int:
    try:
        async with connect(f"{gateway.url.replace('http', 'ws')}/ws?token={token}"):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_who_logs_in_there_may_talk_here(plane: Plane, gateway: InProcess, provider: OidcProvider) -> None:
    ann = await _enter(plane, gateway, await _token(provider, "ann"))
    bob = await _enter(plane, gateway, await _token(provider, "bob"))
    assert (ann.welcome["user_id"], bob.welcome["user_id"]) == ("corp:a-1", "corp:b-2")
    await ann.send(type="send_message", recipient_id="corp:b-2", content="hello", id="m")
    await ann.expect("ack", id="m")
    assert (await bob.expect("message"))["from"] == "corp:a-1"
    await bob.send(type="subscribe", channel="topic:news")
    await bob.expect("subscribed", channel="topic:news")
    for frame in ({"type": "subscribe", "channel": "topic:team/a"},
                  {"type": "send_message", "channel": "topic:news", "content": 1}):  # fmt: skip
        await bob.send(**frame, id="no")
        assert (await bob.expect("error", id="no"))["code"] == "forbidden"


async def test_what_the_provider_signs_for_others_is_refused(gateway: InProcess, provider: OidcProvider) -> None:
    answer = await provider.log_in("ann", CLIENT, resource=AUDIENCE)
    elsewhere = await _token(provider, "ann", "https://other.example")
    await eventually(lambda: not gateway.process.waiting_for())
    for token in (elsewhere, answer["id_token"]):

        async def told(token: str = token) -> int:
            status = await _refused(gateway, token)
            return status if status != 503 else 0

        assert await eventually(told) == 401


async def test_keys_change_while_clients_are_there(
    plane: Plane, gateway: InProcess, provider: OidcProvider, http: ClientSession
) -> None:
    old = await _token(provider, "ann")
    ann = await _enter(plane, gateway, old)
    asked = await provider.asked(http)
    # As it should be done: the new key beside the old one, which is the second from now on.
    await provider.publish(http, "second-ES256", "first-ES256", "first-RS256")
    new = await _token(provider, "bob")
    assert [jwt.get_unverified_header(token)["kid"] for token in (old, new)] == ["first-ES256", "second-ES256"]
    bob = await _enter(plane, gateway, new)
    assert await provider.asked(http) == asked + 1  # one look, for the key that was not known
    other = await _enter(plane, gateway, old)
    await ann.send(type="send_message", recipient_id="corp:b-2", content="still here", id="m")
    await ann.expect("ack", id="m")
    await bob.expect("message", content="still here")
    # A socket that is there goes on with a token of the new key.
    await ann.send(type="refresh", token=await _token(provider, "ann"), id="r")
    await ann.expect("refreshed", id="r")
    # And at once, as after a theft: nothing that the others signed is good any more, as soon as that is known.
    await provider.publish(http, "third-ES256", "first-RS256")
    await _enter(plane, gateway, await _token(provider, "bob"))

    async def told() -> bool:
        return await _refused(gateway, old) == 401

    await eventually(told)
    for client in (ann, bob, other):  # who is in stays until the token ends
        await client.nothing_but_pong()


async def test_clients_stay_while_the_provider_is_away(
    plane: Plane, gateway: InProcess, provider: OidcProvider
) -> None:
    token = await _token(provider, "ann")
    await _enter(plane, gateway, token)
    await provider.kill()
    await _enter(plane, gateway, token)
    made_up = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "k" * 32, headers={"kid": "new"})
    assert await _refused(gateway, made_up) == 401  # HS256: no key of theirs is asked for
    rest = token.partition(".")[2]
    forged = jwt.utils.base64url_encode(json.dumps({"alg": "ES256", "kid": "new"}).encode()).decode()
    assert [await _refused(gateway, f"{forged}.{rest}") for _ in range(3)] == [503] * 3
