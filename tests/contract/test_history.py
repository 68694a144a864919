"""The adapters of history behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer
from tests.support.waiting import eventually

from push_workloads.common.cassandra_schema import opened
from push_workloads.common.errors import Unavailable
from push_workloads.message.buckets import DAY_MS, Buckets
from push_workloads.message.cassandra import MIGRATIONS, CassandraStore, cassandra_store, prepared
from push_workloads.message.cassandra_expiry import Expiry
from push_workloads.message.cassandra_marks import Marks
from push_workloads.message.model import (
    Latest,
    Mark,
    MarkKind,
    Message,
    Position,
    conversation_key,
    format_cursor,
    position,
)
from push_workloads.message.retention import Retention
from push_workloads.message.sqlite import sqlite_store
from push_workloads.message.sqlite_sweep import sweep
from push_workloads.message.store import HistoryStore, LogState, MemoryStore

NOW = 1_790_000_000_000
TALK = "ann|bob"
KEYSPACE = "contract_message"


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HistoryStore]:
    if request.param == "memory":
        yield MemoryStore()
    elif request.param == "sqlite":
        async with sqlite_store(str(tmp_path / "history.db")) as sqlite:
            yield sqlite
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_store(await server.emptied(KEYSPACE), {}) as cassandra:
            yield cassandra


def message(number: int, sent_at: int, conversation: str = TALK, content: bytes = b'"hello"') -> Message:
    return Message(conversation, sent_at, f"m{number:04}", "ann", "bob", "text", None, content)


def told(number: int, sent_at: int, subject: str) -> Message:
    """A message of a group or topic."""
    return message(number, sent_at, subject)._replace(recipient_id="")


def newest_first(messages: list[Message]) -> list[Message]:
    return sorted(messages, key=lambda one: (one.sent_at, one.message_id), reverse=True)


async def pages(store: HistoryStore, conversation: str, size: int) -> list[Message]:
    """The whole conversation as a client reads it: page after page, each from where the last ended."""
    read: list[Message] = []
    while True:
        last = Position(read[-1].sent_at, read[-1].message_id) if read else None
        page = await store.page(conversation, last, size)
        read += page
        if len(page) < size:
            return read


async def test_every_field_comes_back(store: HistoryStore) -> None:
    edit = Message(TALK, NOW, "m2", "bob", "ann", "edit", "m1", b'{"text":"\xc3\xa4"}')
    await store.append(0, LogState("e", 1), [edit])
    assert await store.page(TALK, None, 10) == [edit]


async def test_nothing_written_is_nothing_read(store: HistoryStore) -> None:
    assert await store.page(TALK, None, 10) == []
    assert await store.log_state(0, "e") is None


async def test_messages_of_one_moment_are_ordered_by_their_ids(store: HistoryStore) -> None:
    same = [message(number, NOW) for number in (3, 1, 2)]
    await store.append(0, LogState("e", 3), same)
    assert await pages(store, TALK, 1) == newest_first(same)


async def test_a_message_written_again_is_one_message(store: HistoryStore) -> None:
    """Both copies of a direct message are in the log, and the log gives each at least once."""
    first, second = message(1, NOW), message(2, NOW + 1)
    await store.append(0, LogState("e", 2), [first, first])
    await store.append(0, LogState("e", 3), [second, first])
    assert await store.page(TALK, None, 10) == [second, first]


async def test_conversations_are_apart(store: HistoryStore) -> None:
    await store.append(0, LogState("e", 2), [message(1, NOW), message(2, NOW, "ann|bob|")])
    assert await store.page(TALK, None, 10) == [message(1, NOW)]
    assert await store.page("ann|bob|", None, 10) == [message(2, NOW, "ann|bob|")]


@pytest.mark.parametrize("size", [1, 7, 200])
async def test_pages_hold_each_message_once_over_many_days(store: HistoryStore, size: int) -> None:
    """Crowded days, days with one message, and gaps of months."""
    dice = random.Random(size)  # noqa: S311 - the same each time
    days = [*range(5), 40, *range(100, 130, 3), 400]
    sent = [message(at, NOW - dice.choice(days) * DAY_MS - dice.randrange(DAY_MS)) for at in range(120)]
    await store.append(0, LogState("e", 120), sent)
    assert await pages(store, TALK, size) == newest_first(sent)


async def test_a_page_begins_anywhere(store: HistoryStore) -> None:
    midnight = NOW - NOW % DAY_MS
    sent = [message(number, midnight + number) for number in range(-3, 3)]
    await store.append(0, LogState("e", 6), sent)
    assert await store.page(TALK, Position(midnight, ""), 10) == newest_first(sent[:3])
    assert await store.page(TALK, Position(midnight, "zzz"), 2) == newest_first(sent[:4])[:2]
    assert await store.page(TALK, Position(0, ""), 10) == []


@pytest.mark.parametrize("size", [1, 7, 200])
async def test_pages_forth_hold_the_same_as_pages_back(store: HistoryStore, size: int) -> None:
    dice = random.Random(size)  # noqa: S311 - the same each time
    days = [*range(5), 40, *range(100, 130, 3), 400]
    sent = [message(at, NOW - dice.choice(days) * DAY_MS - dice.randrange(DAY_MS)) for at in range(120)]
    await store.append(0, LogState("e", 120), sent)
    read: list[Message] = []
    while page := await store.page_after(TALK, position(read[-1]) if read else Position(0, ""), size):
        read += page
    assert read == newest_first(sent)[::-1]


async def test_a_page_forth_begins_anywhere(store: HistoryStore) -> None:
    midnight = NOW - NOW % DAY_MS
    sent = [message(number, midnight + number) for number in range(-3, 3)]
    await store.append(0, LogState("e", 6), sent)
    assert await store.page_after(TALK, Position(midnight - 1, "m"), 10) == sent[2:]
    assert await store.page_after(TALK, Position(midnight, "zzz"), 1) == [sent[4]]
    assert await store.page_after(TALK, Position(midnight + 2, "zzz"), 10) == []


def said(number: int, sent_at: int, sender: str, recipient: str) -> Message:
    key = conversation_key(sender, recipient)
    return Message(key, sent_at, f"m{number:04}", sender, recipient, "text", None, b"%d" % number)


async def lists(store: HistoryStore, user_id: str, size: int) -> list[Latest]:
    """The whole list as a client reads it."""
    read: list[Latest] = []
    while page := await store.conversations(user_id, read[-1].place if read else None, size):
        read += page
    return read


async def test_the_list_has_each_conversation_once_by_its_last_message(store: HistoryStore) -> None:
    sent = [said(1, NOW, "ann", "bob"), said(2, NOW + 1, "eve", "ann"), said(3, NOW + 2, "bob", "ann")]
    await store.append(0, LogState("e", 3), sent)
    assert await lists(store, "ann", 10) == [
        Latest("bob", Position(NOW + 2, "m0003"), sent[2]),
        Latest("eve", Position(NOW + 1, "m0002"), sent[1]),
    ]
    assert [line.other for line in await lists(store, "bob", 10)] == ["ann"]
    assert await lists(store, "nobody", 10) == []


async def test_a_note_to_oneself_is_a_conversation(store: HistoryStore) -> None:
    note = said(1, NOW, "ann", "ann")
    await store.append(0, LogState("e", 1), [note])
    assert await lists(store, "ann", 10) == [Latest("ann", position(note), note)]


async def test_of_two_messages_of_one_moment_the_later_id_is_the_last(store: HistoryStore) -> None:
    for number in (2, 3, 1):
        await store.append(0, LogState("e", 1), [said(number, NOW, "ann", "bob")])
    assert [line.message.message_id for line in await lists(store, "ann", 10)] == ["m0003"]


@pytest.mark.parametrize("seed", range(3))
async def test_the_list_hangs_on_no_order_and_no_repetition(store: HistoryStore, seed: int) -> None:
    """Batches over many days, shuffled, some given twice: the list is that of the messages, whatever the page."""
    dice = random.Random(seed)  # noqa: S311 - the same each time
    people = [f"user {number}" for number in range(25)]
    days = [*range(4), 30, 31, 90, 150, 260]
    sent = [
        said(number, NOW - dice.choice(days) * DAY_MS - dice.randrange(DAY_MS), *dice.sample(["ann", *people], 2))
        for number in range(150)
    ] + [said(200 + n, NOW - n * DAY_MS * 7, "ann", person) for n, person in enumerate(people)]
    dice.shuffle(sent)
    batches = [sent[at : at + 20] for at in range(0, len(sent), 20)]
    for number, batch in enumerate([*batches, *dice.sample(batches, 4)]):
        await store.append(0, LogState("e", number), batch)
    truth = MemoryStore()
    await truth.append(0, LogState("e", 1), sent)
    for user_id in ("ann", *people[:3]):
        expected = await truth.conversations(user_id, None, 1000)
        for size in (1, 4, 200):
            assert await lists(store, user_id, size) == expected


async def test_a_group_has_a_history_and_stands_in_no_list(store: HistoryStore) -> None:
    """Whatever its subject looks like, and however the batch is mixed."""
    talk = [told(n, NOW + n, "g.ann") for n in range(3)]
    await store.append(0, LogState("e", 4), [talk[0], said(9, NOW + 9, "ann", "bob"), talk[1]])
    await store.append(0, LogState("e", 5), [talk[2], talk[0]])
    assert await pages(store, "g.ann", 2) == talk[::-1]
    assert [line.other for line in await lists(store, "ann", 10)] == ["bob"]


def mark(place: Position, user_id: str = "ann", conversation: str = TALK, kind: MarkKind = "read") -> Mark:
    return Mark(user_id, conversation, kind, place)


@pytest.mark.parametrize("seed", range(3))
async def test_marks_only_go_forward(store: HistoryStore, seed: int) -> None:
    """Whatever the order, in one batch or many; of one moment the greater message id is further."""
    dice = random.Random(seed)  # noqa: S311 - the same each time
    places = [Position(NOW + dice.randrange(3), f"m{dice.randrange(4)}") for _ in range(12)]
    furthest = Position(0, "")
    while places:
        batch = [mark(places.pop()) for _ in range(min(len(places), dice.randrange(1, 4)))]
        moved = await store.advance(batch)
        best = max(one.place for one in batch)
        assert moved == ([mark(best)] if best > furthest else [])
        furthest = max(furthest, best)
        assert await store.marks(TALK) == [mark(furthest)]


async def test_a_late_write_takes_no_mark_back(cassandra_server: CassandraServer) -> None:
    """Of two writers that read the same the one with the older mark may come last."""
    async with opened(await cassandra_server.emptied(KEYSPACE), "message", MIGRATIONS, {}) as cassandra:
        marks = Marks(cassandra, await prepared(cassandra))
        for place in (Position(NOW, "m2"), Position(NOW - 1, "m9"), Position(NOW, "m1")):
            await marks.write(mark(place))
        assert await marks.of(TALK, None) == [mark(Position(NOW, "m2"))]


async def test_each_user_conversation_and_kind_has_a_mark_of_its_own(store: HistoryStore) -> None:
    place = Position(NOW, "m1")
    made = [mark(place), mark(place, "bob"), mark(place, "bob", kind="delivered"), mark(place, conversation="g.x")]
    assert sorted(await store.advance(made)) == sorted(made)
    assert await store.advance(made) == []
    assert sorted(await store.marks(TALK)) == sorted(made[:3])
    assert sorted(await store.marks(TALK, "bob")) == sorted(made[1:3])
    assert await store.marks("g.x", "bob") == []
    assert await store.advance([]) == []


async def test_a_message_is_found_by_its_id(store: HistoryStore) -> None:
    sent = [told(n, NOW - n % 4 * DAY_MS, f"g.{n % 3}") for n in range(8)]
    await store.append(0, LogState("e", 1), sent)
    await store.append(0, LogState("e", 1), sent[3:5])
    assert [await store.message(one.message_id) for one in sent] == sent
    assert await store.message("none") is None


async def test_the_last_message_of_each_that_has_one(store: HistoryStore) -> None:
    sent = [told(n, NOW - n % 4 * DAY_MS, f"g.{n % 3}") for n in range(12)]
    await store.append(0, LogState("e", 1), sent)
    expected = {key: max(one for one in sent if one.conversation == key) for key in ("g.0", "g.2")}
    assert await store.latest(["g.0", "g.none", "g.2"]) == expected
    assert await store.latest([]) == {}


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_unread_in_all_is_the_sum_of_all(store: HistoryStore, seed: int) -> None:
    """Of direct conversations and the groups that are named, from each one's own mark on; over many days."""
    dice = random.Random(seed)  # noqa: S311 - the same each time
    groups = ["g.a", "g.b", "g.not asked"]
    sent = [
        said(n, NOW + dice.randrange(120) * DAY_MS + n, *pair)
        for n in range(60)
        for pair in [dice.choice([("ann", "bob"), ("bob", "ann"), ("eve", "ann"), ("ann", "ann"), ("eve", "bob")])]
    ]
    sent += [told(n, NOW + n, dice.choice(groups))._replace(sender=dice.choice(["ann", "bob"])) for n in range(60, 99)]
    sent = [one._replace(kind=dice.choice(["text", "text", "reaction"])) for one in sent]
    await store.append(0, LogState("e", 1), sent)
    read = [dice.choice(sent) for _ in range(8)]
    await store.advance([mark(position(one), "ann", one.conversation) for one in read])
    await store.advance([mark(position(one), "bob", one.conversation) for one in read])
    keys = {conversation_key("ann", other) for other in ("ann", "bob", "eve")} | {"g.a", "g.b", "g.none"}
    places = {key: [one.place for one in await store.marks(key, "ann")] for key in keys}
    expected = sum([await store.unread("ann", key, max(at, default=None)) for key, at in places.items()])
    assert await store.unread_in_all("ann", ["g.a", "g.b", "g.none"]) == expected > 0
    assert await store.unread_in_all("nobody", []) == 0


async def test_what_an_older_version_wrote_of_reading_counts(cassandra_server: CassandraServer) -> None:
    """It wrote a mark once, under the conversation."""
    async with opened(await cassandra_server.emptied(KEYSPACE), "message", MIGRATIONS, {}) as cassandra:
        statements = await prepared(cassandra)
        store = CassandraStore(cassandra, statements, Buckets(lambda: 1))
        sent = [said(n, NOW + n, other, "ann") for n, other in enumerate(["bob", "bob", "eve", "eve"])]
        await store.append(0, LogState("e", 1), sent)
        old = ("ann|bob", "ann", "read", format_cursor(position(sent[0])), NOW * 1000)
        await cassandra.write(statements["mark"], *old)
        await store.advance([mark(position(sent[2]), "ann", "ann|eve")])
        assert await Marks(cassandra, statements).reads("ann", ["ann|bob", "ann|eve", "ann|zoe"]) == {
            "ann|bob": position(sent[0]), "ann|eve": position(sent[2])
        }  # fmt: skip
        assert await store.unread_in_all("ann", []) == 2


async def test_what_is_unread_in_all_is_bounded(store: HistoryStore) -> None:
    """Of each conversation by a hundred, and of direct ones the hundred newest are looked at."""
    many = [said(n, NOW + n, "bob", "ann") for n in range(101)]
    others = [said(200 + n, NOW + 200 + n, f"u{n:03}", "ann") for n in range(99)]
    await store.append(0, LogState("e", 1), many + others)
    assert await store.unread_in_all("ann", []) == 100 + 99
    await store.append(0, LogState("e", 2), [said(400, NOW + 400, "eve", "ann")])
    assert await store.unread_in_all("ann", []) == 100


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_unread_is_what_counting_gives(store: HistoryStore, seed: int) -> None:
    """Sends, repeats and reads in any order, over days; counted anew from the whole list each time."""
    dice = random.Random(seed)  # noqa: S311 - the same each time
    sent: list[Message] = []
    for number in range(60):
        kind = dice.choice(["text", "text", "text", "edit", "system"])
        sender = dice.choice(["ann", "bob", "eve"])
        at = NOW + dice.randrange(3) * DAY_MS + dice.randrange(5)
        sent.append(Message("g.x", at, f"m{number:04}", sender, "", kind, None, b"1"))
        await store.append(0, LogState("e", number), [sent[-1], dice.choice(sent)])
        if dice.random() < 0.3:
            await store.advance([mark(position(dice.choice(sent)), dice.choice(["ann", "bob"]), "g.x")])
        if number % 10 == 9:
            for user_id in ("ann", "bob", "eve"):
                await assert_counted(store, user_id, sent)


async def assert_counted(store: HistoryStore, user_id: str, sent: list[Message]) -> None:
    marks = await store.marks("g.x", user_id)
    read = marks[0].place if marks else None
    unread = [position(one) for one in sent if one.kind == "text" and one.sender != user_id]
    assert await store.unread(user_id, "g.x", read) == sum(read is None or at > read for at in unread)


async def test_what_is_unread_is_counted_up_to_a_bound(store: HistoryStore) -> None:
    """A hundred is a hundred or more; of those after the mark only the next thousand are looked at."""
    await store.append(0, LogState("e", 1), [message(n, NOW + n) for n in range(120)])
    assert await store.unread("bob", TALK, None) == 100
    assert await store.unread("bob", TALK, Position(NOW + 18, "m0018")) == 100
    assert await store.unread("bob", TALK, Position(NOW + 20, "m0020")) == 99
    assert await store.unread("ann", TALK, None) == 0
    mine = [told(n, NOW + n, "g.mine") for n in range(1010)]
    theirs = [one._replace(sender="bob", message_id=f"x{n}") for n, one in enumerate(mine) if n in (998, 1005)]
    await store.append(0, LogState("e", 2), mine + theirs)
    assert await store.unread("ann", "g.mine", None) == 1
    assert await store.unread("ann", "g.mine", position(mine[100])) == 2


@pytest.fixture(params=["memory", "sqlite", "cassandra"])
async def a_day(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[HistoryStore]:
    """A store that keeps direct messages for one day and topics for two, where it is NOW when the test begins."""
    kept, begin = Retention(direct=1, topic=2), time.monotonic()

    def clock() -> int:
        return NOW + int((time.monotonic() - begin) * 1000)

    monkeypatch.setattr("push_workloads.message.sqlite_sweep.SWEEP_SECONDS", 0.1)
    if request.param == "memory":
        yield MemoryStore(kept, clock)
    elif request.param == "sqlite":
        async with sqlite_store(str(tmp_path / "history.db"), kept, clock) as sqlite:
            yield sqlite
    else:
        server: CassandraServer = request.getfixturevalue("cassandra_server")
        async with cassandra_store(await server.emptied(KEYSPACE), {}, Expiry(kept, clock)) as cassandra:
            yield cassandra


async def test_each_kind_of_channel_is_kept_for_its_time(a_day: HistoryStore) -> None:
    """What is over is not written, also when the log gives it again; what ends goes, with its line in the list."""
    begin = time.monotonic()  # the store's clock is a little further
    over, ending, later = (said(n, NOW - DAY_MS + at, "ann", "bob") for n, at in enumerate((-1, 2500, 60_000)))
    alone = said(7, NOW - DAY_MS + 2600, "ann", "eve")
    topic = [told(n, NOW - 2 * DAY_MS + at, "t.x") for n, at in ((10, -1), (11, 60_000))]
    old = told(20, 5, "g.x")
    await a_day.append(0, LogState("e", 1), [over, ending, later, alone, *topic, old])
    assert await a_day.message(over.message_id) is None
    assert await a_day.page("t.x", None, 10) == topic[1:]

    async def is_gone() -> bool:
        page = await a_day.page(TALK, None, 10)
        assert over not in page
        if time.monotonic() - begin < 3:
            return False  # Cassandra counts whole seconds, and may be early; given again now it would be kept
        lines = [line.other for line in await lists(a_day, "ann", 10)]
        return page == [later] and lines == ["bob"] and await a_day.message(ending.message_id) is None

    await eventually(is_gone)
    await a_day.append(0, LogState("e", 2), [over, ending, later])
    assert await a_day.page(TALK, None, 10) == [later]
    assert await a_day.page("g.x", None, 10) == [old]
    assert await a_day.log_state(0, "e") == LogState("e", 2)


async def test_sqlite_is_swept_in_portions(tmp_path: Path) -> None:
    now = NOW
    async with sqlite_store(str(tmp_path / "history.db"), Retention(direct=1), lambda: now) as store:
        sent = [message(n, NOW - n % 7, f"u{n % 3}|x") for n in range(1700)]
        await store.append(0, LogState("e", 1), [*sent, told(1, NOW, "g.x")])
        assert await sweep(store, Retention(direct=1), lambda: now) == 0
        now += DAY_MS
        assert await sweep(store, Retention(direct=1), lambda: now) == 1700
        assert await store.latest(["u0|x", "g.x"]) == {"g.x": told(1, NOW, "g.x")}


async def test_how_far_a_log_is_written_only_grows(store: HistoryStore) -> None:
    for seq in (5, 9, 7, 1):
        await store.append(0, LogState("e", seq), [])
    assert await store.log_state(0, "e") == LogState("e", 9)


async def test_each_shard_and_each_log_has_a_state_of_its_own(store: HistoryStore) -> None:
    for shard, state in ((0, LogState("old", 90)), (0, LogState("new", 2)), (1, LogState("new", 5))):
        await store.append(shard, state, [])
    await store.append(0, LogState("old", 91), [])
    assert await store.log_state(0, "new") == LogState("new", 2)
    assert await store.log_state(0, "old") == LogState("old", 91)
    assert await store.log_state(1, "new") == LogState("new", 5)
    assert await store.log_state(1, "old") is None


async def test_a_day_in_many_slices_by_two_writers_reads_as_one(cassandra_server: CassandraServer) -> None:
    async with opened(await cassandra_server.emptied(KEYSPACE), "message", MIGRATIONS, {}) as cassandra:
        statements = await prepared(cassandra)
        slices = count(1)
        writers = [
            CassandraStore(cassandra, statements, Buckets(lambda: next(slices), slice_bytes=1000)) for _ in range(2)
        ]
        sent = [message(number, NOW - number) for number in range(60)]
        for at in range(0, 60, 10):
            await writers[at // 10 % 2].append(0, LogState("e", at), sent[at : at + 10])
            await writers[1].append(0, LogState("e", at), sent[at : at + 3])
        assert next(slices) > 5
        assert await pages(writers[0], TALK, 7) == newest_first(sent)


async def test_a_conversation_of_more_days_than_one_read_takes(cassandra_server: CassandraServer) -> None:
    async with cassandra_store(await cassandra_server.emptied(KEYSPACE), {}) as store:
        sent = [message(number, NOW - number * DAY_MS) for number in range(230)]
        await store.append(0, LogState("e", 230), sent)
        assert await pages(store, TALK, 90) == newest_first(sent)


async def test_lines_that_others_stand_for_are_removed(cassandra_server: CassandraServer) -> None:
    """By two writers in turn, day after day: one line is left, and the messages of old days bring none back."""
    async with opened(await cassandra_server.emptied(KEYSPACE), "message", MIGRATIONS, {}) as cassandra:
        statements = await prepared(cassandra)
        writers = [CassandraStore(cassandra, statements, Buckets(lambda: 1)) for _ in range(2)]
        sent = [said(number, NOW - (40 - number) * DAY_MS, "ann", "bob") for number in range(40)]
        for number, one in enumerate(sent):
            await writers[number % 2].append(0, LogState("e", number), [one])
        await writers[0].append(0, LogState("e", 41), sent[10:20])
        lines = await cassandra.rows("SELECT user_id, place FROM {ks}.conversation_lines")
        last = format_cursor(position(sent[-1]))
        assert sorted((line["user_id"], line["place"]) for line in lines) == [("ann", last), ("bob", last)]


async def test_a_list_of_more_lines_than_one_read_takes(cassandra_server: CassandraServer) -> None:
    """Of one day, and of others: a place in a day is only known when all of the day is."""
    async with cassandra_store(await cassandra_server.emptied(KEYSPACE), {}) as store:
        sent = [said(n, NOW - n % 7, "ann", f"u{n}") for n in range(2300)]
        sent += [said(n, NOW - DAY_MS - n, "ann", f"u{n}") for n in range(2300, 2400)]
        await store.append(0, LogState("e", 1), sent)
        truth = MemoryStore()
        await truth.append(0, LogState("e", 1), sent)
        assert await lists(store, "ann", 800) == await truth.conversations("ann", None, 5000)


async def test_a_line_without_its_message_yet_shows_the_one_before(
    cassandra_server: CassandraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that died in between; another does the batch again."""
    old, new = said(1, NOW - DAY_MS, "ann", "bob"), said(2, NOW, "ann", "bob")

    async def dies(*_: object) -> None:
        raise Unavailable("dead")

    async with opened(await cassandra_server.emptied(KEYSPACE), "message", MIGRATIONS, {}) as cassandra:
        statements = await prepared(cassandra)
        store, other = [CassandraStore(cassandra, statements, Buckets(lambda: 1)) for _ in range(2)]
        await store.append(0, LogState("e", 1), [old])
        for step, shown in (("CassandraStore._write", old), ("ConversationList.settle", new)):
            with monkeypatch.context() as patch, pytest.raises(Unavailable):
                patch.setattr(f"push_workloads.message.cassandra.{step}", dies)
                await store.append(0, LogState("e", 2), [new])
            assert [line.message for line in await store.conversations("ann", None, 10)] == [shown]
        await other.append(0, LogState("e", 2), [new])
        assert await lists(store, "ann", 1) == [Latest("bob", position(new), new)]
        assert len(await cassandra.rows("SELECT place FROM {ks}.conversation_lines")) == 2


async def test_an_old_copy_does_not_bring_back_what_was_removed(cassandra_server: CassandraServer) -> None:
    async with opened(await cassandra_server.emptied(KEYSPACE), "message", MIGRATIONS, {}) as cassandra:
        store = CassandraStore(cassandra, await prepared(cassandra), Buckets(lambda: 1))
        await store.append(0, LogState("e", 1), [message(1, 1000)])
        await cassandra.write(f"DELETE FROM {{ks}}.messages WHERE conversation = '{TALK}' AND day = 0 AND slice = 0")  # noqa: S608
        await store.append(0, LogState("e", 1), [message(1, 1000)])
        assert await store.page(TALK, None, 10) == []


async def test_sqlite_takes_over_what_an_older_version_wrote(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as old:
        old.executescript(
            """
            CREATE TABLE messages (conversation TEXT, sent_at INTEGER, message_id TEXT, sender TEXT, recipient_id TEXT,
              kind TEXT, ref TEXT, content BLOB, PRIMARY KEY (conversation, sent_at, message_id)) WITHOUT ROWID;
            CREATE TABLE log_state (shard INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL);
            INSERT INTO log_state VALUES (0, 'e', 7);
            INSERT INTO messages VALUES
              ('ann|bob', 1, 'a', 'ann', 'bob', 'text', NULL, x'31'),
              ('ann|bob', 3, 'b', 'ann', 'bob', 'text', NULL, x'31'),
              ('ann|bob', 3, 'a', 'bob', 'ann', 'text', NULL, x'31'),
              ('bob|eve', 4, 'd', 'eve', 'bob', 'text', NULL, x'31'),
              ('ann|ann', 9, 'e', 'ann', 'ann', 'text', NULL, x'31');
            PRAGMA user_version = 1;
            """
        )
    old.close()
    async with sqlite_store(str(path)) as store:
        assert await store.log_state(0, "e") == LogState("e", 7)
        assert [line[:2] for line in await lists(store, "bob", 10)] == [
            ("eve", Position(4, "d")),
            ("ann", Position(3, "b")),
        ]
        assert [line[:2] for line in await lists(store, "ann", 10)] == [
            ("ann", Position(9, "e")),
            ("bob", Position(3, "b")),
        ]
