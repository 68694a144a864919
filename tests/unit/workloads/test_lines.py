"""The conversation list: direct conversations and groups in one order, page after page; and what is unread."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from push_workloads.message.access import Room
from push_workloads.message.lines import Line, merged, subject_of
from push_workloads.message.model import (
    Latest,
    Mark,
    Message,
    Position,
    conversation_key,
    format_cursor,
    parse_cursor,
    position,
)
from push_workloads.message.store import LogState, MemoryStore

USERS = ("ann", "bob", "eve")


def message(conversation: str, sent_at: int, sender: str = "bob", kind: str = "text") -> Message:
    return Message(conversation, sent_at, f"m{sent_at}", sender, "", kind, None, b"1")


def room(name: str) -> Room:
    return Room(name, f"The {name}", "member", 2)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.booleans()), max_size=12), st.integers(1, 5))
def test_each_line_once_whatever_the_page(talks: list[tuple[bool, int, bool]], size: int) -> None:
    """Groups without messages are at the end."""
    direct, rooms, last = [], [], {}
    for number, (is_group, at, has_messages) in enumerate(talks):
        place = Position(at, f"m{number}")
        if not is_group:
            key = conversation_key("ann", f"u{number}")
            direct.append(Latest(f"u{number}", place, Message(key, *place, "ann", f"u{number}", "text", None, b"1")))
            continue
        rooms.append(room(f"r{number}"))
        if has_messages:
            subject = subject_of(rooms[-1])
            last[subject] = Message(subject, *place, "ann", "", "text", None, b"1")
    direct.sort(key=lambda line: line.place, reverse=True)

    read: list[Line] = []
    while True:
        after = parse_cursor(format_cursor(read[-1].place)) if read else None
        first = [line for line in direct if after is None or line.place < after][:size]
        page = merged("ann", first, rooms, last, after, size)
        read += page
        if len(page) < size:
            break
    assert len(read) == len(talks) == len({line.conversation for line in read})
    assert [line.place for line in read] == sorted((line.place for line in read), reverse=True)
    assert all(line.message is not None for line in read[: len(direct) + len(last)])


steps = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 30), st.sampled_from(USERS), st.sampled_from(["text", "edit"])),
    st.tuples(st.just("again"), st.integers(0, 50)),
    st.tuples(st.just("read"), st.integers(0, 50), st.sampled_from(USERS)),
)


@given(st.lists(steps, max_size=30))
def test_unread_hangs_on_no_order_and_no_repetition(taken: list[tuple[object, ...]]) -> None:
    """The same messages and the furthest reads, given once and in order, count the same."""
    asyncio.run(_replayed(taken))


async def _replayed(taken: list[tuple[object, ...]]) -> None:
    store, truth = MemoryStore(), MemoryStore()
    sent: dict[Position, Message] = {}
    read: dict[str, Position] = {}
    for step in taken:
        known = list(sent.values())
        match step:
            case ("send", int(at), str(sender), str(kind)):
                one = message("g.x", at, sender, kind)
                sent.setdefault(position(one), one)
                await store.append(0, LogState("e", 1), [one])
            case ("again", int(index)) if known:
                await store.append(0, LogState("e", 1), [known[index % len(known)]])
            case ("read", int(index), str(user)) if known:
                place = position(known[index % len(known)])
                read[user] = max(place, read.get(user, place))
                await store.advance([Mark(user, "g.x", "read", place)])
            case _:
                pass
    await truth.append(0, LogState("e", 1), sorted(sent.values()))
    for user in USERS:
        marks = await store.marks("g.x", user)
        assert [mark.place for mark in marks] == ([read[user]] if user in read else [])
        expected = [
            at for at, one in sent.items()
            if one.kind == "text" and one.sender != user and at > read.get(user, Position(0, ""))
        ]  # fmt: skip
        assert await store.unread(user, "g.x", marks[0].place if marks else None) == len(expected)
        assert await truth.unread(user, "g.x", read.get(user)) == len(expected)
