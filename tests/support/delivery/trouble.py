"""What goes wrong in a run, by kind."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from tests.support.delivery.book import Book
from tests.support.delivery.device import Device
from tests.support.delivery.stage import Stage

ROUNDS: Final = (False, True)  # of swaps: first each ends and is then replaced, then the other way round


async def cuts(devices: list[Device], every: float, offline: float, random: Random) -> None:
    """Each socket about every so many seconds; it stays away up to `offline` of them. Until cancelled."""

    async def one(device: Device) -> None:
        while True:
            await asyncio.sleep(random.uniform(0.5, 1.5) * every)
            device.away = random.uniform(0, 1) * offline
            device.cut()

    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(one(device))


async def crashes(made: Stage, seconds: float, book: Book) -> None:
    """Each process is killed once, one after another."""
    disasters = made.disasters()
    pause = seconds / (len(disasters) + 1)
    for name, crash in disasters.items():
        await asyncio.sleep(pause)
        await crash()
        book.told[f"killed {name}"] += 1
    await asyncio.sleep(pause)


async def swaps(made: Stage, seconds: float, book: Book) -> None:
    """Each service is told to end and another takes its place, one after another, twice."""
    names = made.services
    pause = seconds / (len(ROUNDS) * len(names) + 1)
    for first in ROUNDS:
        for name in names:
            await asyncio.sleep(pause)
            code = await made.swap(name, first=first)
            book.told[f"swapped {name}"] += 1
            if code:
                book.unexplained[f"{name} ended with {code}"] += 1
    await asyncio.sleep(pause)
