"""More than a gateway can do, for a while: many well-behaved sockets that together send too much, in a process of their
own (`python -m tests.support.flood`), and beside them a few calm clients whose sends are timed.

The process says `ready` when all sockets are welcome, floods at a line on standard input, waits until every message has
its answer, then tells what became of them as one line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import msgspec
import uvloop
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.chat import token_for
from tests.support.waiting import eventually

TICK_SECONDS = 0.02
MOST_UNSENT = 65_536  # what TCP does not take waits, and no more is sent
CALM_CLIENTS = 10
CALM_SECONDS = 1.0  # between two messages of one of them
PROBE_SECONDS = 0.5


class Outcome(msgspec.Struct):
    """What became of the messages of a flood. `lost`: acknowledged, but their recipients, who were there all the time,
    never saw them."""

    sent: int
    acked: int
    lost: int
    errors: dict[str, int]
    closed: dict[str, int]
    seconds: float


class _Frame(msgspec.Struct):
    type: str
    message_id: str = ""
    code: str = ""


_decode = msgspec.json.Decoder(_Frame).decode


class Flood:
    def __init__(self, url: str, count: int) -> None:
        self.url = url
        self.count = count
        self.sockets: list[Flooder] = []
        self.welcome = self.sent = 0
        self.acked: dict[str, int] = {}  # the recipient of each
        self.received: set[str] = set()
        self.errors: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()

    async def open(self) -> None:
        gate = asyncio.Semaphore(16)

        async def one(number: int) -> None:
            async with gate:
                await self._connect(number)

        await asyncio.gather(*(one(number) for number in range(self.count)))
        await _until(lambda: self.welcome == self.count, 30)

    async def _connect(self, number: int) -> None:
        url = f"{self.url}?token={token_for(f'flooder{number}')}"
        while True:
            try:
                _, made = await ws_connect(lambda: Flooder(self, number), url, use_aiofastnet=False)
            except (WSHandshakeError, ConnectionError):
                await asyncio.sleep(0.1)
            else:
                self.sockets.append(cast(Flooder, made))
                return

    def lost(self) -> int:
        here = {one.number for one in self.sockets if one.transport is not None}
        return sum(self.acked[missing] in here for missing in self.acked.keys() - self.received)

    async def run(self, rate: float, seconds: float) -> Outcome:
        started, turn = time.monotonic(), 0
        while (passed := time.monotonic() - started) < seconds:
            due = int(passed * rate * self.count)
            while turn < due:
                self.sockets[turn % self.count].send()
                turn += 1
            await asyncio.sleep(TICK_SECONDS)
        await _until(lambda: not any(one.pending for one in self.sockets), 60)
        await _until(lambda: not self.lost(), 10)
        lost = self.lost()
        return Outcome(self.sent, len(self.acked), lost, self.errors, self.closed, time.monotonic() - started)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await eventually(condition, within=seconds)


class Flooder(WSListener):
    def __init__(self, flood: Flood, number: int) -> None:
        super().__init__()
        self.flood = flood
        self.number = number
        self.peer = (number + 1) % flood.count
        self.pending = 0  # not answered
        recipient = f"flooder{self.peer}"
        frame = {"type": "send_message", "id": "1", "recipient_id": recipient, "content": {"text": "Hello!"}}
        self.frame = json.dumps(frame).encode()
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.transport, self.pending = None, 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        flood = self.flood
        if frame.msg_type == WSMsgType.CLOSE:
            flood.closed[str(frame.get_close_code())] += 1
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            read = _decode(frame.get_payload_as_memoryview())
            if read.type == "message":
                flood.received.add(read.message_id)
            elif read.type == "ack":
                flood.acked[read.message_id] = self.peer
                self.pending -= 1
            elif read.type == "error":
                flood.errors[read.code] += 1
                self.pending -= 1
            elif read.type == "welcome":
                flood.welcome += 1

    def send(self) -> None:
        if self.transport is None or self.transport.underlying_transport.get_write_buffer_size() > MOST_UNSENT:
            return
        self.flood.sent += 1
        self.pending += 1
        self.transport.send(WSMsgType.TEXT, self.frame)


@dataclass
class Seen:
    """What the calm ones saw during a flood. `refusals`: of new sockets, by status and `Retry-After`; `failed`: what
    else went wrong with new and calm ones, which a gateway in its right mind does not do."""

    outcome: Outcome
    latencies: list[float] = field(default_factory=list)
    refusals: Counter[tuple[int, str]] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    admitted: int = 0

    def percentile(self, share: float) -> float:
        """Seconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@asynccontextmanager
async def flooding(url: str, sockets: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process with all its sockets open."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flood", url, str(sockets),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def flood(url: str, sockets: int, rate: float, seconds: float) -> Seen:
    """`rate` messages a second by each of so many sockets, for so long, and what that does to others."""
    async with flooding(url, sockets) as child, _calm_clients(url) as calm:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(f"{rate} {seconds}\n".encode())
        seen = Seen(Outcome(0, 0, 0, {}, {}, 0))
        calls = (_time(client, number, seconds, seen) for number, client in enumerate(calm))
        knocking = asyncio.create_task(_knock(url, seen))
        answer, *_ = await asyncio.gather(child.stdout.readline(), *calls)
        knocking.cancel()
        await asyncio.wait([knocking])
        assert isinstance(answer, bytes)
        seen.outcome = msgspec.json.decode(answer, type=Outcome)
        return seen


@asynccontextmanager
async def _calm_clients(url: str) -> AsyncIterator[list[ClientConnection]]:
    opened = [await _enter(url, f"calm{number}") for number in range(CALM_CLIENTS)]
    try:
        yield opened
    finally:
        for client in opened:
            await client.close()


async def _enter(url: str, user_id: str) -> ClientConnection:
    client = await connect(f"{url}?token={token_for(user_id)}", compression=None, open_timeout=30)
    while json.loads(await client.recv())["type"] != "welcome":
        pass
    return client


async def _time(client: ClientConnection, number: int, seconds: float, seen: Seen) -> None:
    """Each message goes at its time, whether those before it have their answers or not."""
    first = time.monotonic() + CALM_SECONDS * number / CALM_CLIENTS
    dues = [first + CALM_SECONDS * turn for turn in range(int(seconds / CALM_SECONDS))]
    recipient = f"calm{(number + 1) % CALM_CLIENTS}"
    sent: dict[str, float] = {}
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_send(client, recipient, dues, sent))
        try:
            for _ in dues:
                identifier = await _answered(client)
                seen.latencies.append(time.monotonic() - sent[identifier])
        except ConnectionClosed as error:
            seen.failed[str(error)] += 1
            sending.cancel()


async def _send(client: ClientConnection, recipient: str, dues: list[float], sent: dict[str, float]) -> None:
    for number, due in enumerate(dues):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        frame = {"type": "send_message", "recipient_id": recipient, "content": {"text": "Hello!"}}
        sent[str(number)] = time.monotonic()
        await client.send(json.dumps(frame | {"id": str(number)}))


async def _answered(client: ClientConnection) -> str:
    while True:
        identifier = json.loads(await client.recv()).get("id")
        if identifier is not None:
            return str(identifier)


async def _knock(url: str, seen: Seen) -> None:
    """New sockets, as long as the flood has its effect."""
    while True:
        try:
            async with connect(f"{url}?token={token_for('new')}", compression=None, close_timeout=1):
                seen.admitted += 1
        except InvalidStatus as error:
            seen.refusals[(error.response.status_code, error.response.headers.get("Retry-After", ""))] += 1
        except (ConnectionClosed, TimeoutError) as error:
            seen.failed[str(error)] += 1
        await asyncio.sleep(PROBE_SECONDS)


def table(rows: dict[str, Seen]) -> str:
    head = f"{'':18}{'calm p50 ms':>13}{'p99 ms':>9}{'max ms':>9}{'acks/s':>9}"
    head += f"{'errors':>8}{'closed':>8}{'lost':>6}{'503':>5}{'failed':>8}"
    return "\n".join([head, *(_line(name, seen) for name, seen in rows.items())])


def _line(name: str, seen: Seen) -> str:
    p50, p99, worst = (f"{seen.percentile(share) * 1000:.0f}" for share in (0.5, 0.99, 1.0))
    told = seen.outcome
    rate = f"{told.acked / told.seconds:.0f}"
    errors, closed, refused = sum(told.errors.values()), sum(told.closed.values()), seen.refusals.total()
    counts = f"{errors:>8}{closed:>8}{told.lost:>6}{refused:>5}{seen.failed.total():>8}"
    return f"{name:18}{p50:>13}{p99:>9}{worst:>9}{rate:>9}{counts}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(url: str, sockets: int) -> None:
    made = Flood(url, sockets)
    await made.open()
    _say("ready")
    rate, seconds = (await asyncio.to_thread(sys.stdin.readline)).split()
    _say(msgspec.json.encode(await made.run(float(rate), float(seconds))).decode())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
