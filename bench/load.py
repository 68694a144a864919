"""The clients of `bench/gateway.py` and `bench/latency.py`, in a process of their own: many sockets, lean, and obedient
on standard input.

Each line in is a command with a number, each line out says that it is done: `open` that many sockets, `durable`: send
that many messages from up to 500 sockets to as many others, one under way on each; `reset` the count of messages;
`expect` it to reach a number. `paced` has two numbers, messages a second and how many, sends them evenly, and answers
how many arrived and the p50 and p99 of the time that took, in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from statistics import quantiles
from typing import Any

import uvloop
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect
from tests.support.chat import token_for

SOURCES = 4  # loopback addresses: one has ports for about 28,000 connections


class Load:
    def __init__(self, url: str) -> None:
        self.url = url
        self.sockets: list[Socket] = []
        self.welcomes = self.acks = self.messages = 0
        self.to_send = 0
        self.sent_at: list[float] | None = None  # by number, while times are taken
        self.times: list[float] = []
        self.changed = asyncio.Event()

    async def open(self, count: int) -> None:
        """That many more sockets, each of a user of its own."""
        gate = asyncio.Semaphore(64)
        first = len(self.sockets)

        async def one(number: int) -> None:
            async with gate:
                await self.connect(number)

        await asyncio.gather(*(one(number) for number in range(first, first + count)))
        await self.until(lambda: self.welcomes == first + count)
        self.sockets.sort(key=lambda socket: socket.number)

    async def connect(self, number: int) -> None:
        url = f"{self.url}?token={token_for(f'user{number}')}"
        address = (f"127.0.0.{1 + number % SOURCES}", 0)
        while True:
            try:
                await ws_connect(
                    lambda: self.add(number), url, local_addr=address, use_aiofastnet=False, read_buffer_init_size=1024
                )
            except (WSHandshakeError, ConnectionError):
                await asyncio.sleep(0.2)  # it listens before it is ready
            else:
                return

    def add(self, number: int) -> Socket:
        socket = Socket(self, number)
        self.sockets.append(socket)
        return socket

    async def durable(self, count: int) -> None:
        self.acks = self.messages = 0
        senders = self.sockets[: min(len(self.sockets) // 2, 500)]
        self.to_send = count
        for socket in senders:
            socket.send_next()
        await self.until(lambda: self.acks == count and self.messages == count)

    async def paced(self, per_second: int, count: int) -> str:
        self.acks = self.messages = 0
        self.times, self.sent_at = [], []
        senders = self.sockets[: len(self.sockets) // 2]
        start = time.monotonic()
        for number in range(count):
            await asyncio.sleep(max(0.0, start + number / per_second - time.monotonic()))
            self.sent_at.append(time.monotonic())
            senders[number % len(senders)].send(number)
        await self.until(lambda: self.messages == count)
        self.sent_at = None
        cuts = quantiles(self.times, n=100)
        return f"{len(self.times)} {cuts[49] * 1000} {cuts[98] * 1000}"

    async def reset(self, count: int) -> None:
        self.messages = count

    async def expect(self, count: int) -> None:
        await self.until(lambda: self.messages == count)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(300):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Socket(WSListener):
    def __init__(self, load: Load, number: int) -> None:
        super().__init__()
        self.load = load
        self.number = number
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        load = self.load
        head = bytes(frame.get_payload_as_memoryview()[:20])
        if b'"message"' in head:
            load.messages += 1
            if load.sent_at is not None:
                number = json.loads(frame.get_payload_as_bytes())["content"]["text"]
                load.times.append(time.monotonic() - load.sent_at[number])
        elif b'"ack"' in head:
            load.acks += 1
            self.send_next()
        elif b'"welcome"' in head:
            load.welcomes += 1
        elif b'"subscribed"' not in head:
            sys.stderr.write(f"unexpected: {frame.get_payload_as_bytes()!r}\n")
        load.changed.set()

    def send_next(self) -> None:
        load = self.load
        if load.to_send and self.transport is not None:
            load.to_send -= 1
            self.send("Hello!")

    def send(self, text: str | int) -> None:
        if self.transport is not None:
            load = self.load
            peer = self.number + len(load.sockets) // 2
            frame = {"type": "send_message", "id": "1", "recipient_id": f"user{peer}", "content": {"text": text}}
            self.transport.send(WSMsgType.TEXT, json.dumps(frame).encode())


async def main(url: str) -> None:
    load = Load(url)
    commands: dict[bytes, Any] = {
        b"paced": load.paced,
        b"open": load.open,
        b"durable": load.durable,
        b"reset": load.reset,
        b"expect": load.expect,
    }
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).split():
        answer = await commands[line[0]](*(int(word) for word in line[1:]))
        sys.stdout.write(f"{answer or 'done'}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
