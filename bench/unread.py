"""What the count of unread messages costs, which each push job asks for: `python -m bench.unread [--cassandra]`.

A user with 1,000 direct conversations and 50 groups, of which a part is read; beside it one with a few, as most are.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from tests.support.cassandra import CassandraServer

from push_workloads.message.buckets import DAY_MS
from push_workloads.message.cassandra import cassandra_store
from push_workloads.message.model import Mark, Message, conversation_key, position
from push_workloads.message.sqlite import sqlite_store
from push_workloads.message.store import HistoryStore, LogState

NOW: Final = 1_790_000_000_000
ROUNDS: Final = 10


def said(number: int, conversation: str, sender: str, recipient: str, days: int) -> Message:
    at = NOW - days * DAY_MS + number
    return Message(conversation, at, f"m{number}", sender, recipient, "text", None, b'"hello"')


def talk(user_id: str, conversations: int, groups: int, messages: int, read: float) -> tuple[list[Message], list[Mark]]:
    """Each conversation over ten days; in `read` of them all but the last few messages are read, in the others none."""
    dice = random.Random(1)  # noqa: S311 - the same each time
    keys = [(conversation_key(user_id, f"other{n}"), f"other{n}", user_id) for n in range(conversations)]
    keys += [(f"g.{user_id}{n}", "somebody", "") for n in range(groups)]
    rows, marks, number = [], [], 0
    for key, sender, recipient in keys:
        days = dice.randrange(200)
        mine = []
        for _ in range(messages):
            number += 1
            mine.append(said(number, key, sender, recipient, days + dice.randrange(10)))
        rows += mine
        if dice.random() < read:
            mine.sort(key=position)
            marks.append(Mark(user_id, key, "read", position(mine[dice.choice([-1, -1, -1, -3])])))
    return rows, marks


async def measure(store: HistoryStore, name: str, user_id: str, conversations: int, groups: int, read: float) -> None:
    rows, marks = talk(user_id, conversations, groups, 5, read)
    for start in range(0, len(rows), 100):
        await store.append(0, LogState("e", start + 1), rows[start : start + 100])
    await store.advance(marks)
    channels = [f"g.{user_id}{n}" for n in range(groups)]
    least = await one_read(store)
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        count = await store.unread_in_all(user_id, channels)
        took.append((time.perf_counter() - began) * 1000)
    took.sort()
    began = time.perf_counter()
    await asyncio.gather(*(store.unread_in_all(user_id, channels) for _ in range(ROUNDS)))
    each = (time.perf_counter() - began) * 1000 / ROUNDS
    print(
        f"{name}, {conversations} conversations and {groups} groups, {read:.0%} read: {count} unread; median "
        f"{statistics.median(took):.1f} ms, worst {took[-1]:.1f} ms; {ROUNDS} at once {each:.1f} ms each; "
        f"one read of one row {least:.2f} ms"
    )


@asynccontextmanager
async def opened(folder: Path, *, cassandra: bool) -> AsyncIterator[HistoryStore]:
    if not cassandra:
        async with sqlite_store(str(folder / "history.db")) as store:
            yield store
        return
    server = CassandraServer(folder)
    try:
        await server.start()
        async with cassandra_store(await server.emptied("bench"), {}) as shared:
            yield shared
    finally:
        await server.kill()


async def one_read(store: HistoryStore) -> float:
    """Milliseconds of the least that can be asked, to compare with: the machine is not ours alone."""
    took = []
    for _ in range(100):
        began = time.perf_counter()
        await store.log_state(0, "e")
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def run(*, cassandra: bool) -> None:
    name = "Cassandra" if cassandra else "SQLite"
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder), cassandra=cassandra) as store:
            await measure(store, name, "few", 20, 3, 0.9)
            await measure(store, name, "many", 1000, 50, 0.9)
            await measure(store, name, "never", 1000, 50, 0.0)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cassandra", action="store_true")
    asyncio.run(run(cassandra=options.parse_args().cassandra))


if __name__ == "__main__":
    main()
