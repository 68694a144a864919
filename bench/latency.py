"""What durability costs: time to arrival at half load, and messages a CPU second of the gateway process.

Three gateways in the same run, against the same NATS: ours; `bench/naive_gateway.py`, durable too; and
`bench/light_gateway.py`, which stores nothing. Each is first sent as much as it takes (its full load, one message under
way on each socket), then messages are sent evenly at half of the slowest's rate and at half of its own, and the time
from the send to the recipient's socket is taken. The first has the same load on all, the second each one's own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import psutil
from tests.support.servers import free_port
from tests.support.services import environ_for, in_process

from bench.around import servers
from bench.gateway import Commands, cpu, loading, started

OURS, NAIVE, LIGHT = "ours", "naive (durable)", "light (stores nothing)"
MODULES = {
    OURS: ["push_workloads", "gateway"], NAIVE: ["bench.naive_gateway"], LIGHT: ["bench.light_gateway"],
}  # fmt: skip


@dataclass
class Rate:
    """At a rate: times to arrival in milliseconds, and messages a CPU second."""

    per_s: float
    p50: float
    p99: float
    per_cpu_s: float


class Running:
    """One gateway under load."""

    def __init__(self, process: psutil.Process, load: Commands) -> None:
        self._process = process
        self._load = load

    async def full(self, messages: int) -> float:
        """Messages a second when more are always ready to be sent."""
        await self._load.do(f"durable {messages // 10}")
        start = asyncio.get_running_loop().time()
        await self._load.do(f"durable {messages}")
        return messages / (asyncio.get_running_loop().time() - start)

    async def at(self, per_s: float, seconds: float) -> Rate:
        before = cpu(self._process)
        answer = await self._load.ask(f"paced {round(per_s)} {round(per_s * seconds)}")
        count, p50, p99 = (float(word) for word in answer.split())
        return Rate(per_s, p50, p99, count / (cpu(self._process) - before))


@asynccontextmanager
async def gateway(module: list[str], environ: dict[str, str], sockets: int) -> AsyncIterator[Running]:
    port = free_port()
    ports = {"PORT": str(port), "ADMIN_PORT": str(free_port()), "SSE_PORT": str(free_port())}
    given = environ | ports | {"PATH": os.environ["PATH"], "PYTHONPATH": "."}
    async with started([sys.executable, "-m", *module], given) as process, loading(port) as load:
        await load.do(f"open {sockets}")
        yield Running(process, load)


async def main(sockets: int, messages: int, seconds: float) -> None:
    async with AsyncExitStack() as stack:
        folder, server, valkey = await stack.enter_async_context(servers())
        environ = environ_for(
            NATS_URL=server.url, REDIS_URL=valkey.url, FRAMES_PER_SECOND="100000", FRAMES_BURST="100000",
            SQLITE_PATH=str(folder / "history.db"), LOG_MAX_BYTES=str(2 * 1024**3),
        )  # fmt: skip
        message = await stack.enter_async_context(in_process("message", environ))  # makes the log; is not measured
        await message.ready()
        most, same, half = {}, {}, {}
        for name, module in MODULES.items():
            async with gateway(module, environ, sockets) as made:
                most[name] = await made.full(messages)
        for name, module in MODULES.items():
            async with gateway(module, environ, sockets) as made:
                await made.full(sockets)  # what is asked once about each recipient is not what a message costs
                same[name] = await made.at(min(most.values()) / 2, seconds)
                half[name] = await made.at(most[name] / 2, seconds)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"{sockets} sockets; load averages of the machine at the end: {load}; {os.cpu_count()} cores")
    show("the same load: half of what the slowest takes", most, same)
    show("each at half of what it takes", most, half)


def show(title: str, most: dict[str, float], rates: dict[str, Rate]) -> None:
    print(f"\n{title}")
    print(f"{'':24}{'most/s':>10}{'sent/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'per CPU s':>12}")
    for name, rate in rates.items():
        values = f"{rate.per_s:>10.0f}{rate.p50:>10.2f}{rate.p99:>10.2f}{rate.per_cpu_s:>12.0f}"
        print(f"{name:24}{most[name]:>10.0f}{values}")
    ours = rates[OURS]
    for name in (NAIVE, LIGHT):
        other = rates[name]
        values = f"{'':10}{ours.p50 / other.p50:>10.2f}{ours.p99 / other.p99:>10.2f}"
        ratio = f"{ours.per_cpu_s / other.per_cpu_s:>12.2f}"
        print(f"{'ours / ' + name.partition(' ')[0]:24}{most[OURS] / most[name]:>10.2f}{values}{ratio}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=15.0)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.sockets, chosen.messages, chosen.seconds))
