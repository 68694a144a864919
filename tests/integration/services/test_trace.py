"""`GET /trace/{message_id}`: where a message is kept and how far its recipients have come, for servers alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from nats.aio.client import Client
from tests.support.calls import call, on_the_bus, say
from tests.support.chat import Plane, data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

KEY = "a service key, long enough to be one"


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        yield made


@pytest.fixture
async def chat(plane: Plane) -> InProcess:
    return await plane.message(SERVICE_KEY=KEY)


@pytest.fixture
async def bus(chat: InProcess, operators_nats_server: Nats) -> AsyncIterator[Client]:
    async with on_the_bus(operators_nats_server, "message") as client:
        yield client


async def asked(http: ClientSession, chat: InProcess, message_id: str, **query: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with http.get(f"{chat.url}/trace/{message_id}", params=query, headers=headers) as answer:
        return answer.status, await answer.json()


async def traced(http: ClientSession, chat: InProcess, said: dict[str, Any], **query: Any) -> dict[str, Any]:
    """As soon as it is in history."""

    async def there() -> dict[str, Any] | None:
        status, answer = await asked(http, chat, said["message_id"], **query)
        return answer if status == 200 else None

    found: dict[str, Any] = await eventually(there)
    return found


async def test_a_direct_message(chat: InProcess, http: ClientSession, bus: Client) -> None:
    said = await say(http, chat, "ann", recipient_id="bob *", content="a secret")
    trace = await traced(http, chat, said)
    assert trace["message"] == {
        "message_id": said["message_id"], "from": "ann", "to": "user:bob *", "kind": "text", "ref": None,
        "sent_at": said["sent_at"], "bytes": 10, "change": None,
    }  # fmt: skip
    assert "secret" not in str(trace)
    info = await bus.jetstream().stream_info("LOG_0")
    assert [(copy["channel"], copy["whose"]) for copy in trace["log"]] == [
        ("user:bob *", "recipient"), ("user:ann", "sender")
    ]  # fmt: skip
    for copy in trace["log"]:
        logged = await bus.jetstream().get_msg("LOG_0", copy["seq"])
        assert said["message_id"] in (logged.data or b"").decode()
        assert copy["epoch"] == (info.config.metadata or {})["epoch"]
        assert 0 <= copy["stored_at"] - said["sent_at"] < 5000
    assert trace["recipients"] == [{"user_id": "bob *", "delivered": False, "read": False}]
    assert [trace[name] for name in ("members", "next", "trace_id", "via")] == [None] * 4
    up_to = {"up_to": f"{said['sent_at']}.{said['message_id']}"}
    assert (await call(http, chat, "bob *", "PUT", "/conversations/ann/read", up_to))[0] == 204
    assert (await traced(http, chat, said))["recipients"] == [{"user_id": "bob *", "delivered": True, "read": True}]


async def test_from_which_device_and_gateway_it_came(plane: Plane, chat: InProcess, http: ClientSession) -> None:
    gateway = await plane.gateway(INSTANCE="chat-gateway-7")
    ann = await plane.client(gateway, "ann", device_id="ann-s_phone")
    await ann.send(type="send_message", id="1", recipient_id="bob", content=1)
    said = await ann.answer("1")
    assert (await traced(http, chat, said))["via"] == {"gateway": "chat-gateway-7", "device_id": "ann-s_phone"}


async def test_what_the_log_has_dropped_is_in_history_still(chat: InProcess, http: ClientSession, bus: Client) -> None:
    said = await say(http, chat, "ann", recipient_id="bob", content=1)
    await traced(http, chat, said)
    await bus.jetstream().purge_stream("LOG_0", subject="log.0.u.bob")
    copies = (await traced(http, chat, said))["log"]
    assert [(copy["channel"], copy["seq"] is None) for copy in copies] == [("user:bob", True), ("user:ann", False)]


async def test_a_group_page_after_page(chat: InProcess, http: ClientSession) -> None:
    members = [f"user {number:02}" for number in range(25)]
    status, group = await call(http, chat, "ann", "POST", "/groups", {"name": "All", "members": members})
    assert status == 201
    channel = group["channel"]
    said = await say(http, chat, "ann", channel=channel, content=1)
    trace = await traced(http, chat, said, limit=10)
    up_to = {"up_to": f"{said['sent_at']}.{said['message_id']}"}
    assert (await call(http, chat, "user 20", "PUT", f"/channels/{channel}/read", up_to))[0] == 204
    assert (trace["message"]["to"], trace["members"], len(trace["log"])) == (channel, 26, 1)
    found = list(trace["recipients"])
    while trace["next"] is not None:
        trace = (await asked(http, chat, said["message_id"], limit=10, after=trace["next"]))[1]
        found += trace["recipients"]
    assert [one["user_id"] for one in found] == members, "all but the sender"
    assert [one["user_id"] for one in found if one["read"]] == ["user 20"]
    assert {one["delivered"] for one in found} == {None}
    (change,) = [one for one in await _history(http, chat, channel) if one["kind"] == "system"]
    told = await traced(http, chat, change)
    assert (told["message"]["kind"], told["message"]["change"]) == ("system", "added")
    assert (await call(http, chat, "ann", "DELETE", f"/groups/{group['group_id']}"))[0] == 204
    trace = await traced(http, chat, said)
    assert (trace["members"], trace["recipients"]) == (0, [])


async def _history(http: ClientSession, chat: InProcess, channel: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = (await call(http, chat, "ann", "GET", f"/channels/{channel}/messages"))[1][
        "messages"
    ]
    return messages


async def test_what_is_not_there_is_told(chat: InProcess, http: ClientSession) -> None:
    status, answer = await asked(http, chat, "unknown")
    assert (status, answer["error"]["code"]) == (404, "not_found")
    assert answer["error"]["message"].startswith("history has no message unknown: the id is wrong, or")
    for bad in ("a%20b", "x" * 65, "%00", "a.b", "%2A", "%ED%A0%80"):
        assert (await asked(http, chat, bad))[0] == 400, bad
    said = await say(http, chat, "ann", recipient_id="bob", content=1)
    await traced(http, chat, said)
    for query in ({"limit": "0"}, {"limit": "201"}, {"after": "x" * 129}):
        assert (await asked(http, chat, said["message_id"], **query))[0] == 400


async def test_users_may_not_ask(chat: InProcess, http: ClientSession) -> None:
    for bearer, status in ((token_for("ann"), 403), ("nonsense", 401)):
        async with http.get(f"{chat.url}/trace/x", headers={"Authorization": f"Bearer {bearer}"}) as answer:
            assert answer.status == status


async def test_without_the_bus_the_rest_is_told(
    chat: InProcess, http: ClientSession, operators_nats_server: Nats
) -> None:
    said = await say(http, chat, "ann", recipient_id="bob", content=1)
    await traced(http, chat, said)
    await operators_nats_server.kill()
    status, trace = await asked(http, chat, said["message_id"])
    assert (status, trace["log"], trace["recipients"][0]["user_id"]) == (200, None, "bob")
    assert (await asked(http, chat, "unknown"))[0] == 404
    await operators_nats_server.start()
    await chat.ready()
