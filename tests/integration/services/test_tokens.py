"""Access tokens at every service that checks them, in processes that take all three kinds: signed by our auth service,
with a shared secret, and by an issuer that is trusted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.support.chat import Client, Frame, Plane, data_plane
from tests.support.hostile import Issuer, by_secret, foreign_token, hostile, own_token
from tests.support.key_server import KeyServer, key_server
from tests.support.servers import Nats, Valkey
from tests.support.services import SECRET, InProcess, environ_for, in_process
from tests.support.waiting import eventually
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from push_workloads.common.keys import from_seed, read_jwks
from push_workloads.gateway import codes

SEED = "the first key " * 3
OWN = from_seed(SEED)
PATHS = {"auth": "/auth/sessions", "message": "/conversations", "presence": "/sessions", "push": "/devices"}
Verdicts = dict[str, int]


class World:
    """All that checks tokens; `keys` has those of the issuer."""

    def __init__(self, http: ClientSession, plane: Plane, keys: KeyServer, services: dict[str, InProcess]) -> None:
        self.http, self.plane, self.keys, self.services = http, plane, keys, services
        self.issuer = Issuer(from_seed("of the issuer " * 3), keys.url, "push")

    async def verdicts(self, token: str) -> Verdicts:
        told = {}
        for name, path in PATHS.items():
            headers = {"Authorization": f"Bearer {token}"}
            async with self.http.get(self.services[name].url + path, headers=headers) as answer:
                told[name] = answer.status
                assert answer.status != 503 or answer.headers["Retry-After"]
        return told | {"gateway": await self._handshake(token), "stream": await self._stream(token)}

    async def _handshake(self, token: str) -> int:
        url = self.services["gateway"].url.replace("http", "ws") + "/ws"
        try:
            async with connect(url, additional_headers={"Authorization": f"Bearer {token}"}):
                return 101
        except InvalidStatus as refused:
            assert refused.response.status_code != 503 or refused.response.headers["Retry-After"]
            return refused.response.status_code

    async def _stream(self, token: str) -> int:
        url = f"http://127.0.0.1:{self.services['gateway'].sse_port}/sse"
        async with self.http.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status

    async def settled(self, token: str) -> Verdicts:
        """Once nobody is waiting for a key any more."""
        found: Verdicts = {}

        async def told() -> bool:
            nonlocal found
            found = await self.verdicts(token)
            return 503 not in found.values()

        await eventually(told)
        return found


GOOD = {"auth": 200, "message": 200, "presence": 200, "push": 200, "gateway": 101, "stream": 200}
BAD = dict.fromkeys(GOOD, 401)


@pytest.fixture
async def world(
    http: ClientSession, operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(key_server())
        plane = await stack.enter_async_context(data_plane(operators_nats_server, valkey_server, tmp_path))
        more = {"TRUSTED_ISSUERS": _trusted(keys.url)}
        made: dict[str, InProcess] = {}

        async def start(name: str, **environ: str) -> None:
            made[name] = await stack.enter_async_context(
                in_process(name, environ_for(REDIS_URL=valkey_server.url, **more, **environ))
            )
            await made[name].ready()

        await start("auth", SQLITE_PATH=str(tmp_path / "accounts.db"), SIGNING_KEY_0=SEED)
        more["AUTH_URL"] = made["auth"].url
        world = World(http, plane, keys, made)
        keys.publish(world.issuer.key)
        await start("presence", **operators_nats_server.environ_of("presence"))
        made |= {"message": await plane.message(**more), "gateway": await plane.gateway(**more)}
        await start("push", SQLITE_PATH=str(tmp_path / "devices.db"), **operators_nats_server.environ_of("push"))
        yield world


def _trusted(issuer: str) -> str:
    trusted = {"issuer": issuer, "jwksUrl": f"{issuer}/keys", "audience": "push", "userIdPrefix": "corp:",
               "topicClaims": {"read": "topics", "write": "may_write"}, "allowInsecure": True}  # fmt: skip
    return json.dumps([trusted])


async def _topic(client: Client, name: str, kind: str) -> Frame:
    await client.send(type="subscribe", channel=f"topic:{name}", id=name)
    return await client.expect(kind, channel=f"topic:{name}")


async def test_each_kind_is_good_everywhere(world: World) -> None:
    for token in (own_token(OWN), by_secret({"alg": "HS256"}, SECRET.encode()), foreign_token(world.issuer)):
        assert await world.settled(token) == GOOD


async def test_hostile_tokens_are_refused_everywhere(world: World) -> None:
    await world.settled(own_token(OWN))
    await world.settled(foreign_token(world.issuer))
    table = hostile(OWN, SECRET.encode(), world.issuer)
    shown = {name: token for name, token in table.items() if "\n" not in token and token.isascii()}
    assert shown.keys() == table.keys()
    found = {name: await world.verdicts(token) for name, token in shown.items()}
    # Keys that nobody has: each service looks once whether its issuer has them by now, and then refuses them as well.
    waiting = {name for name, verdicts in found.items() if 503 in verdicts.values()}
    assert waiting == {"a kid that is a path", "an issuer's key for us", "our key for an issuer"}
    assert {name: verdicts for name, verdicts in found.items() if name not in waiting and verdicts != BAD} == {}
    for name in waiting:
        assert set(found[name].values()) <= {401, 503}
        assert await world.settled(table[name]) == BAD


async def test_a_socket_is_not_refreshed_by_a_hostile_token(world: World) -> None:
    gateway = world.services["gateway"]
    client = await world.plane.client(gateway, "", token=own_token(OWN))
    for name, token in list(hostile(OWN, SECRET.encode(), world.issuer).items())[::7]:
        await client.send(type="refresh", token=token, id="r")
        answer = await client.expect("error", id="r")
        assert answer["code"] in ("unauthorized", "unavailable", "bad_frame"), name
    await client.send(type="refresh", token=own_token(OWN), id="good")
    await client.expect("refreshed", id="good")


async def test_the_auth_service_signs_with_its_key_and_publishes_it(world: World, http: ClientSession) -> None:
    auth = world.services["auth"]
    account = {"email": "ada@example.com", "password": "correct horse"}
    async with http.post(f"{auth.url}/auth/register", json=account) as answer:
        token = (await answer.json())["access_token"]
    assert await world.settled(token) == GOOD
    async with http.get(f"{auth.url}/.well-known/jwks.json") as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, max-age=300")
        body = await answer.read()
    assert read_jwks(body, ("ES256",)) == {OWN.key.kid: OWN.key}
    assert set(json.loads(body)["keys"][0]) == {"kty", "crv", "x", "y", "kid", "alg", "use"}


async def test_topics_by_the_claims_of_a_token(world: World) -> None:
    claims = {"topics": ["news", "team/*"], "may_write": ["team/*"]}
    gateway, message = world.services["gateway"], world.services["message"]
    token = foreign_token(world.issuer, **claims)
    await world.settled(token)
    client = await world.plane.client(gateway, "", token=token)
    assert client.welcome["user_id"] == "corp:ann"
    await _topic(client, "news", "subscribed")
    await _topic(client, "team/a", "subscribed")
    assert (await _topic(client, "other", "error"))["code"] == "forbidden"
    await client.send(type="send_message", channel="topic:team/a", content="hello", id="s")
    await client.expect("ack", id="s")
    await client.send(type="send_message", channel="topic:news", content="hello", id="t")
    assert (await client.expect("error", id="t"))["code"] == "forbidden"
    headers = {"Authorization": f"Bearer {token}"}
    for topic, kind, status in (("team%2Fa", "topic:team/a", 200), ("news", "topic:news", 403)):
        async with world.http.post(f"{message.url}/messages", json={"channel": kind, "content": 1},
                                   headers=headers) as answer:  # fmt: skip
            assert answer.status == status, await answer.text()
        async with world.http.get(f"{message.url}/channels/topic:{topic}/messages", headers=headers) as answer:
            assert answer.status == 200
    async with world.http.get(f"{message.url}/channels/topic:other/messages", headers=headers) as answer:
        assert answer.status == 403
    assert (await client.expect("message", channel="topic:team/a"))["content"] == 1
    # A newer token that says less: what it does not say is read no more.
    await client.send(type="refresh", token=foreign_token(world.issuer, topics=["news"]), id="r")
    await client.expect("refreshed", id="r")
    assert (await client.expect("error", channel="topic:team/a"))["code"] == codes.FORBIDDEN
    assert await client.nothing_but_pong() == []
