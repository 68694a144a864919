"""Who is told what, with rights and statuses at hand: slow watchers, lost words, a message service that is away."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from tests.support.waiting import eventually

from push_workloads.common.announcements import Announcement, Status, encode
from push_workloads.common.errors import Unavailable
from push_workloads.common.tasks import Spawner, beside
from push_workloads.gateway.actions import Who
from push_workloads.gateway.rights import Rights
from push_workloads.gateway.watching import PAGE, SLICE, Watching


class Socket:
    def __init__(self, user_id: str = "ann") -> None:
        self.who = Who(user_id, "d1", "s1", 1e9)
        self.is_slow = False
        self.heard: list[tuple[str, str]] = []

    def presence(self, frame: bytes) -> bool:
        if not self.is_slow:
            told = json.loads(frame)
            self.heard.append((told["user_id"], told["status"]))
        return not self.is_slow


class World:
    """`told`: as Redis has it. `denied`: those who are shown to nobody. `away`: so often nobody answers. `most`: so
    many pairs are answered in time."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.denied: set[str] = set()
        self.away = 0
        self.asked = self.reads = 0
        self.most = PAGE
        self.spawner = Spawner()
        self.sockets: list[Socket] = []
        self.watching = Watching(self, cast(Rights, self), self.spawner, lambda _: self.sockets)

    async def may_watch(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        self.asked += 1
        if self.asked <= self.away or len(pairs) > self.most:
            raise Unavailable("away", retry_after_ms=1)
        return [other not in self.denied for _, other in pairs]

    async def mget(self, names: list[str]) -> list[bytes | None]:
        self.reads += 1
        found = [self.told.get(name.removeprefix("presence:told:")) for name in names]
        return [one.encode() if one is not None else None for one in found]

    def announce(self, user_id: str, status: Status, revision: int) -> None:
        self.watching.announced(encode(Announcement(user_id, status, revision, None)))

    async def watched(self, *user_ids: str) -> Socket:
        """By a new socket, which has its answers."""
        socket = Socket()
        assert self.watching.watch(socket, user_ids) == []
        await eventually(lambda: len(socket.heard) == len(user_ids))
        return socket


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    async with beside(made.watching.run()):
        yield made
    await made.spawner.close()


async def test_who_is_slow_is_told_later_and_then_how_it_is() -> None:
    async with world() as made:
        made.told = {"bob": "2|7"}
        socket = await made.watched("bob", "cid")
        assert socket.heard == [("bob", "online"), ("cid", "offline")]
        socket.is_slow = True
        made.announce("bob", "away", 8)
        made.announce("bob", "offline", 9)
        made.announce("cid", "online", 9)
        socket.is_slow = False
        made.watching.reads_again(socket)
        assert sorted(socket.heard[2:]) == [("bob", "offline"), ("cid", "online")]
        made.watching.reads_again(socket)
        assert len(socket.heard) == 4


async def test_while_the_message_service_is_away_nothing_is_told() -> None:
    async with world() as made:
        made.away = 2
        made.told = {"bob": "2|7"}
        socket = await made.watched("bob")
        assert (socket.heard, made.asked) == ([("bob", "online")], 3)


async def test_a_message_service_that_is_too_slow_for_a_whole_page_is_asked_for_less() -> None:
    async with world() as made:
        made.most = PAGE // 3
        socket = await made.watched(*(f"user {number}" for number in range(PAGE)))
        assert len(socket.heard) == PAGE


async def test_what_was_missed_while_the_bus_was_away_is_read() -> None:
    async with world() as made:
        made.told = {"bob": "2|7"}
        socket = await made.watched("bob")
        made.told = {"presence:seen:bob": "8"}
        made.watching.back()
        await eventually(lambda: socket.heard[1:] == [("bob", "offline")])


async def test_a_redis_that_was_emptied_is_seen_by_nobody() -> None:
    async with world() as made:
        made.told = {"bob": "2|7"}
        socket = await made.watched("bob")
        made.told, reads = {}, made.reads
        made.watching.back()
        await eventually(lambda: made.reads > reads)
        made.told = {"bob": "2|9"}  # registered again
        made.announce("bob", "online", 9)
        made.watching.back()
        await eventually(lambda: made.reads > reads + 1)
        assert socket.heard == [("bob", "online")]


async def test_of_whom_is_unwatched_while_nobody_answers_nothing_is_kept() -> None:
    async with world() as made:
        made.told = {"bob": "2|7"}
        socket = await made.watched("bob")
        socket.is_slow = True
        made.announce("bob", "away", 8)
        made.away = 1_000_000
        made.watching.watch(socket, ["cid", "dan"])
        held = made.watching.held
        made.watching.unwatch(socket, ["bob", "cid"])
        assert (held, made.watching.held) == (3, 1)
        made.watching.left(socket)
        assert made.watching.held == 0


async def test_many_pairs_are_decided_without_a_walk_over_those_before() -> None:
    async with world() as made:
        sockets, users = [Socket() for _ in range(300)], [f"user {number}" for number in range(300)]
        for socket in sockets:
            socket.is_slow = True
            made.watching.watch(socket, users)
        begun = time.process_time()
        last = made.watching.table.get(users[-1])
        await eventually(lambda: last is not None and sockets[-1] in last.shown_to, within=60)
        assert time.process_time() - begun < 2  # some 0.3 s; with such a walk for each pair 4.5


async def test_rights_that_have_changed_are_heeded_on_both_sides() -> None:
    async with world() as made:
        made.told = {"bob": "2|7"}
        socket = await made.watched("bob")
        made.denied = {"bob"}
        made.watching.rights_changed("bob")
        await eventually(lambda: socket.heard[1:] == [("bob", "offline")])
        made.announce("bob", "away", 8)
        made.denied, made.sockets = set(), [socket]
        made.watching.rights_changed("ann")
        await eventually(lambda: socket.heard[2:] == [("bob", "away")])


async def test_whom_many_watch_is_told_to_all_of_them() -> None:
    async with world() as made:
        sockets = [Socket() for _ in range(2 * SLICE + 1)]
        for socket in sockets:
            made.watching.watch(socket, ["star"])
        await eventually(lambda: all(socket.heard for socket in sockets))
        made.announce("star", "online", 5)
        made.watching.left(sockets[-1])
        await eventually(lambda: all(socket.heard[1:] == [("star", "online")] for socket in sockets[:-1]))
        assert len(sockets[-1].heard) == 1


async def test_who_has_left_is_told_nothing_and_nothing_is_kept() -> None:
    async with world() as made:
        socket = await made.watched("bob")
        made.watching.left(socket)
        made.announce("bob", "online", 5)
        assert len(socket.heard) == 1
        assert made.watching.table.pairs == 0


async def test_what_cannot_be_read_is_let_go(caplog: Any) -> None:
    made = World()
    made.watching.announced(b"nonsense")
    assert "cannot be read" in caplog.text
