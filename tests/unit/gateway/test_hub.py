"""The hub against a log in memory: whatever the bus loses or repeats, sockets get every message once and in order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.errors import Unavailable
from push_workloads.common.tasks import Spawner, beside
from push_workloads.gateway import hub
from push_workloads.gateway.hub import Channel, Hub
from push_workloads.gateway.recovery import Delivered, Entry, LogState, Told


class MemoryLog:
    """One channel's log. `away`: reads fail so many times."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.away = 0

    def append(self, seq: int) -> tuple[bytes, bytes, bytes]:
        """Stores a message; what the bus would carry."""
        prev = self.entries[-1].seq if self.entries else 0
        self.entries.append(Entry(seq, f"m{seq}", b'{"n":%d}' % seq))
        head = b"NATS/1.0\r\nNats-Msg-Id: m%d:u.ann\r\nNats-Sequence: %d\r\nNats-Last-Sequence: %d\r\n\r\n"
        return b"dlv.u.ann", self.entries[-1].payload, head % (seq, seq, prev)

    async def head(self, channel: str) -> int:
        await self._answer()
        return self.entries[-1].seq if self.entries else 0

    async def after(self, channel: str, seq: int) -> list[Entry]:
        await self._answer()
        return [entry for entry in self.entries if entry.seq > seq][:3]

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            self.away -= 1
            raise Unavailable("away")


class Interests:
    def __init__(self) -> None:
        self.watched: dict[int, str] = {}

    def watch(self, subject: str) -> int:
        sid = len(self.watched) + 1
        self.watched[sid] = subject
        return sid

    def unwatch(self, sid: int) -> None:
        del self.watched[sid]


class Member:
    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.closed: int | None = None

        self.heard: list[bytes] = []

    def deliver(self, channel: str, message: Delivered) -> None:
        self.seqs.append(message.seq)

    def told(self, channel: str, told: Told) -> None:
        self.heard.append(told.frame)

    def send_away(self) -> None:
        self.closed = 1012


class Bench:
    def __init__(self) -> None:
        self.log = MemoryLog()
        self.interests = Interests()
        self.spawner = Spawner()
        self.hub = Hub(self.interests, self.log, self.spawner)
        self.hub.set_state(0, LogState("e1", 1, 1))

    def join(self, member: Member) -> Channel:
        return self.hub.join(member, "user:ann", "u.ann")

    async def settle(self) -> None:
        """Until nothing is being filled."""
        for _ in range(5000):
            await asyncio.sleep(0)
        await self.spawner.close()


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["arrives", "lost", "twice"])), max_size=30))
async def test_losses_and_repeats_do_not_show(steps: list[tuple[int, str]]) -> None:
    bench, member = Bench(), Member()
    channel = bench.join(member)
    await bench.hub.ask_head(channel)
    seq = 0
    for gap, fate in [*steps, (1, "arrives")]:
        seq += gap  # other channels of the same log take numbers too
        carried = bench.log.append(seq)
        if fate != "lost":
            bench.hub.arrived(*carried)
        if fate == "twice":
            bench.hub.arrived(*carried)
    await bench.settle()
    assert member.seqs == [entry.seq for entry in bench.log.entries]
    assert member.closed is None


@given(st.lists(st.booleans(), max_size=20))
async def test_a_recheck_finds_what_no_later_message_would_show(arrives: list[bool]) -> None:
    bench, member = Bench(), Member()
    channel = bench.join(member)
    await bench.hub.ask_head(channel)
    for seq, comes in enumerate(arrives, start=1):
        carried = bench.log.append(seq)
        if comes:
            bench.hub.arrived(*carried)
    await bench.hub.recheck()
    await bench.settle()
    assert member.seqs == list(range(1, len(arrives) + 1))


async def test_a_gap_is_read_when_the_log_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, member = Bench(), Member()
    await bench.hub.ask_head(bench.join(member))
    bench.log.append(1)
    carried = bench.log.append(2)
    bench.log.away = 3
    monkeypatch.setattr(hub, "FILL_PAUSE_SECONDS", 0.0)
    bench.hub.arrived(*carried)
    await bench.settle()
    assert member.seqs == [1, 2]


async def test_a_log_that_does_not_answer_a_gap_sends_the_clients_away(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, member = Bench(), Member()
    await bench.hub.ask_head(bench.join(member))
    bench.log.append(1)
    carried = bench.log.append(2)
    bench.log.away = 100
    monkeypatch.setattr(hub, "FILL_PAUSE_SECONDS", 0.0)
    bench.hub.arrived(*carried)
    await bench.settle()
    assert (member.seqs, member.closed) == ([], 1012)


async def test_the_patrol_finds_a_loss_that_no_later_message_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PATROL_SECONDS", 0.0)
    bench, member = Bench(), Member()
    await bench.hub.ask_head(bench.join(member))
    bench.hub.arrived(*bench.log.append(1))
    bench.log.append(2)
    bench.log.away = 1
    async with beside(bench.hub.patrol()):
        await bench.settle()
    assert (member.seqs, member.closed) == ([1, 2], None)


async def test_a_reset_while_a_gap_is_read_ends_the_reading() -> None:
    bench, member = Bench(), Member()
    channel = bench.join(member)
    bench.log.append(5)
    await bench.hub.ask_head(channel)
    bench.log.append(6)
    bench.hub.arrived(*bench.log.append(7))
    await asyncio.sleep(0)
    bench.hub.set_state(0, LogState("e2", 1, 1))
    await bench.settle()
    assert (member.seqs, member.closed, bench.hub.known_head(channel)) == ([], 1012, None)


async def test_a_log_that_is_behind_what_was_delivered_sends_the_clients_away() -> None:
    bench, member = Bench(), Member()
    await bench.hub.ask_head(bench.join(member))
    for seq in (1, 2):
        bench.hub.arrived(*bench.log.append(seq))
    del bench.log.entries[-1]
    await bench.hub.recheck()
    assert member.closed == 1012


async def test_another_epoch_sends_everyone_away_and_names_itself_from_then_on() -> None:
    bench, member = Bench(), Member()
    channel = bench.join(member)
    bench.hub.set_state(0, LogState("e1", 1, 1))
    assert member.closed is None
    bench.hub.set_state(0, LogState("e2", 1, 1))
    assert member.closed == 1012
    assert b'"epoch":"e2"' in channel.head


async def test_a_channel_is_watched_once_and_until_the_last_leaves() -> None:
    bench, first, second = Bench(), Member(), Member()
    channel = bench.join(first)
    assert bench.join(second) is channel
    assert list(bench.interests.watched.values()) == ["*.u.ann"]
    bench.hub.leave(first, channel)
    bench.hub.leave(first, channel)
    assert bench.hub.channels == 1
    bench.hub.leave(second, channel)
    assert (bench.hub.channels, bench.interests.watched) == (0, {})


async def test_where_a_second_socket_starts_is_known_from_the_first() -> None:
    bench = Bench()
    channel = bench.join(Member())
    assert bench.hub.known_head(channel) is None
    await bench.hub.ask_head(channel)
    bench.hub.arrived(*bench.log.append(7))
    assert bench.hub.known_head(bench.join(Member())) == 7


async def test_what_is_not_stored_passes_by_also_while_a_gap_is_filled() -> None:
    bench, member = Bench(), Member()
    bench.join(member)
    for payload in (b'{"type":"typing","from":"bob","state":"start"}', b"[]", b'{"from":"bob"}', b"nonsense"):
        bench.hub.passed_by(b"eph.u.ann", payload)
        bench.hub.passed_by(b"eph.u.nobody", payload)
    assert member.heard == [b'{"type":"typing","from":"bob","state":"start"}']
