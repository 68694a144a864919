"""`POST /messages`: the same promise as on a socket, and one message whichever door it came through."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.calls import listening_gateway
from tests.support.chat import Plane, data_plane, token_for
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import KNOWN, KnownAsked
from push_workloads.common.sending import digest

DEDUP = "a-random-key-of-20-c"
Answer = tuple[int, dict[str, Any]]


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        yield made


async def post(http: ClientSession, message: InProcess, user_id: str, body: Any) -> Answer:
    headers = {"Authorization": f"Bearer {token_for(user_id)}"}
    async with http.post(f"{message.url}/messages", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def sent(http: ClientSession, message: InProcess, user_id: str, **fields: Any) -> list[dict[str, Any]]:
    status, answer = await post(http, message, user_id, fields)
    assert status == 200, answer
    results: list[dict[str, Any]] = answer["results"]
    return results


async def test_it_reaches_both_inboxes_as_from_a_socket(plane: Plane, http: ClientSession) -> None:
    message, gateway = await plane.message(), await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")

    status, answer = await post(
        http, message, "ann", {"id": "7", "recipient_id": "bob", "content": {"t": "Hi"}, "dedup_id": DEDUP}
    )

    (result,) = answer["results"]
    assert (status, answer["id"], answer["dedup_id"], result["recipient_id"]) == (200, "7", DEDUP, "bob")
    assert "duplicate" not in result
    received, own = await bob.expect("message"), await ann.expect("message")
    for frame in (received, own):
        assert (frame["message_id"], frame["sent_at"]) == (result["message_id"], result["sent_at"])
        assert (frame["content"], frame["from"], frame["recipient_id"]) == ({"t": "Hi"}, "ann", "bob")
    assert (received["conversation"], own["conversation"]) == ("ann", "bob")
    assert own["dedup_id"] == DEDUP
    assert "dedup_id" not in received
    assert message.metric("push_message_sends_total", outcome="ok") == 1


@pytest.mark.parametrize("socket_first", [True, False])
async def test_one_dedup_id_through_both_doors_is_one_message(
    plane: Plane, http: ClientSession, socket_first: bool
) -> None:
    message, gateway = await plane.message(), await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    same = {"recipient_id": "bob", "content": {"n": 1}, "dedup_id": DEDUP}

    async def by_socket() -> dict[str, Any]:
        await ann.send(type="send_message", **same)
        return await ann.expect("ack")

    async def by_http() -> dict[str, Any]:
        return (await sent(http, message, "ann", **same))[0]

    doors = (by_socket, by_http) if socket_first else (by_http, by_socket)
    first, second = [await door() for door in doors]
    assert "duplicate" not in first
    assert second["duplicate"] is True
    for field in ("message_id", "sent_at"):
        assert first[field] == second[field]
    status, answer = await post(http, message, "ann", {**same, "content": {"n": 2}})
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert (await bob.expect("message"))["message_id"] == first["message_id"]
    assert await bob.nothing_but_pong() == []


async def test_many_at_once_under_one_dedup_id_are_one(plane: Plane, http: ClientSession) -> None:
    message, gateway = await plane.message(), await plane.gateway()
    bob = await plane.client(gateway, "bob")
    same = {"recipient_id": "bob", "content": "once", "dedup_id": DEDUP}
    results = [one for (one,) in await asyncio.gather(*(sent(http, message, "ann", **same) for _ in range(20)))]
    assert len({(one["message_id"], one["sent_at"]) for one in results}) == 1
    assert (await bob.expect("message"))["message_id"] == results[0]["message_id"]
    assert await bob.nothing_but_pong() == []


async def test_each_recipient_is_answered_for_itself(plane: Plane, http: ClientSession) -> None:
    message, gateway = await plane.message(), await plane.gateway()
    bob, odd = await plane.client(gateway, "bob"), await plane.client(gateway, "Jürgen 🎉")
    await sent(http, message, "ann", recipient_id="bob", content="other", dedup_id=DEDUP)
    await bob.expect("message")

    long = "é" * 100  # 200 bytes: no id
    results = await sent(
        http, message, "ann", recipients=["bob", "Jürgen 🎉", long, "ann"], content="Hi", dedup_id=DEDUP
    )

    assert [one["recipient_id"] for one in results] == ["bob", "Jürgen 🎉", long, "ann"]
    assert [one.get("error", {}).get("code") for one in results] == ["conflict", None, "bad_request", None]
    assert (await odd.expect("message"))["message_id"] == results[1]["message_id"] != results[3]["message_id"]
    assert await bob.nothing_but_pong() == []


async def test_a_hundred_recipients_and_then_a_pause(plane: Plane, http: ClientSession) -> None:
    message = await plane.message(MESSAGES_PER_SECOND="1")
    body = {"recipients": [f"user-{n}" for n in range(100)], "content": "all"}
    results = await sent(http, message, "ann", **body)
    assert len({one["message_id"] for one in results}) == 100
    headers = {"Authorization": f"Bearer {token_for('ann')}"}
    async with http.post(f"{message.url}/messages", json=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (429, "rate_limited")
        assert 50 < int(answer.headers["Retry-After"]) <= 100
    assert (await post(http, message, "eve", {"recipient_id": "bob", "content": "x"}))[0] == 200


async def test_what_a_socket_refuses_is_refused_in_the_same_words(plane: Plane, http: ClientSession) -> None:
    message, gateway = await plane.message(), await plane.gateway()
    ann = await plane.client(gateway, "ann")
    deep: Any = 1
    for _ in range(65):
        deep = [deep]
    refused: list[dict[str, Any]] = [
        {"content": 1, "recipient_id": 7},
        {"content": 1, "recipient_id": ""},
        {"content": 1, "recipient_id": "é" * 100},
        {"recipient_id": "bob"},
        {"content": 1, "recipient_id": "bob", "dedup_id": "short"},
        {"content": 1, "recipient_id": "bob", "kind": "system"},
        {"content": 1, "recipient_id": "bob", "kind": "edit"},
        {"content": 1, "recipient_id": "bob", "ref": "a\n"},
        {"content": 1, "recipient_id": "bob", "retry": True},  # of what?
        {"content": 1, "recipient_id": "bob", "push": {"ttl_s": -1}},
        {"content": 1, "recipient_id": "bob", "push": {"call": True}},  # a user rings nobody
        {"content": deep, "recipient_id": "bob"},
    ]
    for number, fields in enumerate(refused):
        await ann.send(type="send_message", id=str(number), **fields)
        words = (await ann.expect("error", id=str(number)))["message"]
        status, answer = await post(http, message, "ann", fields)
        assert status == 400
        assert answer["error"]["message"].endswith(words), (words, answer)


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ({}, "one of the fields `recipient_id`, `recipients` and `channel` is required"),
        ({"recipient_id": "bob", "recipients": ["bob"]}, "one of the fields"),
        ({"recipients": []}, "$.recipients"),
        ({"recipients": ["u"] * 101}, "$.recipients"),
        ({"recipients": ["bob", "eve", "bob"]}, "recipients: each only once"),
        ({"recipients": ["bob", ""]}, "$.recipients[1]"),
    ],
)
async def test_a_target_that_is_none_is_told(
    plane: Plane, http: ClientSession, targets: dict[str, Any], words: str
) -> None:
    status, answer = await post(http, await plane.message(), "ann", {"content": 1, **targets})
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert words in answer["error"]["message"]


async def test_a_body_over_the_bound_is_refused(plane: Plane, http: ClientSession) -> None:
    message = await plane.message(MAX_FRAME_BYTES="2048")
    body = {"recipient_id": "bob", "content": "x"}
    room = 2048 - len(json.dumps(body)) + 1
    assert (await post(http, message, "ann", body | {"content": "x" * room}))[0] == 200
    status, answer = await post(http, message, "ann", body | {"content": "x" * (room + 1)})
    assert (status, answer["error"]["code"]) == (413, "too_large")


async def test_history_and_the_push_queue_take_it_as_any_other(plane: Plane, http: ClientSession) -> None:
    message = await plane.message()
    (result,) = await sent(http, message, "ann", recipient_id="bob", content="kept", push={"title": "T"})

    async def kept() -> list[Any]:
        headers = {"Authorization": f"Bearer {token_for('bob')}"}
        async with http.get(f"{message.url}/conversations/ann/messages", headers=headers) as answer:
            return [one["message_id"] for one in (await answer.json())["messages"]]

    await eventually(kept)
    assert await kept() == [result["message_id"]]


async def test_while_the_log_is_away_it_says_so_and_nothing_goes_out_later(
    plane: Plane, http: ClientSession, operators_nats_server: Nats
) -> None:
    message, gateway = await plane.message(), await plane.gateway()
    bob = await plane.client(gateway, "bob")
    await operators_nats_server.stop()
    await eventually(lambda: message.process.waiting_for())
    headers = {"Authorization": f"Bearer {token_for('ann')}"}
    for body in ({"recipient_id": "bob", "content": "lost"}, {"recipients": ["bob", "eve"], "content": "lost"}):
        async with asyncio.timeout(5), http.post(f"{message.url}/messages", json=body, headers=headers) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    await operators_nats_server.start()
    await message.ready()
    await gateway.ready()
    (result,) = await sent(http, message, "ann", recipient_id="bob", content="later")
    assert (await bob.expect("message"))["message_id"] == result["message_id"]
    assert await bob.nothing_but_pong() == []


async def test_a_log_that_hangs_is_answered_for_in_time(
    plane: Plane, http: ClientSession, operators_nats_server: Nats
) -> None:
    message = await plane.message()
    operators_nats_server.pause()
    try:
        async with asyncio.timeout(8):
            status, answer = await post(http, message, "ann", {"recipient_id": "bob", "content": 1, "dedup_id": DEDUP})
        assert (status, answer["error"]["code"]) == (503, "unavailable")
    finally:
        operators_nats_server.resume()
    await message.ready()
    (result,) = await sent(http, message, "ann", recipient_id="bob", content=1, dedup_id=DEDUP)
    assert result["message_id"]


async def forgotten(http: ClientSession, message: InProcess) -> None:
    """Until the log drops no repeat of what was sent before this. The probe is a note to oneself: of two copies one
    would always be fresh."""
    probe = {"recipient_id": "ann", "content": 1, "dedup_id": "a-key-of-the-probe"}
    await sent(http, message, "ann", **probe)

    async def taken_anew() -> bool:
        status, answer = await post(http, message, "ann", probe)
        assert status in (200, 429), answer  # asked too often: later
        return status == 200 and "duplicate" not in answer["results"][0]

    await eventually(taken_anew)


@pytest.mark.parametrize("target", [{"recipient_id": "bob"}, {"recipients": ["bob", "eve"]}])
async def test_a_retry_is_known_after_the_log_has_forgotten(
    plane: Plane, http: ClientSession, target: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("push_workloads.message.streams.DEDUP_WINDOW_SECONDS", 1)
    message, gateway = await plane.message(), await plane.gateway()
    bob = await plane.client(gateway, "bob")
    same = {**target, "content": {"n": 1, "m": [1]}, "dedup_id": DEDUP, "retry": True}
    first = await sent(http, message, "ann", **same)
    assert [one.get("duplicate") for one in first] == [None] * len(first)
    await bob.expect("message")
    await forgotten(http, message)
    again = await sent(http, message, "ann", **{**same, "content": {"m": [1], "n": 1}})
    assert again == [{**one, "duplicate": True} for one in first]
    assert await bob.nothing_but_pong() == []
    if "recipient_id" in target:
        assert (await post(http, message, "ann", {**same, "content": 2}))[0] == 409
        assert (await post(http, message, "ann", {**same, "kind": "edit", "ref": "x"}))[0] == 409


async def test_a_retry_waits_for_a_history_that_is_behind(
    plane: Plane, http: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await plane.message()
    monkeypatch.setattr("push_workloads.message.known.MAX_LAG_SECONDS", 0.0)
    monkeypatch.setattr("push_workloads.message.known.LOOK_SECONDS", 0.0)
    body = {"recipient_id": "bob", "content": 1, "dedup_id": DEDUP, "retry": True}

    async def away(*_: object) -> None:
        raise Unavailable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr("push_workloads.message.sqlite.SqliteStore.append", away)
        await sent(http, message, "ann", recipient_id="eve", content="not written yet")
        status, answer = await post(http, message, "ann", body)
        assert (status, answer["error"]["code"]) == (503, "unavailable")

    async def taken() -> bool:
        return (await post(http, message, "ann", body))[0] == 200

    await eventually(taken)


async def test_gateways_ask_what_is_known(plane: Plane, http: ClientSession, operators_nats_server: Nats) -> None:
    message = await plane.message()
    (result,) = await sent(http, message, "ann", recipient_id="bob", content={"b": 1, "a": 2}, dedup_id=DEDUP)
    asked = KnownAsked("u.bob", [result["message_id"], "none"])
    expected = {
        "message_id": result["message_id"],
        "sent_at": result["sent_at"],
        "digest": digest("text", None, b'{"a":2, "b":1}'),
    }
    async with listening_gateway(operators_nats_server) as gateway:

        async def known() -> bool:
            return await gateway.ask(KNOWN, asked) == {"answer": "known", "messages": [expected]}

        await eventually(known)
        for wrong in (KnownAsked("u.bob", ["x"] * 101), KnownAsked("u.bob", [""])):
            assert (await gateway.ask(KNOWN, wrong))["code"] == "bad_request"
