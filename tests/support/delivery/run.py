"""One run: a quiet beginning, trouble while messages are sent, a quiet end, the verdict."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from push_workloads.common.tasks import beside
from tests.support.delivery.book import Book, Verdict
from tests.support.delivery.device import Device
from tests.support.delivery.stage import Stage, all_known, stage

SETTLE_SECONDS: Final = 90.0
OPENS_AT_ONCE: Final = 50


@dataclass(frozen=True)
class Plan:
    """`kind`: quiet; cuts: each socket is cut about every `cut_every` seconds and stays away up to `offline` of them;
    crashes: each process is killed once, one after another. `sends` a second, over all devices."""

    kind: str
    devices: int
    seconds: float
    sends: float = 50.0
    cut_every: float = 15.0
    offline: float = 2.0
    users_share: int = 3  # devices a user
    seed: int = 1


async def check(plan: Plan, folder: Path) -> Verdict:
    book, random = Book(), Random(plan.seed)
    async with stage(folder) as made:
        devices = _devices(plan, made, book, random)
        async with _living(devices):
            for start in range(0, len(devices), OPENS_AT_ONCE):
                await asyncio.gather(*(device.ready.wait() for device in devices[start : start + OPENS_AT_ONCE]))
            await all_known(made, [(device.user, device.name) for device in devices])
            trouble = [_cuts(plan, devices, random)] if plan.kind == "cuts" else []
            async with beside(*trouble, _sending(plan, devices, random)):
                if plan.kind == "crashes":
                    await _crashes(plan, made, book)
                else:
                    await asyncio.sleep(plan.seconds)
            await _settle(book, devices)
    return book.verdict()


def _devices(plan: Plan, made: Stage, book: Book, random: Random) -> list[Device]:
    users = max(2, plan.devices // plan.users_share)
    return [
        Device(
            f"device-{number}", f"user-{number % users}", number % 2 == 1, made.gateways, book,
            Random(random.random()),
        )
        for number in range(plan.devices)
    ]  # fmt: skip


@asynccontextmanager
async def _living(devices: list[Device]) -> AsyncIterator[None]:
    async with beside(*(device.live() for device in devices)):
        yield
        await asyncio.gather(*(device.close() for device in devices))


async def _sending(plan: Plan, devices: list[Device], random: Random) -> None:
    users = sorted({device.user for device in devices})
    run, number = secrets.token_hex(8), 0  # a message of an earlier run is none of this one's
    while True:
        await asyncio.sleep(random.expovariate(plan.sends))
        number += 1
        await random.choice(devices).send(f"{run}-{number:07}", random.choice(users))


async def _cuts(plan: Plan, devices: list[Device], random: Random) -> None:
    async def one(device: Device) -> None:
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * plan.cut_every)
            device.away = random.uniform(0, 1) * plan.offline
            device.cut()

    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(one(device))


async def _crashes(plan: Plan, made: Stage, book: Book) -> None:
    disasters = made.disasters()
    pause = plan.seconds / (len(disasters) + 1)
    for name, crash in disasters.items():
        await asyncio.sleep(pause)
        await crash()
        book.told[f"killed {name}"] += 1
    await asyncio.sleep(pause)


async def _settle(book: Book, devices: list[Device]) -> None:
    """Until everything sent is acknowledged and has arrived; what has not by then counts as lost."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while not all(device.settled for device in devices) or book.missing():
        if asyncio.get_running_loop().time() > deadline:
            unsettled = sum(not device.settled for device in devices)
            if unsettled:
                book.unexplained["devices with messages that were never acknowledged"] += unsettled
            return
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.0)  # what comes now and nobody waits for would be a repeat, or worse
