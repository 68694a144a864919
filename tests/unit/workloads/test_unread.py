"""What the push service is told: read or not, and how many are unread, counted no more often than needed."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.access import MemoryAccess

from push_workloads.common.errors import Unavailable
from push_workloads.common.questions import Unread, UnreadAsked
from push_workloads.common.subjects import BadId
from push_workloads.message.model import Mark, Message, Position, conversation_key
from push_workloads.message.store import LogState, MemoryStore
from push_workloads.message.unread import Shared, key_of, unread_question


class Counting:
    """A count that takes until `go` is set; each is told by its number."""

    def __init__(self) -> None:
        self.made = 0
        self.go = asyncio.Event()
        self.failing = False

    async def __call__(self, user_id: str) -> int:
        self.made += 1
        number = self.made
        await self.go.wait()
        if self.failing:
            raise Unavailable("away")
        return number


async def test_who_asks_while_one_is_counted_shares_the_next() -> None:
    counting = Counting()
    shared = Shared(counting)
    first = asyncio.create_task(shared.of("ann"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(shared.of("ann")) for _ in range(50)]
    await asyncio.sleep(0)
    counting.go.set()
    assert await first == 1
    assert set(await asyncio.gather(*others)) == {2}, "what was begun before may lack the message that is asked for"
    assert await shared.of("ann") == 3


async def test_users_do_not_wait_for_each_other() -> None:
    counting = Counting()
    shared = Shared(counting)
    asked = [asyncio.create_task(shared.of(user)) for user in ("ann", "bob")]
    await asyncio.sleep(0)
    assert counting.made == 2
    counting.go.set()
    await asyncio.gather(*asked)


async def test_a_count_that_fails_or_is_given_up_is_made_again() -> None:
    counting = Counting()
    shared = Shared(counting)
    counting.failing = True
    first, second, third = [asyncio.create_task(shared.of("ann")) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    counting.go.set()
    with pytest.raises(Unavailable):
        await second
    with pytest.raises(Unavailable):
        await third
    counting.failing = False
    assert await shared.of("ann") == counting.made


def test_keys() -> None:
    assert key_of("ann", "user:bob") == key_of("bob", "user:ann") == conversation_key("ann", "bob")
    assert (key_of("ann", "group:a.b"), key_of("ann", "topic:x")) == ("g.a=2Eb", "t.x")


@pytest.mark.parametrize("conversation", ["", "bob", "user:", "group:", "room:x", "user:" + "x" * 129, "user:\ud800"])
def test_no_conversation(conversation: str) -> None:
    with pytest.raises(BadId):
        key_of("ann", conversation)


def said(number: int, conversation: str, sender: str, recipient: str = "", kind: str = "text") -> Message:
    return Message(conversation, number, f"m{number}", sender, recipient, kind, None, b"1")


@pytest.fixture
async def store() -> MemoryStore:
    made = MemoryStore()
    direct = [said(n, "ann|bob", "bob", "ann") for n in range(3)]
    rows = [*direct, said(5, "g.team", "eve", kind="system"), said(6, "g.team", "eve"), said(7, "g.other", "eve")]
    await made.append(0, LogState("e", 1), rows)
    return made


async def answer(store: MemoryStore, conversation: str, number: int, *, counted: bool = True) -> Unread:
    access = MemoryAccess()
    access.groups["team"] = {"ann", "eve"}
    made = await unread_question(store, access).answer(UnreadAsked("ann", conversation, number, f"m{number}", counted))
    assert isinstance(made, Unread)
    return made


async def test_read_and_unread(store: MemoryStore) -> None:
    assert await answer(store, "user:bob", 2) == Unread(read=False, count=4)
    await store.advance([Mark("ann", "ann|bob", "read", Position(1, "m1"))])
    assert [(await answer(store, "user:bob", n)).read for n in (0, 1, 2)] == [True, True, False]
    assert await answer(store, "user:bob", 2) == Unread(read=False, count=2)
    assert await answer(store, "user:bob", 2, counted=False) == Unread(read=False, count=None)


async def test_a_count_that_takes_too_long_holds_up_no_answer(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = asyncio.Event()

    async def endless(*_: object) -> int:
        await never.wait()
        return 0

    monkeypatch.setattr(store, "unread_in_all", endless)
    monkeypatch.setattr("push_workloads.message.unread.COUNT_SECONDS", 0.01)
    await store.advance([Mark("ann", "ann|bob", "read", Position(1, "m1"))])
    assert await answer(store, "user:bob", 1) == Unread(read=True, count=None)


async def test_others_marks_and_what_was_only_delivered_are_no_reading(store: MemoryStore) -> None:
    await store.advance([Mark("bob", "ann|bob", "read", Position(9, "m9"))])
    await store.advance([Mark("ann", "ann|bob", "delivered", Position(9, "m9"))])
    assert not (await answer(store, "user:bob", 0)).read


async def test_to_be_added_is_no_reading_of_it(store: MemoryStore) -> None:
    await store.advance([Mark("ann", "g.team", "read", Position(5, "m5"))])
    assert not (await answer(store, "group:team", 5)).read
    await store.advance([Mark("ann", "g.team", "read", Position(6, "m6"))])
    assert [(await answer(store, "group:team", n)).read for n in (5, 6)] == [True, True]


@pytest.mark.parametrize("conversation", ["user:nobody", "group:gone", "topic:x"])
async def test_what_is_gone_is_unread_and_no_error(store: MemoryStore, conversation: str) -> None:
    assert await answer(store, conversation, 1) == Unread(read=False, count=4)
