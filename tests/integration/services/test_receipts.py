"""Receipts: reported by gateways over the bus or by users over HTTP, stored, told once, and read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.access import MemoryAccess
from tests.support.calls import Gateway, call, listening_gateway, say
from tests.support.servers import Nats
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_workloads.common.questions import RECEIPTS, Report, Reports


@pytest.fixture
def access(access: MemoryAccess) -> MemoryAccess:
    access.groups["team"] = {"ann", "bob", "eve"}
    access.topics["news"] = "ann"
    return access


@pytest.fixture
async def gateway(message: InProcess, operators_nats_server: Nats) -> AsyncIterator[Gateway]:
    async with listening_gateway(operators_nats_server) as made:
        yield made


async def report(gateway: Gateway, *reports: Report) -> None:
    async def stored() -> bool:
        return await gateway.ask(RECEIPTS, Reports(list(reports))) == {"answer": "done"}

    await eventually(stored)  # until history has what was said


async def told(gateway: Gateway, count: int) -> dict[str, dict[str, Any]]:
    """So many receipts and no more, by their subjects."""
    made = dict([await gateway.told.get() for _ in range(count)])
    await gateway.fence()
    assert gateway.told.empty()
    return made


def receipt(kind: str, by: str, of: dict[str, Any], **where: str) -> dict[str, Any]:
    return {
        "type": "receipt", "kind": kind, "by": by, "message_id": of["message_id"], "sent_at": of["sent_at"], **where
    }  # fmt: skip


async def test_what_is_read_is_told_to_both_and_once(message: InProcess, gateway: Gateway, http: ClientSession) -> None:
    first, second = [await say(http, message, "ann", recipient_id="bob", content=n) for n in range(2)]
    epoch, seq = await gateway.last("u.bob")
    delivered = Report("delivered", "bob", "user:bob", epoch, seq, "ann")
    await report(gateway, delivered, delivered)
    assert await told(gateway, 1) == {"eph.u.ann": receipt("delivered", "bob", second, conversation="bob")}
    read = Report("read", "bob", "user:bob", epoch, seq, "ann")
    await report(gateway, read, Report("read", "bob", "user:bob", epoch, 1, "ann"))
    assert await told(gateway, 2) == {
        "eph.u.ann": receipt("read", "bob", second, conversation="bob"),
        "eph.u.bob": receipt("read", "bob", second, conversation="ann"),
    }
    await report(gateway, read, delivered)
    await report(gateway, Report("read", "bob", "user:bob", epoch, 1, "ann"))
    assert await told(gateway, 0) == {}
    assert first["sent_at"] < second["sent_at"]


async def test_the_seq_of_another_conversation_counts_and_is_not_given_away(
    message: InProcess, gateway: Gateway, http: ClientSession
) -> None:
    mine = await say(http, message, "ann", recipient_id="bob", content=1)
    await say(http, message, "eve", recipient_id="bob", content=2)
    epoch, seq = await gateway.last("u.bob")
    await report(gateway, Report("read", "bob", "user:bob", epoch, seq, "ann"))
    assert (await told(gateway, 2))["eph.u.ann"] == receipt("read", "bob", mine, conversation="bob")
    await report(gateway, Report("read", "bob", "user:bob", epoch, seq, "a stranger"))
    assert await told(gateway, 0) == {}


async def test_what_cannot_be_resolved_is_skipped_and_counted(
    message: InProcess, gateway: Gateway, http: ClientSession
) -> None:
    await say(http, message, "ann", channel="group:team", content=1)
    epoch, seq = await gateway.last("g.team")
    await report(
        gateway,
        Report("read", "bob", "group:team", "other", seq),
        Report("read", "bob", "group:team", epoch, seq + 1),
        Report("read", "eve", "group:team", epoch, 0),
        Report("read", "bob", "user:bob", epoch, seq, "ann"),  # the group's, not the inbox's
        Report("read", "stranger", "group:team", epoch, seq),
        Report("read", "bob", "user:ann", epoch, seq, "ann"),
    )
    for outcome, count in {"epoch": 1, "gone": 3, "forbidden": 1, "malformed": 1}.items():
        assert message.metric("push_message_receipts_total", outcome=outcome) == count, outcome
    assert await told(gateway, 0) == {}
    assert (await gateway.ask(RECEIPTS, Reports([Report("read", "b", "c", "e", 1)] * 501)))["code"] == "bad_request"


async def test_a_group_hears_it_and_shows_who_has_read_what(
    message: InProcess, gateway: Gateway, http: ClientSession, access: MemoryAccess
) -> None:
    first, second = [await say(http, message, "ann", channel="group:team", content=n) for n in range(2)]
    epoch, seq = await gateway.last("g.team")
    await report(gateway, Report("read", "bob", "group:team", epoch, seq))
    assert await told(gateway, 1) == {"eph.g.team": receipt("read", "bob", second, channel="group:team")}
    up_to = {"up_to": f"{first['sent_at']}.{first['message_id']}"}
    assert (await call(http, message, "eve", "PUT", "/channels/group:team/read", up_to))[0] == 204
    assert await told(gateway, 1) == {"eph.g.team": receipt("read", "eve", first, channel="group:team")}

    path = "/channels/group:team/receipts"
    expected = [{"user_id": user, "message_id": one["message_id"], "sent_at": one["sent_at"]}
                for user, one in (("bob", second), ("eve", first))]  # fmt: skip
    assert await call(http, message, "ann", "GET", path) == (200, {"receipts": expected})
    access.groups["team"].remove("eve")
    assert (await call(http, message, "ann", "GET", path))[1] == {"receipts": expected[:1]}
    assert (await call(http, message, "eve", "GET", path))[0] == 404
    access.groups["team"] |= {f"member {n}" for n in range(300)}
    assert (await call(http, message, "ann", "GET", path))[0] == 400
    await say(http, message, "ann", channel="group:team", content=3)
    epoch, seq = await gateway.last("g.team")
    await report(gateway, Report("read", "bob", "group:team", epoch, seq))
    assert list(await told(gateway, 1)) == ["eph.u.bob"]


async def test_reading_over_http_is_the_same(message: InProcess, gateway: Gateway, http: ClientSession) -> None:
    said = [await say(http, message, "ann", recipient_id="bob", content=n) for n in range(3)]
    places = [f"{one['sent_at']}.{one['message_id']}" for one in said]

    async def written() -> bool:
        _, page = await call(http, message, "bob", "GET", "/conversations/ann/messages")
        return len(page["messages"]) == len(said)

    await eventually(written)
    path = "/conversations/ann/read"
    assert (await call(http, message, "bob", "PUT", path, {"up_to": places[1]}))[0] == 204
    assert (await told(gateway, 2))["eph.u.ann"] == receipt("read", "bob", said[1], conversation="bob")
    assert (await call(http, message, "bob", "PUT", path, {"up_to": places[0]}))[0] == 204
    assert await told(gateway, 0) == {}
    # What lies in the future is read up to the last message that is there.
    assert (await call(http, message, "bob", "PUT", path, {"up_to": "999999999999999.z"}))[0] == 204
    assert (await told(gateway, 2))["eph.u.ann"] == receipt("read", "bob", said[2], conversation="bob")
    assert (await call(http, message, "bob", "PUT", "/conversations/nobody/read", {"up_to": places[0]}))[0] == 204
    for wrong in ({"up_to": "1"}, {"up_to": places[0] + "\n"}, {}):
        assert (await call(http, message, "bob", "PUT", path, wrong))[0] == 400
    assert (await call(http, message, "x", "PUT", "/channels/group:team/read", {"up_to": places[0]}))[0] == 404
    assert (await call(http, message, "x", "PUT", "/channels/topic:news/read", {"up_to": places[0]}))[0] == 204
