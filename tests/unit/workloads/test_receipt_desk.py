"""What a batch of receipts stores: against any log, in any order, and again."""

from __future__ import annotations

import asyncio

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from tests.support.access import MemoryAccess

from push_workloads.common.errors import BadRequest, Unavailable
from push_workloads.common.questions import Report, Reports
from push_workloads.message.log import Logged
from push_workloads.message.model import Mark, Payload, Position, row_of
from push_workloads.message.receipts.desk import ReceiptDesk
from push_workloads.message.store import LogState, MemoryStore


class Log:
    """The log of ann's inbox: from whom each message is, by its seq. Message n was sent at n."""

    def __init__(self, senders: list[str]) -> None:
        self.entries = {
            seq: Payload(f"m{seq}", sender, sender, Raw(b"1"), seq, "ann") for seq, sender in enumerate(senders, 1)
        }

    def epoch(self, channel: str) -> str:
        return "e"

    def shard(self, channel: str) -> int:
        return 0

    async def logged(self, channel: str, seq: int) -> Logged | None:
        entry = self.entries.get(seq)
        return Logged(entry, 0.0) if entry is not None and channel == "u.ann" else None


async def written(log: Log, up_to: int) -> MemoryStore:
    """A history that has the log up to a seq."""
    store = MemoryStore()
    rows = [row_of("u.ann", entry) for seq, entry in log.entries.items() if seq <= up_to]
    await store.append(0, LogState("e", up_to), [row for row in rows if row is not None])
    return store


def desk_of(store: MemoryStore, log: Log) -> ReceiptDesk:
    desk = ReceiptDesk(store, MemoryAccess(), prometheus_client.CollectorRegistry())
    desk.open(None, log)
    return desk


def read(seq: int, conversation: str, epoch: str = "e") -> Report:
    return Report("read", "ann", "user:ann", epoch, seq, conversation)


async def test_one_that_must_wait_holds_up_nobody() -> None:
    """Seq 2 is bob's; what eve had said before it only history can tell, and that lacks it yet."""
    log = Log(["eve", "bob"])
    store = await written(log, 1)
    batch = Reports([read(2, "bob"), read(2, "eve")])
    with pytest.raises(Unavailable):
        await desk_of(store, log).take(batch)
    assert await store.marks("ann|bob") == [Mark("ann", "ann|bob", "read", Position(2, "m2"))]
    assert await store.marks("ann|eve") == []
    store = await written(log, 2)
    await desk_of(store, log).take(batch)
    assert await store.marks("ann|eve") == [Mark("ann", "ann|eve", "read", Position(1, "m1"))]


async def test_too_many_at_once_are_refused() -> None:
    with pytest.raises(BadRequest):
        await desk_of(MemoryStore(), Log([])).take(Reports([read(1, "bob")] * 501))


async def test_before_the_log_is_there_nothing_is_taken() -> None:
    desk = ReceiptDesk(MemoryStore(), MemoryAccess(), prometheus_client.CollectorRegistry())
    with pytest.raises(Unavailable):
        await desk.take(Reports([read(1, "bob")]))


PEOPLE = ["bob", "eve", "joe"]


@given(
    st.lists(st.sampled_from(PEOPLE), max_size=12),
    st.lists(st.lists(st.tuples(st.integers(0, 14), st.sampled_from(PEOPLE)), max_size=6), max_size=4),
)
def test_a_mark_is_the_last_message_of_its_conversation_that_was_read(
    senders: list[str], batches: list[list[tuple[int, str]]]
) -> None:
    """However the reports are cut into batches, and whichever conversation's seq they name."""
    asyncio.run(_taken(senders, batches))


async def _taken(senders: list[str], batches: list[list[tuple[int, str]]]) -> None:
    log = Log(senders)
    store = await written(log, len(senders))
    desk = desk_of(store, log)
    for batch in batches:
        await desk.take(Reports([read(seq, person) for seq, person in batch]))
    for person in PEOPLE:
        # Of one batch the report that reaches furthest counts, even when the log has nothing there.
        furthest = [max((seq for seq, of in batch if of == person), default=0) for batch in batches]
        reached = max((seq for seq in furthest if seq in log.entries), default=0)
        seqs = [seq for seq, sender in enumerate(senders, 1) if sender == person and seq <= reached]
        marks = [mark.place for mark in await store.marks(f"ann|{person}")]
        assert marks == ([Position(seqs[-1], f"m{seqs[-1]}")] if seqs else [])
