"""What the message service tells push and operators, on Cassandra, and the same from each of two replicas."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientSession
from nats.aio.client import Client
from tests.support.calls import call, on_the_bus, say
from tests.support.cassandra import CassandraServer
from tests.support.chat import Plane, data_plane
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_workloads.common.questions import MEMBERS, UNREAD, MembersAsked, UnreadAsked

KEY = "a service key, long enough to be one"


@pytest.fixture
async def replicas(
    operators_nats_server: Nats, valkey_server: Valkey, cassandra_server: CassandraServer, tmp_path: Path
) -> AsyncIterator[list[InProcess]]:
    await cassandra_server.emptied("telling")
    environ = {"SQLITE_PATH": "", "SERVICE_KEY": KEY, **cassandra_server.environ("telling")}
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        yield [await _replica(plane, environ) for _ in range(2)]


async def _replica(plane: Plane, environ: dict[str, str]) -> InProcess:
    return await plane.message(**environ)


async def ask(push: Client, subject: str, question: msgspec.Struct) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((await push.request(subject, msgspec.json.encode(question), timeout=10)).data)
    return made


async def test_unread_members_and_a_trace(
    replicas: list[InProcess], operators_nats_server: Nats, http: ClientSession
) -> None:
    one, other = replicas
    members = ["bob", "eve", "zoë *"]
    status, group = await call(http, one, "ann", "POST", "/groups", {"name": "All", "members": members})
    assert status == 201
    direct = await say(http, one, "ann", recipient_id="bob", content=1)
    said = await say(http, other, "ann", channel=group["channel"], content=2)
    async with on_the_bus(operators_nats_server, "push") as push:

        async def unread(conversation: str, of: dict[str, Any]) -> dict[str, Any]:
            return await ask(push, UNREAD, UnreadAsked("bob", conversation, of["sent_at"], of["message_id"]))

        async def written() -> bool:
            return await unread("user:ann", direct) == {"answer": "unread", "read": False, "count": 2}

        await eventually(written)
        up_to = {"up_to": f"{direct['sent_at']}.{direct['message_id']}"}
        assert (await call(http, other, "bob", "PUT", "/conversations/ann/read", up_to))[0] == 204
        for _ in range(4):  # whichever replica answers
            assert await unread("user:ann", direct) == {"answer": "unread", "read": True, "count": 1}
            assert await unread(group["channel"], said) == {"answer": "unread", "read": False, "count": 1}

        assert (await call(http, one, "eve", "PUT", "/blocks/ann"))[0] == 204
        pages = [await ask(push, MEMBERS, MembersAsked(group["group_id"], after, 2, "ann")) for after in (None, "bob")]
        assert [page["user_ids"] for page in pages] == [["ann", "bob"], ["zoë *"]]

    headers = {"Authorization": f"Bearer {KEY}"}
    for replica in replicas:
        async with http.get(f"{replica.url}/trace/{direct['message_id']}", headers=headers) as answer:
            trace = await answer.json()
        assert trace["recipients"] == [{"user_id": "bob", "delivered": True, "read": True}]
        assert [copy["seq"] is not None for copy in trace["log"]] == [True, True]
