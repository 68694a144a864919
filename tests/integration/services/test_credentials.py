"""Service credentials: made over the admin port, good for their scopes everywhere, and revoked in a moment."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis
from tests.support.chat import Plane
from tests.support.servers import Valkey
from tests.support.services import InProcess, environ_for, in_process
from tests.support.waiting import eventually

from push_workloads.common.following import KEY

ADMIN = "an admin token, long enough to be one"
SERVICE_KEY = "the service key of the Secret, long enough"
Answer = tuple[int, dict[str, Any]]


class World:
    def __init__(self, http: ClientSession, auth: InProcess, message: InProcess, presence: InProcess) -> None:
        self.http, self.auth, self.message, self.presence = http, auth, message, presence

    async def order(self, method: str, path: str, body: Any = None, token: str = ADMIN) -> Answer:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.request(method, self.auth.admin_url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def created(self, *scopes: str) -> dict[str, Any]:
        """One that is known to all."""
        status, made = await self.order("POST", "/credentials", {"name": "shop", "scopes": list(scopes)})
        assert status == 201, made

        async def is_known() -> bool:
            return not {401, 503} & set(await self.verdicts(made["credential"]))

        await eventually(is_known)
        return made

    async def verdicts(self, credential: str) -> list[int]:
        """Of a send, of a new group, of the topics, of presence, of what is a user's alone."""
        group = {"name": "staff", "owner": "ada", "members": []}
        asked = [
            (self.message, "POST", "/messages", {"recipient_id": "ada", "content": "hello"}),
            (self.message, "POST", "/groups", group),
            (self.message, "GET", "/topics", None),
            (self.presence, "GET", "/presence?user_ids=ada", None),
            (self.message, "GET", "/conversations", None),
        ]
        return [await self._status(credential, *one) for one in asked]

    async def _status(self, credential: str, service: InProcess, method: str, path: str, body: Any) -> int:
        headers = {"Authorization": f"Bearer {credential}"}
        async with self.http.request(method, service.url + path, json=body, headers=headers) as answer:
            return answer.status


@pytest.fixture
async def world(plane: Plane, http: ClientSession, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[World]:
    redis, key = {"REDIS_URL": valkey_server.url}, {"SERVICE_KEY": SERVICE_KEY}
    accounts = environ_for(SQLITE_PATH=str(tmp_path / "accounts.db"), ADMIN_TOKEN=ADMIN, **redis)
    message = await plane.message(**key)
    presence = await plane.presence(**key)
    async with in_process("auth", accounts) as auth:
        await auth.ready()
        yield World(http, auth, message, presence)


@pytest.mark.parametrize(
    ("scope", "verdicts"),
    [
        ("publish", [200, 403, 403, 403, 403]),
        ("groups", [403, 201, 403, 403, 403]),
        ("topics", [403, 403, 200, 403, 403]),
        ("presence", [403, 403, 403, 200, 403]),
    ],
)
async def test_a_credential_is_for_its_scopes(world: World, scope: str, verdicts: list[int]) -> None:
    made = await world.created(scope)
    assert await world.verdicts(made["credential"]) == verdicts


async def test_the_key_of_the_secret_may_do_all(world: World) -> None:
    assert await world.verdicts(SERVICE_KEY) == [200, 201, 200, 200, 200]


async def test_they_are_listed_without_what_opens_and_revoked_in_a_moment(world: World) -> None:
    made, other = await world.created("publish", "groups"), await world.created("publish")
    _, listed = await world.order("GET", "/credentials")
    assert [one.keys() for one in listed["credentials"]] == [{"id", "name", "scopes", "created_at"}] * 2
    assert [one["id"] for one in listed["credentials"]] == [made["id"], other["id"]]
    assert listed["credentials"][0]["scopes"] == ["groups", "publish"]
    assert await world.order("POST", "/credentials/revoke", {"id": made["id"]}) == (200, {"revoked": made["id"]})
    began = time.monotonic()

    async def is_refused() -> bool:
        return await world.verdicts(made["credential"]) == [401] * 5

    await eventually(is_refused)
    assert time.monotonic() - began < 1
    assert (await world.verdicts(other["credential"]))[0] == 200
    assert (await world.order("POST", "/credentials/revoke", {"id": made["id"]}))[0] == 404


async def test_what_redis_loses_is_there_again_and_nobody_waits_for_it(world: World, valkey_server: Valkey) -> None:
    made = await world.created("presence")
    async with Redis.from_url(valkey_server.url) as redis:
        await redis.flushall()
        assert (await world.verdicts(made["credential"]))[3] == 200

        async def is_back() -> bool:
            return bool(await redis.exists(KEY))

        await eventually(is_back)
        assert made["credential"].encode() not in (await redis.get(KEY) or b"")
    assert (await world.verdicts(made["credential"]))[3] == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"name": "shop", "scopes": ["everything"]}, "there is no scope everything: choose of publish"),
        ({"name": "shop", "scopes": []}, "send a JSON object with name, scopes: "),
        ({"name": "", "scopes": ["publish"]}, "send a JSON object with name, scopes: "),
        ({"name": "a\nb", "scopes": ["publish"]}, "send a JSON object with name, scopes: "),
        ([], "send a JSON object with name, scopes: "),
    ],
)
async def test_a_bad_order_is_told_its_fault(world: World, body: Any, told: str) -> None:
    status, answer = await world.order("POST", "/credentials", body)
    assert status == 400
    assert answer["error"].startswith(told)


async def test_nobody_else_makes_one(world: World) -> None:
    for token in ("", "wrong", SERVICE_KEY):
        assert (await world.order("GET", "/credentials", token=token))[0] == 401
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with world.http.get(f"{world.auth.url}/credentials", headers=headers) as answer:
        assert answer.status == 404  # not on the port that clients reach


async def test_without_an_admin_token_there_are_no_orders(
    valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> None:
    environ = environ_for(REDIS_URL=valkey_server.url, SQLITE_PATH=str(tmp_path / "accounts.db"))
    async with in_process("auth", environ) as auth, http.get(f"{auth.admin_url}/credentials") as answer:
        assert answer.status == 403
        assert "ADMIN_TOKEN" in (await answer.json())["error"]
