"""A gateway dies with half of all sockets: what those see who watch its users, and what presence costs in Redis.

Two gateways hold the sockets, half each. Each socket of the second watches some users of the first, and one user is
watched by all of them. The first is killed (SIGKILL). Every other of its users comes back to the second within the
grace; the others never do. Nobody may see anything of the first, and each watcher one `offline` of each of the second,
within a lease and a grace. Besides: how many commands a connect costs, and a minute in which nothing happens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from statistics import median
from typing import Any

import nats
import uvloop
from aiohttp import ClientSession
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect
from redis.asyncio import Redis
from tests.support.chat import token_for
from tests.support.services import OwnProcess, environ_for, own_process
from tests.support.waiting import eventually

from bench.around import servers
from push_workloads.common.announcements import ALL
from push_workloads.common.presence_keys import LEASE_MS

WATCHED = 20  # by each watcher
AT_ONCE = 32
WELCOME_SECONDS = 20
WRITES = frozenset(
    {"set", "del", "hset", "hdel", "sadd", "srem", "zadd", "zrem", "eval", "evalsha", "pexpire", "unlink", "expire"}
)


class Watching(WSListener):
    """One user's socket; `seen`: what it was told once `counts` is on: user, status, when."""

    def __init__(self, user_id: str) -> None:
        super().__init__()
        self.user_id = user_id
        self.welcome = asyncio.Event()
        self.answered = 0
        self.counts = False
        self.seen: list[tuple[str, str, float]] = []
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if payload.startswith(b'{"type":"welcome"'):
            self.welcome.set()
        elif payload.startswith(b'{"type":"presence"'):
            self._told(json.loads(payload))

    def _told(self, frame: dict[str, Any]) -> None:
        self.answered += 1
        if self.counts:
            self.seen.append((frame["user_id"], frame["status"], time.monotonic()))

    def watch(self, user_ids: list[str]) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, json.dumps({"type": "watch", "user_ids": user_ids}).encode())


def _same(listener: Watching) -> Watching:
    return listener


async def opened(url: str, user_ids: list[str]) -> list[Watching]:
    """A socket for each, and all are welcome."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(user_id: str) -> Watching:
        address = f"{url.replace('http', 'ws')}/ws?token={token_for(user_id)}"
        async with gate:
            while True:
                listener = Watching(user_id)
                try:
                    await ws_connect(
                        partial(_same, listener), address, use_aiofastnet=False, read_buffer_init_size=1024
                    )
                    await asyncio.wait_for(listener.welcome.wait(), WELCOME_SECONDS)
                except (WSHandshakeError, ConnectionError, TimeoutError):
                    await asyncio.sleep(0.2)
                else:
                    return listener

    return list(await asyncio.gather(*(one(user_id) for user_id in user_ids)))


async def commands(redis: Any) -> Counter[str]:
    """How often each command was called so far."""
    stats = await redis.info("commandstats")
    return Counter({name.removeprefix("cmdstat_"): int(one["calls"]) for name, one in stats.items()})


def row(what: str, value: object) -> None:
    print(f"| {what} | {value} |", flush=True)


class Run:
    def __init__(self, users: int, grace: int, redis: Any, told: Counter[tuple[str, str]]) -> None:
        self.grace = grace
        self.redis = redis
        self.told = told  # on the bus: by user and status
        self.here = [f"first-{number}" for number in range(users // 2)]
        self.there = [f"second-{number}" for number in range(users // 2)]
        self.back = self.here[::2]
        self.gone = self.here[1::2]

    async def connect(self, first: OwnProcess, second: OwnProcess) -> list[Watching]:
        """The watchers, who know how it is by then."""
        before = await commands(self.redis)
        await opened(first.url, self.here)
        watchers = await opened(second.url, self.there)
        count = len(self.here) + len(self.there)
        await eventually(lambda: len(self.told) >= count, within=60)
        calls = await commands(self.redis) - before
        row("calls a connect that write for presence (scripts)", f"{calls['evalsha'] / count:.3f}")
        row(
            "writes within them a connect",
            f"{(calls['hset'] + calls['sadd']) / count:.2f} hset and sadd, those of devices included",
        )
        began, asked = time.monotonic(), 0
        for number, watcher in enumerate(watchers):
            wanted = {self.here[(number * WATCHED + step) % len(self.here)] for step in range(WATCHED)} | {self.gone[0]}
            watcher.watch(sorted(wanted))
            asked += len(wanted)
        await eventually(lambda: sum(watcher.answered for watcher in watchers) >= asked, within=60)
        row("pairs watched, and seconds until all were answered", f"{asked}, {time.monotonic() - began:.1f}")
        return watchers

    async def idle(self, seconds: int) -> None:
        """What a time costs in which nobody comes or goes."""
        before = await commands(self.redis)
        await asyncio.sleep(seconds)
        calls = await commands(self.redis) - before
        writes = {name: count * 60 // seconds for name, count in calls.items() if name in WRITES}
        row("idle: writes a minute in Redis, all of the platform", f"{sum(writes.values())} ({writes})")

    async def kill(self, first: OwnProcess, second: OwnProcess, watchers: list[Watching]) -> None:
        for watcher in watchers:
            watcher.counts = True
        self.told.clear()
        first.child.kill()
        killed = time.monotonic()
        await asyncio.sleep(2)
        await opened(second.url, self.back)
        row("returned to the second gateway by second", f"{time.monotonic() - killed:.1f}")
        limit = LEASE_MS / 1000 + self.grace
        await asyncio.sleep(killed + limit + 5 - time.monotonic())
        self.report(watchers, killed, limit)

    def report(self, watchers: list[Watching], killed: float, limit: float) -> None:
        back, gone = set(self.back), set(self.gone)
        flaps = [one for watcher in watchers for one in watcher.seen if one[0] in back]
        times = [at - killed for watcher in watchers for user, status, at in watcher.seen if user in gone]
        by_pair = Counter(
            (watcher.user_id, user) for watcher in watchers for user, _, _ in watcher.seen if user in gone
        )
        other = [one for watcher in watchers for one in watcher.seen if one[0] in gone and one[1] != "offline"]
        row("users that came back; frames that any watcher saw of them", f"{len(back)}; {len(flaps)}")
        row("users gone; watchers told", f"{len(gone)}; {len(by_pair)}")
        row("told more than once; told anything but offline", f"{sum(n > 1 for n in by_pair.values())}; {len(other)}")
        row("seconds from the kill to `offline`: first, median, last", " ".join(
            f"{one:.1f}" for one in (min(times), median(times), max(times))))  # fmt: skip
        row("limit: lease and grace, seconds", f"{limit:.0f}: {'kept' if max(times) <= limit else 'MISSED'}")
        star = self.gone[0]
        row(
            "watchers of one user; messages on the bus about it",
            f"{sum(pair[1] == star for pair in by_pair)}; {self.told[star, 'offline']}",
        )
        row("messages on the bus since the kill", dict(Counter(status for _, status in self.told.elements())))


async def main(users: int, grace: int, idle: int) -> None:
    told: Counter[tuple[str, str]] = Counter()

    async def hear(message: Any) -> None:
        announced = json.loads(message.data)
        told[announced["user_id"], announced["status"]] += 1

    async with servers() as (folder, bus, valkey), AsyncExitStack() as stack:
        http = await stack.enter_async_context(ClientSession())
        line = await nats.connect(bus.url)
        stack.push_async_callback(line.close)
        await line.subscribe(ALL, cb=hear)

        async def start(name: str, log: str, **more: str) -> OwnProcess:
            given = {"REDIS_URL": valkey.url, "NATS_URL": bus.url, "PRESENCE_GRACE_SECONDS": str(grace)}
            made = await stack.enter_async_context(own_process(name, environ_for(**given, **more), folder / log))
            await made.ready(http)
            return made

        await start("message", "message", SQLITE_PATH=str(folder / "history.db"), PRESENCE_VISIBLE_TO="everyone")
        await start("presence", "presence", SETTLE_SECONDS="0")
        first, second = await start("gateway", "first"), await start("gateway", "second")
        redis = await stack.enter_async_context(Redis.from_url(valkey.url))
        run = Run(users, grace, redis, told)
        row("sockets, on two gateways", users)
        watchers = await run.connect(first, second)
        await run.idle(idle)
        await run.kill(first, second, watchers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--grace", type=int, default=15, help="seconds")
    parser.add_argument("--idle", type=int, default=20, help="seconds in which nothing happens")
    given = parser.parse_args()
    uvloop.run(main(given.users, given.grace, given.idle))
