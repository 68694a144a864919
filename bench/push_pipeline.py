"""What a push costs from its job to its provider's answer, against a consumer that only takes jobs and acknowledges
them.

    python -m bench.push_pipeline [--jobs N]

Both work off the same jobs, one after the other, in a process of their own beside real NATS and Valkey; the provider is
one in memory, and the message service a second process. The ratio says what deciding, claiming, recording and sending
cost; the longest stall, what else the process would have had to wait for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import prometheus_client
import uvloop
from nats.aio.msg import Msg
from tests.support.pushing import Stage, now_ms, stage
from tests.support.servers import PASSWORDS, Valkey, operators_nats, running
from tests.support.waiting import eventually

from push_workloads.common import push_jobs
from push_workloads.common.bus import connected
from push_workloads.common.config import NatsConfig
from push_workloads.common.consumer import Consumer
from push_workloads.common.errors import Unavailable
from push_workloads.common.measures import Consumed
from push_workloads.common.push_jobs import PushJob
from push_workloads.common.service import tune_garbage_collection
from push_workloads.common.tasks import beside
from push_workloads.push.carrier import MemoryCarrier
from push_workloads.push.devices import Device
from push_workloads.push.ports import Ports
from push_workloads.push.store import MemoryDevices
from push_workloads.push.workers import JOBS

TICK_SECONDS: Final = 0.002
AT_ONCE: Final = 200


@dataclass(frozen=True)
class Result:
    """`cpu_seconds`: of this process. `stall_seconds`: how late its loop was at most, and `turn_seconds` how much CPU
    it took at most before it looked again; on a machine with other work the first has their turns in it too."""

    jobs: int
    seconds: float
    cpu_seconds: float
    stall_seconds: float
    turn_seconds: float

    def __str__(self) -> str:
        return (
            f"{self.jobs / self.seconds:8.0f} jobs/s   {self.jobs / self.cpu_seconds:8.0f} jobs a CPU second"
            f"   longest stall {self.stall_seconds * 1000:5.1f} ms, {self.turn_seconds * 1000:5.1f} ms of CPU"
        )


class Stalls:
    """How late the loop was at most."""

    def __init__(self) -> None:
        self.longest = self.turn = 0.0

    async def run(self) -> None:
        while True:
            began, cpu = time.monotonic(), time.process_time()
            await asyncio.sleep(TICK_SECONDS)
            self.turn = max(self.turn, time.process_time() - cpu)
            self.longest = max(self.longest, time.monotonic() - began - TICK_SECONDS)


async def _measured(jobs: int, consumers: Sequence[Consumer], done: Callable[[], Any]) -> Result:
    tune_garbage_collection()
    stalls = Stalls()
    began, cpu = time.monotonic(), time.process_time()
    async with beside(stalls.run(), *(one.run() for one in consumers)):
        await eventually(done, within=600)
        return Result(jobs, time.monotonic() - began, time.process_time() - cpu, stalls.longest, stalls.turn)


def _job(number: int) -> PushJob:
    user = f"user{number}"
    text = "a message of usual length, as people write them"
    return PushJob(f"m{number}", user, f"m{number}", f"user:{user}", 7, "bob", now_ms(), text, None, "e1", "user:bob")


async def _put(made: Stage, jobs: int, run: str) -> None:
    for first in range(0, jobs, AT_ONCE):
        some = (_job(number) for number in range(first, min(jobs, first + AT_ONCE)))
        await asyncio.gather(*(
            made.put_raw(push_jobs.subject(job.user_id), push_jobs.encode(job), f"{run}-{job.job_id}") for job in some
        ))  # fmt: skip


async def _bare(made: Stage, jobs: int) -> Result:
    taken = [0]

    async def acknowledge(messages: Sequence[Msg]) -> None:
        for message in messages:
            await message.ack()
        taken[0] += len(messages)

    await _put(made, jobs, "bare")
    consumer = Consumer(made.bus.client, JOBS, acknowledge, Consumed(prometheus_client.CollectorRegistry()))
    return await _measured(jobs, [consumer], lambda: taken[0] >= jobs)


async def _pipeline(made: Stage, jobs: int) -> Result:
    carrier = MemoryCarrier()
    made.carriers = {"fcm": carrier}
    made.ports = made.ports._replace(devices=Phones())
    await _put(made, jobs, "pipeline")
    return await _measured(jobs, made.workers(), lambda: len(carrier.sent) >= jobs)


class Phones(MemoryDevices):
    """Everybody has one. What a store takes is not measured here."""

    async def of_user(self, user_id: str) -> list[Device]:
        return [await self.one(user_id, "phone")]

    async def one(self, user_id: str, device_id: str) -> Device:
        return Device(user_id, device_id, "fcm", f"address-of-{user_id}", None, None, None, 0, 0)


async def _answer(url: str) -> None:
    """The message service: nothing is read, three are unread."""
    async with connected(NatsConfig(url, "message", PASSWORDS["message"], 1), "message") as bus:

        async def respond(message: Msg) -> None:
            await message.respond(b'{"answer":"unread","read":false,"count":3}')

        await bus.client.subscribe("svc.message.unread", "message", respond)
        await asyncio.Event().wait()


@asynccontextmanager
async def _answering(url: str) -> AsyncIterator[None]:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.push_pipeline", "--answer", url)
    try:
        yield
    finally:
        child.kill()
        await child.wait()


async def _is_answered(ports: Ports) -> bool:
    try:
        return bool(await ports.facts.reading("user0", "user:bob", 0, "m0"))
    except Unavailable:
        return False


async def main(jobs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nats, valkey = operators_nats(folder / "nats"), Valkey(folder / "valkey")
        async with running(nats), running(valkey), _answering(nats.url), stage(nats, valkey, answers=False) as made:
            await eventually(lambda: _is_answered(made.ports))
            bare = await _bare(made, jobs)
            pipeline = await _pipeline(made, jobs)
    print(f"taken and acknowledged   {bare}")
    print(f"decided and sent         {pipeline}")
    print(f"a push costs {bare.jobs / bare.cpu_seconds / (pipeline.jobs / pipeline.cpu_seconds):.1f} times as much CPU")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--jobs", type=int, default=5000)
    arguments.add_argument("--answer", metavar="URL", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    uvloop.run(_answer(options.answer) if options.answer else main(options.jobs))
