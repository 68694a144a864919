"""The adapters of history behave as one: in memory, in a SQLite file, and in Cassandra."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from tests.support.cassandra import CassandraServer

from push_workloads.common.cassandra_schema import opened
from push_workloads.message.buckets import DAY_MS, Buckets
from push_workloads.message.cassandra import MIGRATIONS, CassandraStore, cassandra_store, prepared
from push_workloads.message.model import Message, Position
from push_workloads.message.sqlite import sqlite_store
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


async def test_an_old_copy_does_not_bring_back_what_was_removed(cassandra_server: CassandraServer) -> None:
    async with opened(await cassandra_server.emptied(KEYSPACE), "message", MIGRATIONS, {}) as cassandra:
        store = CassandraStore(cassandra, await prepared(cassandra), Buckets(lambda: 1))
        await store.append(0, LogState("e", 1), [message(1, 1000)])
        await cassandra.write(f"DELETE FROM {{ks}}.messages WHERE conversation = '{TALK}' AND day = 0 AND slice = 0")  # noqa: S608
        await store.append(0, LogState("e", 1), [message(1, 1000)])
        assert await store.page(TALK, None, 10) == []


async def test_sqlite_takes_over_the_state_that_an_older_version_wrote(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as old:
        old.executescript(
            """
            CREATE TABLE messages (conversation TEXT, sent_at INTEGER, message_id TEXT, sender TEXT, recipient_id TEXT,
              kind TEXT, ref TEXT, content BLOB, PRIMARY KEY (conversation, sent_at, message_id)) WITHOUT ROWID;
            CREATE TABLE log_state (shard INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL);
            INSERT INTO log_state VALUES (0, 'e', 7);
            PRAGMA user_version = 1;
            """
        )
    old.close()
    async with sqlite_store(str(path)) as store:
        assert await store.log_state(0, "e") == LogState("e", 7)
