"""What it takes when many devices come back at once, and what live messages feel of it.

Every device comes back twice to the same gateway: once with nothing missed, once with some messages missed. The
difference is what reading the log costs. Meanwhile one user writes to another, and the time to arrival is taken. The
same with `bench/light_gateway.py`, which has nothing to give back: its devices only reconnect.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

import nats
import psutil
import uvloop
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect
from redis.asyncio import Redis
from tests.support.chat import token_for
from tests.support.servers import Nats, Valkey, free_port
from tests.support.services import environ_for, in_process

from bench.around import servers
from bench.gateway import cpu, started
from push_workloads.common.cursor_keys import cursor_key
from push_workloads.common.tasks import beside

SOURCES = 4  # loopback addresses: one has ports for about 28,000 connections
LIVE_EVERY_SECONDS = 0.02
LIGHT = ["bench.light_gateway"]


class Returning(WSListener):
    """A device that waits until it has `missed` messages, or for nothing but the word that nothing was missed."""

    def __init__(self, missed: int) -> None:
        super().__init__()
        self.missing = missed
        self.told = 0
        self.began = time.monotonic()
        self.done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        head = bytes(frame.get_payload_as_memoryview()[:20])
        if b'"subscribed"' in head and b'"recovered":false' in frame.get_payload_as_bytes():
            self.told = self.missing  # that it must read the history
            self.missing = 0
        self.missing -= b'"message"' in head
        if self.missing <= 0 and b'"welcome"' not in head and not self.done.done():
            self.done.set_result(time.monotonic() - self.began)


class Live(WSListener):
    """Two sockets of this make a conversation; the time to arrival is taken by the receiving one."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        decoded = json.loads(frame.get_payload_as_bytes())
        if decoded["type"] == "message":
            self.times.append(time.monotonic() - decoded["content"])

    def say(self) -> None:
        if self.transport is not None:
            frame = {"type": "send_message", "recipient_id": "live-b", "content": time.monotonic()}
            self.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())


async def connected(make: Callable[[], WSListener], url: str, number: int) -> None:
    while True:
        try:
            address = (f"127.0.0.{1 + number % SOURCES}", 0)
            await ws_connect(make, url, local_addr=address, use_aiofastnet=False, read_buffer_init_size=1024)
        except (WSHandshakeError, ConnectionError):
            await asyncio.sleep(0.2)
        else:
            return


async def come_back(url: str, devices: int, missed: int) -> list[float]:
    """Seconds until each has caught up."""
    all_of_them = [Returning(missed) for _ in range(devices)]

    def with_query(number: int) -> str:
        return f"{url}?token={token_for(f'user{number}')}&device_id=phone"

    urls = [with_query(number) for number in range(devices)]  # signing is no part of what is measured
    for one in all_of_them:
        one.began = time.monotonic()
    makers = [partial(_itself, one) for one in all_of_them]
    await asyncio.gather(*(connected(make, urls[number], number) for number, make in enumerate(makers)))
    took = await asyncio.gather(*(one.done for one in all_of_them))
    if any(one.told for one in all_of_them):
        print(f"not recovered: {sum(one.told > 0 for one in all_of_them)} devices")
    for one in all_of_them:
        if one.transport is not None:
            one.transport.disconnect(False)
    await asyncio.sleep(2.0)
    return took


def _itself(one: Returning) -> Returning:
    return one


class Inboxes:
    """The devices' inboxes, and where each ends."""

    def __init__(self, server: Nats, valkey: Valkey, devices: int) -> None:
        self._server = server
        self._valkey = valkey
        self._heads = [0] * devices
        self._round = 0

    async def miss(self, missed: int) -> None:
        """Each device's cursor is set to the end of its inbox, then messages are added."""
        bus = await nats.connect(self._server.url)
        info = json.loads((await bus.request("$JS.API.STREAM.INFO.LOG_0")).data)
        await self._set_cursors(info["config"]["metadata"]["epoch"])
        js = bus.jetstream(publish_async_max_pending=1000)
        body = {"message_id": "m", "from": "x", "recipient_id": "y", "conversation": "x", "kind": "text"}
        payload = json.dumps(body | {"content": {"text": "Hello!"}, "sent_at": 1}).encode()
        self._round += 1
        for number in range(missed):
            acks = []
            for user in range(len(self._heads)):
                headers = {"Nats-Msg-Id": f"{self._round}.{number}.{user}:u"}
                acks.append(await js.publish_async(f"log.0.u.user{user}", payload, headers=headers))
            self._heads = [ack.seq for ack in await asyncio.gather(*acks)]
        await bus.close()

    async def _set_cursors(self, epoch: str) -> None:
        async with Redis.from_url(self._valkey.url) as redis:
            pipe = redis.pipeline(transaction=False)
            for user, head in enumerate(self._heads):
                pipe.hset(cursor_key(f"user{user}", "phone"), f"user:user{user}", f"{epoch} {head}")
            await pipe.execute()


@dataclass
class Round:
    """One coming back of everybody: seconds until each had caught up, times of live messages, CPU seconds."""

    took: list[float]
    live: list[float]
    gateway_s: float
    nats_s: float

    @property
    def p95(self) -> float:
        return quantiles(self.took, n=20)[18]


class Bench:
    """`comes_back`: the rounds of one gateway, each with what it is missed in it."""

    def __init__(self, server: Nats, valkey: Valkey, environ: dict[str, str], devices: int) -> None:
        self._server = server
        self._environ = environ
        self._devices = devices
        self._inboxes = Inboxes(server, valkey, devices)

    async def comes_back(self, module: list[str], rounds: list[int]) -> list[Round]:
        port = free_port()
        ports = {"PORT": str(port), "ADMIN_PORT": str(free_port()), "SSE_PORT": str(free_port())}
        given = {"PYTHONPATH": "."} | self._environ | ports
        url = f"ws://127.0.0.1:{port}/ws"
        bus = psutil.Process(self._server.pid)
        async with started([sys.executable, "-m", *module], given) as gateway, talking(url) as receiver:
            done = []
            for missed in rounds:
                await self._inboxes.miss(missed)
                receiver.times.clear()
                before = cpu(gateway), cpu(bus)
                took = await come_back(url, self._devices, missed if module != LIGHT else 0)
                done.append(Round(took, list(receiver.times), cpu(gateway) - before[0], cpu(bus) - before[1]))
            return done


@asynccontextmanager
async def talking(url: str) -> AsyncIterator[Live]:
    """A conversation that goes on all the time: its receiving end."""
    sender, receiver = Live(), Live()
    await connected(lambda: sender, f"{url}?token={token_for('live-a')}", 0)
    await connected(lambda: receiver, f"{url}?token={token_for('live-b')}", 0)
    await asyncio.sleep(1.0)

    async def talk() -> None:
        while True:
            sender.say()
            await asyncio.sleep(LIVE_EVERY_SECONDS)

    async with beside(talk()):
        yield receiver


async def main(devices: int, missed: int) -> None:
    async with AsyncExitStack() as stack:
        folder, server, valkey = await stack.enter_async_context(servers())
        environ = environ_for(
            NATS_URL=server.url, REDIS_URL=valkey.url, SQLITE_PATH=str(folder / "history.db"),
            LOG_MAX_BYTES=str(2 * 1024**3), FRAMES_PER_SECOND="1000",
        )  # fmt: skip
        message = await stack.enter_async_context(in_process("message", environ))  # makes the log, and answers
        await message.ready()
        bench = Bench(server, valkey, environ, devices)
        ours = await bench.comes_back(["push_workloads", "gateway"], [0, missed, 0])
        light = await bench.comes_back(LIGHT, [0, missed])
    print(
        f"{devices} devices; load average of the machine at the end: {os.getloadavg()[0]:.1f}; {os.cpu_count()} cores"
    )
    names = ("ours, nothing missed", f"ours, {missed} missed each", "ours, nothing missed")
    for name, one in zip(names, ours, strict=True):
        show(name, one)
    for name, one in zip(("light, reconnects", "light, loses all missed"), light, strict=True):
        show(name, one)
    for name, mine, other in (("reconnects", ours[2], light[0]), ("with what was missed", ours[1], light[1])):
        print(
            f"ours / light, {name:22} p95 {mine.p95 / other.p95:5.2f}   "
            f"gateway CPU {mine.gateway_s / other.gateway_s:5.2f}"
        )


def show(name: str, one: Round) -> None:
    cuts, live = quantiles(one.took, n=20), quantiles(one.live, n=100)
    print(
        f"{name:24} caught up p50 {cuts[9]:6.2f} s  p95 {cuts[18]:6.2f} s   CPU gateway {one.gateway_s:6.2f} s "
        f"NATS {one.nats_s:5.2f} s   live p50 {live[49] * 1000:7.1f} ms  p99 {live[98] * 1000:7.1f} ms  "
        f"({len(one.live)} messages)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=5000)
    parser.add_argument("--missed", type=int, default=10)
    chosen = parser.parse_args()
    uvloop.run(main(chosen.devices, chosen.missed))
