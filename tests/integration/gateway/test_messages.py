"""Messages between real sockets, over a real log: the protocol's promise."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.integration.services.test_sending import forgotten
from tests.support.chat import Plane, token_for
from tests.support.waiting import eventually

DEDUP = "a-random-key-of-20-c"


async def test_a_message_reaches_its_recipient_on_another_gateway(plane: Plane) -> None:
    here, there = await plane.gateway(), await plane.gateway()
    ann, bob = await plane.client(here, "ann"), await plane.client(there, "bob")

    await ann.send(type="send_message", id="1", recipient_id="bob", content={"text": "Hello!"}, dedup_id=DEDUP)

    ack = await ann.expect("ack", id="1")
    message = await bob.expect("message")
    assert ack["channel"] == "user:ann"
    assert ack["dedup_id"] == DEDUP
    assert ack["epoch"] == ann.welcome["inbox"]["epoch"]
    assert ack["seq"] > ann.welcome["inbox"]["seq"]
    assert "duplicate" not in ack
    assert message == {
        "type": "message",
        "channel": "user:bob",
        "epoch": bob.welcome["inbox"]["epoch"],
        "seq": message["seq"],
        "prev": 0,
        "message_id": ack["message_id"],
        "from": "ann",
        "recipient_id": "bob",
        "conversation": "ann",
        "kind": "text",
        "content": {"text": "Hello!"},
        "sent_at": ack["sent_at"],
    }


async def test_the_senders_other_devices_see_it_with_its_dedup_id(plane: Plane) -> None:
    gateway = await plane.gateway()
    phone, laptop = await plane.client(gateway, "ann"), await plane.client(gateway, "ann")

    await phone.send(type="send_message", recipient_id="bob", content="Hi", dedup_id=DEDUP)

    ack = await phone.expect("ack")
    copy = await laptop.expect("message")
    assert (copy["message_id"], copy["seq"], copy["dedup_id"]) == (ack["message_id"], ack["seq"], DEDUP)
    assert copy["conversation"] == "bob"
    assert await phone.nothing_but_pong() == []


async def test_sending_again_under_the_same_dedup_id_is_one_message(plane: Plane) -> None:
    here, there = await plane.gateway(), await plane.gateway()
    ann, again, bob = (
        await plane.client(here, "ann"),
        await plane.client(there, "ann"),
        await plane.client(there, "bob"),
    )

    await ann.send(type="send_message", recipient_id="bob", content={"n": 1, "m": 2}, dedup_id=DEDUP)
    first = await ann.expect("ack")
    await again.send(type="send_message", recipient_id="bob", content={"m": 2, "n": 1}, dedup_id=DEDUP)
    second = await again.expect("ack")

    assert second == first | {"duplicate": True}
    assert (await bob.expect("message"))["message_id"] == first["message_id"]
    assert await bob.nothing_but_pong() == []


async def test_another_content_under_the_same_dedup_id_is_a_conflict(plane: Plane) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    await ann.send(type="send_message", recipient_id="bob", content="one", dedup_id=DEDUP)
    await ann.expect("ack")

    await ann.send(type="send_message", id="x", recipient_id="bob", content="two", dedup_id=DEDUP)

    assert (await ann.expect("error", id="x"))["code"] == "conflict"
    assert (await bob.expect("message"))["content"] == "one"
    assert await bob.nothing_but_pong() == []


async def test_without_a_dedup_id_two_are_two(plane: Plane) -> None:
    gateway = await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    for _ in range(2):
        await ann.send(type="send_message", recipient_id="bob", content="same")
    first, second = await bob.expect("message"), await bob.expect("message")
    assert first["message_id"] != second["message_id"]
    assert second["prev"] == first["seq"] < second["seq"]


async def test_a_note_to_oneself_is_one_copy(plane: Plane) -> None:
    gateway = await plane.gateway()
    phone, laptop = await plane.client(gateway, "ann"), await plane.client(gateway, "ann")
    await phone.send(type="send_message", recipient_id="ann", content="note")
    ack = await phone.expect("ack")
    assert (await laptop.expect("message"))["seq"] == ack["seq"]
    assert await laptop.nothing_but_pong() == []


async def test_many_messages_arrive_once_each_and_in_order(plane: Plane) -> None:
    here, there = await plane.gateway(), await plane.gateway()
    ann, bob = await plane.client(here, "ann"), await plane.client(there, "bob")
    for number in range(90):
        await ann.send(type="send_message", id=str(number), recipient_id="bob", content=number)
    messages = [await bob.expect("message") for _ in range(90)]
    acks = [await ann.expect("ack") for _ in range(90)]
    assert [message["content"] for message in messages] == list(range(90))
    assert [ack["id"] for ack in acks] == [str(number) for number in range(90)]
    assert [ack["seq"] for ack in acks] == sorted({ack["seq"] for ack in acks})
    seqs = [message["seq"] for message in messages]
    assert [message["prev"] for message in messages][1:] == seqs[:-1]


@pytest.mark.parametrize("user_id", ["*", ">", "a.b", "Jürgen 🎉", "x" * 128])
async def test_any_user_id_has_an_inbox_of_its_own(plane: Plane, user_id: str) -> None:
    gateway = await plane.gateway()
    odd, ann, bob = [await plane.client(gateway, name) for name in (user_id, "ann", "bob")]
    await ann.send(type="send_message", recipient_id="bob", content="not for all")
    await bob.expect("message")
    assert await odd.nothing_but_pong() == []
    await ann.send(type="send_message", recipient_id=user_id, content="for you")
    assert (await odd.expect("message"))["channel"] == f"user:{user_id}"


async def test_history_holds_what_was_sent_for_both_sides(plane: Plane, http: ClientSession, tmp_path: Path) -> None:
    gateway, message = await plane.gateway(), await plane.message()
    ann = await plane.client(gateway, "ann")
    for number in range(5):
        await ann.send(type="send_message", recipient_id="bob", content={"n": number})
        await ann.expect("ack")

    async def page(user_id: str, other: str, query: str) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {token_for(user_id)}"}
        async with http.get(f"{message.url}/conversations/{other}/messages?{query}", headers=headers) as answer:
            body: dict[str, object] = await answer.json()
            assert answer.status == 200, body
            return body

    async def numbers(user_id: str, other: str, query: str) -> list[int]:
        return [one["content"]["n"] for one in (await page(user_id, other, query))["messages"]]  # type: ignore[attr-defined]

    async def complete() -> bool:
        return len(await numbers("bob", "ann", "")) == 5

    await eventually(complete)
    assert await numbers("bob", "ann", "") == [4, 3, 2, 1, 0] == await numbers("ann", "bob", "")
    first = await page("ann", "bob", "limit=2")
    older = await numbers("ann", "bob", f"limit=3&before={first['next']}")
    assert older == [2, 1, 0]
    assert (await page("ann", "bob", "limit=5"))["next"] is None
    assert await numbers("eve", "ann", "") == []


@pytest.mark.parametrize("limit", ["0", "201", "0000000050", "9" * 5000, "-1", "1e1", "٣", ""])
async def test_a_bad_limit_is_told(plane: Plane, http: ClientSession, limit: str) -> None:
    message = await plane.message()
    headers = {"Authorization": f"Bearer {token_for('ann')}"}
    params = {"limit": limit}
    async with http.get(f"{message.url}/conversations/bob/messages", params=params, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["message"] == "limit: a whole number from 1 to 200"


async def test_the_deepest_content_that_is_taken_reaches_history(plane: Plane, http: ClientSession) -> None:
    gateway, message = await plane.gateway(), await plane.message()
    ann = await plane.client(gateway, "ann")
    content: list[object] = []
    for _ in range(63):
        content = [content]
    await ann.send(type="send_message", recipient_id="bob", content=content)
    await ann.expect("ack")
    headers = {"Authorization": f"Bearer {token_for('ann')}"}

    async def kept() -> bool:
        async with http.get(f"{message.url}/conversations/bob/messages", headers=headers) as answer:
            return [one["content"] for one in (await answer.json())["messages"]] == [content]

    await eventually(kept)


async def test_a_log_that_fills_up_makes_room(plane: Plane) -> None:
    """Four times what it may hold goes through it: a send that finds it full is told so, and works a little later."""
    await plane.message(LOG_MAX_BYTES=str(1024 * 1024))
    gateway = await plane.gateway(FRAMES_PER_SECOND="100000", FRAMES_BURST="100000")
    ann = await plane.client(gateway, "ann")
    for number in range(35):
        key = f"a-key-for-number-{number:04}"
        await ann.send(type="send_message", id=key, recipient_id="bob", content="x" * 60_000, dedup_id=key)
        while (answer := await ann.answer(key))["type"] == "error":
            assert answer["code"] == "unavailable"
            await asyncio.sleep(answer["retry_after_ms"] / 1000)
            await ann.send(type="send_message", id=key, recipient_id="bob", content="x" * 60_000, dedup_id=key)


async def test_a_retry_is_known_after_the_log_has_forgotten(
    plane: Plane, http: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("push_workloads.message.streams.DEDUP_WINDOW_SECONDS", 1)
    message, gateway = await plane.message(), await plane.gateway()
    ann, bob = await plane.client(gateway, "ann"), await plane.client(gateway, "bob")
    frame = {"type": "send_message", "recipient_id": "bob", "content": {"n": 1}, "dedup_id": "k" * 16, "retry": True}
    await ann.send(id="1", **frame)
    first = await ann.answer("1")
    await bob.expect("message")
    await forgotten(http, message)
    await ann.send(id="2", **frame)
    again = await ann.answer("2")
    assert (again["duplicate"], again["seq"]) == (True, 0)
    assert (again["message_id"], again["sent_at"]) == (first["message_id"], first["sent_at"])
    await ann.send(id="3", **{**frame, "content": {"n": 2}})
    assert (await ann.answer("3"))["code"] == "conflict"
    assert await bob.nothing_but_pong() == []
