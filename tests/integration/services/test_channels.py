"""Groups and topics over HTTP: sending to them and their history, for those who may."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.access import MemoryAccess
from tests.support.calls import call, on_the_bus, say
from tests.support.servers import Nats
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_workloads.common import changes

DEDUP = "a-random-key-of-20-c"


@pytest.fixture
def access(access: MemoryAccess) -> MemoryAccess:
    access.groups["team"] = {"ann", "bob"}
    access.topics["news.x"] = "ann"
    return access


async def history(
    http: ClientSession, message: InProcess, user_id: str, channel: str, count: int, **query: Any
) -> list[dict[str, Any]]:
    """So many messages, as soon as they are written."""

    async def read() -> list[dict[str, Any]]:
        status, page = await call(http, message, user_id, "GET", f"/channels/{channel}/messages", **query)
        assert status == 200, page
        found: list[dict[str, Any]] = page["messages"]
        return found if len(found) >= count else []

    found: list[dict[str, Any]] = await eventually(read)
    return found


@pytest.mark.parametrize("channel", ["group:team", "topic:news.x"])
async def test_what_is_sent_to_a_channel_is_in_its_history(
    message: InProcess, http: ClientSession, channel: str
) -> None:
    results = [await say(http, message, "ann", channel=channel, content=n, id=str(n)) for n in range(3)]
    assert results[0] == {
        "channel": channel,
        "message_id": results[0]["message_id"],
        "sent_at": results[0]["sent_at"],
    }
    rows = await history(http, message, "bob", channel, 3)
    assert [row["content"] for row in rows] == [2, 1, 0]
    assert rows[2] == {
        "message_id": results[0]["message_id"],
        "from": "ann",
        "conversation": channel,
        "kind": "text",
        "content": 0,
        "sent_at": results[0]["sent_at"],
    }
    place = f"{results[0]['sent_at']}.{results[0]['message_id']}"
    assert [row["content"] for row in await history(http, message, "ann", channel, 1, after=place, limit=1)] == [1]


async def test_the_same_dedup_id_is_one_message(message: InProcess, http: ClientSession) -> None:
    same = {"channel": "group:team", "content": {"n": 1}, "dedup_id": DEDUP}
    first, second = await say(http, message, "ann", **same), await say(http, message, "ann", **same)
    assert second == {**first, "duplicate": True}
    status, answer = await call(http, message, "ann", "POST", "/messages", {**same, "content": 2})
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert len(await history(http, message, "bob", "group:team", 1)) == 1


@pytest.mark.parametrize(
    ("user_id", "channel", "status", "code"),
    [
        ("eve", "group:team", 404, "not_found"),
        ("eve", "group:none", 404, "not_found"),
        ("bob", "topic:news.x", 403, "forbidden"),
        ("ann", "topic:other", 403, "forbidden"),
        ("ann", "user:bob", 400, "bad_request"),
        ("ann", "room:1", 400, "bad_request"),
        ("ann", "group:", 400, "bad_request"),
        ("ann", "group:" + "é" * 65, 400, "bad_request"),
    ],
)
async def test_who_may_not_write_is_told(
    message: InProcess, http: ClientSession, user_id: str, channel: str, status: int, code: str
) -> None:
    answer = await call(http, message, user_id, "POST", "/messages", {"channel": channel, "content": 1})
    assert (answer[0], answer[1]["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("channel", "status"), [("group:team", 404), ("topic:other", 403), ("user:eve", 400), ("x", 400)]
)
async def test_who_may_not_read_is_told(message: InProcess, http: ClientSession, channel: str, status: int) -> None:
    answer, body = await call(http, message, "eve", "GET", f"/channels/{channel}/messages")
    assert (answer, "error" in body) == (status, True)


async def test_who_is_blocked_is_told_by_recipient(
    message: InProcess, http: ClientSession, access: MemoryAccess
) -> None:
    access.blocks.add(("bob", "ann"))
    status, answer = await call(http, message, "ann", "POST", "/messages", {"recipient_id": "bob", "content": 1})
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    status, answer = await call(
        http, message, "ann", "POST", "/messages", {"recipients": ["bob", "eve", "ann"], "content": 1}
    )
    assert status == 200
    assert [one.get("error", {}).get("code") for one in answer["results"]] == ["forbidden", None, None]
    assert (await say(http, message, "bob", recipient_id="ann", content=1))["message_id"]


async def test_a_change_of_a_group_stands_among_its_messages(
    message: InProcess, http: ClientSession, operators_nats_server: Nats
) -> None:
    """Its copy in an inbox is no message of anyone's."""
    change = changes.Change(change="added", message_id="c1", group_id="team", by="ann", sent_at=1, user_ids=["bob"])
    async with on_the_bus(operators_nats_server, "message") as log:
        for subject in ("log.0.u.bob", "log.0.g.team"):
            await log.jetstream().publish(subject, changes.encode(change))
    (row,) = await history(http, message, "bob", "group:team", 1)
    assert (row["kind"], row["from"], row["content"]["user_ids"]) == ("system", "ann", ["bob"])
    assert message.metric("push_message_undecodable_total") == 0


async def test_the_list_has_conversations_and_groups_in_one_order(
    message: InProcess, http: ClientSession, access: MemoryAccess
) -> None:
    access.groups["empty"] = {"ann"}
    hers = await say(http, message, "ann", channel="group:team", content="to all")
    await say(http, message, "bob", recipient_id="ann", content="to her")
    last = await say(http, message, "bob", channel="group:team", content="again")
    await history(http, message, "ann", "group:team", 2)

    async def listed(user_id: str, **query: Any) -> Any:
        status, page = await call(http, message, user_id, "GET", "/conversations", **query)
        assert status == 200, page
        return page

    await eventually(lambda: listed_all(listed))
    page = await listed("ann")
    team, bob, empty = page["conversations"]
    assert (team["channel"], team["name"], team["unread"]) == ("group:team", "The team", 1)
    assert team["last_message"]["conversation"] == "group:team"
    assert (bob["user_id"], bob["unread"], bob["last_message"]["content"]) == ("bob", 1, "to her")
    assert empty == {"channel": "group:empty", "name": "The empty", "unread": 0}
    assert page["next"] is None

    one_by_one: list[Any] = []
    query: dict[str, str] = {}
    while True:
        page = await listed("ann", limit=1, **query)
        one_by_one += page["conversations"]
        if page["next"] is None:
            break
        query = {"after": page["next"]}
    assert one_by_one == [team, bob, empty]
    assert [(one["channel"], one["unread"]) for one in (await listed("bob"))["conversations"][:1]] == [
        ("group:team", 1)
    ]

    up_to = {"up_to": f"{last['sent_at']}.{last['message_id']}"}
    await call(http, message, "ann", "PUT", "/channels/group:team/read", up_to)
    place = {"message_id": last["message_id"], "sent_at": last["sent_at"]}
    (team, *_) = (await listed("ann"))["conversations"]
    assert (team["unread"], team["read"]) == (0, place)
    said = bob["last_message"]
    place = {"message_id": said["message_id"], "sent_at": said["sent_at"]}
    await call(http, message, "ann", "PUT", "/conversations/bob/read", {"up_to": f"{place['sent_at']}.z"})
    _, ann = (await listed("bob"))["conversations"]
    assert (ann["user_id"], ann["unread"], ann["their_read"]) == ("ann", 0, place)
    assert "read" not in ann
    assert hers["sent_at"] <= said["sent_at"]


async def listed_all(listed: Any) -> bool:
    return [len(one) for one in (await listed("ann"))["conversations"]] == [4, 3, 3]


async def test_who_is_added_has_read_what_was_there_before(
    message: InProcess, http: ClientSession, operators_nats_server: Nats
) -> None:
    await say(http, message, "ann", channel="group:team", content="before")
    (before,) = await history(http, message, "ann", "group:team", 1)
    change = changes.Change(
        change="added", message_id="c1", group_id="team", by="ann", sent_at=before["sent_at"] + 1, user_ids=["bob"]
    )
    async with on_the_bus(operators_nats_server, "message") as log:
        await log.jetstream().publish("log.0.g.team", changes.encode(change))
    await eventually(lambda: said_so(http, message))
    await say(http, message, "ann", channel="group:team", content="after")
    await history(http, message, "bob", "group:team", 3)
    _, page = await call(http, message, "bob", "GET", "/conversations")
    assert page["conversations"][0]["unread"] == 1


async def said_so(http: ClientSession, message: InProcess) -> bool:
    _, page = await call(http, message, "bob", "GET", "/conversations")
    return bool(page["conversations"][0].get("read", {}).get("message_id") == "c1")
