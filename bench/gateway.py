"""What the gateway costs: memory for an idle socket, CPU for a message; against bench/naive_gateway.py in the same run.

Both run as processes of their own against the same real NATS; the CPU seconds are the gateway process's, from the
kernel. *Durable*: a frame in, two copies into the log, an ack out, a message out. *Ephemeral*: a message that arrives
on the bus and goes out to one socket, nothing stored.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import nats
import psutil
from nats.aio.client import Client
from tests.support.servers import Nats, free_port
from tests.support.services import environ_for, in_process

from bench.around import servers


@dataclass
class Cost:
    idle_kib: float
    durable_us: float
    durable_per_s: float
    ephemeral_us: float


class Commands:
    """The load process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, command: str) -> None:
        assert await self.ask(command) == "done", command

    async def ask(self, command: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\n".encode())
        return (await self._process.stdout.readline()).decode().strip()


async def measure(server: Nats, module: list[str], environ: dict[str, str], sockets: int, messages: int) -> Cost:
    port = free_port()
    ports = {"PORT": str(port), "ADMIN_PORT": str(free_port()), "SSE_PORT": str(free_port())}
    given = environ | ports | {"PATH": os.environ["PATH"], "PYTHONPATH": "."}
    async with started([sys.executable, "-m", *module], given) as gateway, loading(port) as load:
        await load.do("open 20")  # what the first sockets cost once is not what a socket costs
        before = gateway.memory_info().rss
        await load.do(f"open {sockets}")
        idle = (gateway.memory_info().rss - before) / 1024 / sockets
        await load.do(f"durable {messages // 10}")
        start, wall = cpu(gateway), time.monotonic()
        await load.do(f"durable {messages}")
        durable, took = cpu(gateway) - start, time.monotonic() - wall
        await load.do("reset 0")
        start = cpu(gateway)
        await publish(server, sockets, messages)
        await load.do(f"expect {messages}")
        ephemeral = cpu(gateway) - start
    return Cost(idle, durable * 1e6 / messages, messages / took, ephemeral * 1e6 / messages)


async def publish(server: Nats, sockets: int, messages: int) -> None:
    """Messages of the kind that the log republishes, but from nobody's log: each socket's channel in turn."""
    bus = await nats.connect(server.url)
    about = {"message_id": "m", "from": "x", "recipient_id": "y"}
    body = {**about, "content": {"text": "Hello!"}, "sent_at": time.time_ns() // 1_000_000}
    payload = json.dumps(body).encode()
    last = [0] * sockets
    for number in range(messages):
        user = number % sockets
        seq = 10_000_000 + number
        headers = {"Nats-Sequence": str(seq), "Nats-Last-Sequence": str(last[user]), "Nats-Msg-Id": f"m{number}:u"}
        if last[user] == 0:
            headers["Nats-Last-Sequence"] = str(await head(bus, user))
        last[user] = seq
        await bus.publish(f"dlv.u.user{20 + user}", payload, headers=headers)
        if number % 500 == 0:
            await bus.flush()
    await bus.close()


async def head(bus: Client, user: int) -> int:
    question = json.dumps({"last_by_subj": f"log.0.u.user{20 + user}"}).encode()
    answer = json.loads((await bus.request("$JS.API.STREAM.MSG.GET.LOG_0", question)).data)
    return int(answer["message"]["seq"]) if "message" in answer else 0


@asynccontextmanager
async def started(command: list[str], environ: dict[str, str]) -> AsyncIterator[psutil.Process]:
    child = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        command, env=environ, stderr=subprocess.DEVNULL
    )
    try:
        yield psutil.Process(child.pid)
    finally:
        child.kill()
        child.wait()


@asynccontextmanager
async def loading(port: int) -> AsyncIterator[Commands]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", f"ws://127.0.0.1:{port}/ws",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Commands(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def main(sockets: int, messages: int) -> None:
    async with AsyncExitStack() as stack:
        folder, server, valkey = await stack.enter_async_context(servers())
        environ = environ_for(
            NATS_URL=server.url,
            REDIS_URL=valkey.url,
            FRAMES_PER_SECOND="100000",
            FRAMES_BURST="100000",
            SQLITE_PATH=str(folder / "history.db"),
            LOG_MAX_BYTES=str(2 * 1024**3),
        )
        async with in_process("message", environ) as message:  # makes the log, and answers; its work is not measured
            await message.ready()
            rows = {
                "gateway": await measure(server, ["push_workloads", "gateway"], environ, sockets, messages),
                "naive (aiohttp + nats-py)": await measure(server, ["bench.naive_gateway"], environ, sockets, messages),
            }
    show(rows, sockets, messages)


def show(rows: dict[str, Cost], sockets: int, messages: int) -> None:
    print(f"{sockets} sockets, {messages} messages of each kind\n")
    print(f"{'':28}{'idle KiB/socket':>17}{'durable CPU µs':>17}{'durable/s':>12}{'ephemeral CPU µs':>19}")
    for name, cost in rows.items():
        print(
            f"{name:28}{cost.idle_kib:>17.1f}{cost.durable_us:>17.1f}{cost.durable_per_s:>12.0f}{cost.ephemeral_us:>19.1f}"
        )
    ours, naive = rows.values()
    ratios = (naive.idle_kib / ours.idle_kib, naive.durable_us / ours.durable_us)
    more = (ours.durable_per_s / naive.durable_per_s, naive.ephemeral_us / ours.ephemeral_us)
    print(f"{'times better':28}{ratios[0]:>17.1f}{ratios[1]:>17.1f}{more[0]:>12.1f}{more[1]:>19.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=5000)
    parser.add_argument("--messages", type=int, default=20_000)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.sockets, chosen.messages))
