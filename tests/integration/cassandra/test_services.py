"""The services on Cassandra: replicas share what they keep, and go on as they should while it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.cassandra import CassandraServer
from tests.support.chat import Client, Plane, data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, environ_for, in_process, own_process
from tests.support.waiting import eventually

from push_workloads.common import cassandra as session

ADA = {"email": "ada@example.com", "password": "correct horse"}
PHONE = {"device_id": "phone", "platform": "fcm", "token": "t" * 20}


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        yield made


@pytest.fixture
async def environ(cassandra_server: CassandraServer) -> dict[str, str]:
    """The store's variables, `SQLITE_PATH` taken back; nothing is kept there yet."""
    await cassandra_server.emptied("services")
    return {"SQLITE_PATH": "", **cassandra_server.environ("services")}


async def history(http: ClientSession, service: InProcess, user: str, other: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token_for(user)}"}
    async with http.get(f"{service.url}/conversations/{other}/messages", headers=headers) as answer:
        return answer.status, await answer.json()


async def contents(http: ClientSession, service: InProcess) -> list[Any]:
    status, page = await history(http, service, "ann", "bob")
    return [message["content"] for message in page["messages"]] if status == 200 else []


async def shows(http: ClientSession, service: InProcess, expected: list[Any]) -> None:
    """Waits until that is what history holds."""

    async def does() -> bool:
        return await contents(http, service) == expected

    await eventually(does, within=30)


async def say(ann: Client, bob: Client, content: Any) -> None:
    await ann.send(type="send_message", recipient_id="bob", content=content)
    assert (await bob.expect("message"))["content"] == content
    await ann.expect("ack")


async def test_two_message_services_write_and_read_one_history(
    plane: Plane, environ: dict[str, str], http: ClientSession
) -> None:
    services = [await plane.message(**environ) for _ in range(2)]
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    for number in range(40):
        await say(ann, bob, number)
    expected = list(range(39, -1, -1))
    for service in services:
        await shows(http, service, expected)


async def test_while_cassandra_hangs_messages_flow_and_history_catches_up(
    plane: Plane,
    environ: dict[str, str],
    cassandra_server: CassandraServer,
    http: ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = await plane.message(**environ)
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    await say(ann, bob, "before")
    await shows(http, message, ["before"])

    monkeypatch.setattr(session, "CALL_SECONDS", 1.0)
    cassandra_server.pause()
    try:
        for number in range(20):
            await say(ann, bob, number)
        async with asyncio.timeout(3):
            status, told = await history(http, message, "ann", "bob")
        assert (status, told["error"]["code"]) == (503, "unavailable")
        await eventually(lambda: "cassandra" in message.process.waiting_for())
        assert not gateway.process.waiting_for()
        await say(ann, bob, "still")
    finally:
        cassandra_server.resume()
    await shows(http, message, ["still", *range(19, -1, -1), "before"])
    await eventually(lambda: not message.process.waiting_for())


async def test_accounts_and_devices_are_shared_by_replicas(
    operators_nats_server: Nats, valkey_server: Valkey, plane: Plane, environ: dict[str, str], http: ClientSession
) -> None:
    auth_environ = environ_for(REDIS_URL=valkey_server.url, **environ)
    push_login = operators_nats_server.environ_of("push")
    push_environ = environ_for(REDIS_URL=valkey_server.url, **push_login, **environ)
    await plane.message(**environ)
    async with (
        in_process("auth", auth_environ) as one,
        in_process("auth", auth_environ) as other,
        in_process("push", push_environ) as push,
        in_process("push", push_environ) as replica,
    ):
        async with http.post(f"{one.url}/auth/register", json=ADA) as answer:
            made = await answer.json()
            assert answer.status == 201
        async with http.post(f"{other.url}/auth/register", json=ADA) as answer:
            assert answer.status == 409
        async with http.post(f"{other.url}/auth/login", json=ADA) as answer:
            assert (await answer.json())["user"] == made["user"]
        headers = {"Authorization": f"Bearer {made['access_token']}"}
        async with http.post(f"{push.url}/devices", json=PHONE, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()
        async with http.get(f"{replica.url}/devices", headers=headers) as answer:
            assert [device["device_id"] for device in (await answer.json())["devices"]] == ["phone"]


async def test_without_cassandra_it_says_so_and_still_stops(
    valkey_server: Valkey, tmp_path: Path, http: ClientSession, cassandra_server: CassandraServer
) -> None:
    store = cassandra_server.environ("services") | {"CASSANDRA_LOCAL_DATACENTER": "elsewhere"}
    environ = environ_for(REDIS_URL=valkey_server.url, **store)
    async with own_process("auth", environ, tmp_path / "auth.log") as auth:

        async def told() -> bool:
            async with http.get(f"{auth.admin_url}/readyz") as answer:
                text: str = (await answer.json())["waiting"].get("cassandra", "")
                return "no node in datacenter elsewhere; there is datacenter1" in text

        await eventually(told, within=20)
        assert await auth.stop() == 0
    log = (tmp_path / "auth.log").read_text()
    assert "Traceback" not in log
    assert log.count("no node in datacenter elsewhere") == 1
