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
from tests.support.cassandra import CassandraServer
from tests.support.delivery import history, trouble
from tests.support.delivery.book import Book, Verdict
from tests.support.delivery.device import Device
from tests.support.delivery.groups import Groups
from tests.support.delivery.stage import TOPIC, Stage, all_known, stage

SETTLE_SECONDS: Final = 20.0
OPENS_AT_ONCE: Final = 50


@dataclass(frozen=True)
class Plan:
    """`kind`: quiet; cuts: each socket is cut about every `cut_every` seconds and stays away up to `offline` of them;
    crashes: each process is killed once, one after another; swaps: each service is replaced twice, which takes
    Cassandra. `sends` a second, over all devices, of which shares go to groups and to the topic; `churn`: members added
    or removed a second."""

    kind: str
    devices: int
    seconds: float
    sends: float = 50.0
    cut_every: float = 15.0
    offline: float = 2.0
    users_share: int = 3  # devices a user
    groups: int = 6
    group_share: float = 0.3
    topic_share: float = 0.05
    topic_readers: int = 5  # one of so many
    churn: float = 1.0
    seed: int = 1


async def check(plan: Plan, folder: Path, cassandra: CassandraServer | None = None) -> Verdict:
    book, random = Book(), Random(plan.seed)
    async with stage(folder, cassandra) as made:
        users = [f"user-{number}" for number in range(max(2, plan.devices // plan.users_share))]
        groups = Groups(made, book, Random(random.random()))
        await groups.make(plan.groups, users)
        devices = _devices(plan, made, users, groups, book, random)
        async with _living(devices):
            for start in range(0, len(devices), OPENS_AT_ONCE):
                await asyncio.gather(*(device.ready.wait() for device in devices[start : start + OPENS_AT_ONCE]))
            places = [(one.user, one.name, channel) for one in devices for channel in one.channels]
            await all_known(made, [place for place in places if place[2] != TOPIC])
            await _trouble(plan, made, devices, groups, book, random)
            await _settle(book, devices)
        await groups.look()
        await history.look(made, book, groups.owners)
    return book.verdict()


def _devices(plan: Plan, made: Stage, users: list[str], groups: Groups, book: Book, random: Random) -> list[Device]:
    """The devices of a user have one after another: own cursors or none, the topic or not."""
    devices = []
    for number in range(plan.devices):
        user, seed = users[number % len(users)], Random(random.random())
        channels = groups.of(user) + ([TOPIC] if number % plan.topic_readers == 0 else [])
        own = seed.random() < 0.5
        devices.append(Device(f"device-{number}", user, own, channels, made.gateways, book, seed))
    return devices


@asynccontextmanager
async def _living(devices: list[Device]) -> AsyncIterator[None]:
    async with beside(*(device.live() for device in devices)):
        yield
        await asyncio.gather(*(device.close() for device in devices))


async def _trouble(plan: Plan, made: Stage, devices: list[Device], groups: Groups, book: Book, random: Random) -> None:
    beneath = [_sending(plan, devices, groups, random), groups.churn(plan.churn)]
    if plan.kind == "cuts":
        beneath.append(trouble.cuts(devices, plan.cut_every, plan.offline, random))
    async with beside(*beneath):
        if plan.kind == "crashes":
            await trouble.crashes(made, plan.seconds, book)
        elif plan.kind == "swaps":
            await trouble.swaps(made, plan.seconds, book)
        else:
            await asyncio.sleep(plan.seconds)
    await groups.settled()


async def _sending(plan: Plan, devices: list[Device], groups: Groups, random: Random) -> None:
    users = sorted({device.user for device in devices})
    run, number = secrets.token_hex(8), 0  # a message of an earlier run is none of this one's
    while True:
        await asyncio.sleep(random.expovariate(plan.sends))
        number += 1
        device, share = random.choice(devices), random.random()
        mine = groups.of(device.user)
        target = f"user:{random.choice(users)}"
        if share < plan.topic_share:
            target = TOPIC
        elif share < plan.topic_share + plan.group_share and mine:
            target = random.choice(mine)
        await device.send(f"{run}-{number:07}", target)


async def _settle(book: Book, devices: list[Device]) -> None:
    """Until everything sent is acknowledged and has arrived; what has not by then counts as lost."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while not all(device.settled for device in devices) or book.missing():
        if asyncio.get_running_loop().time() > deadline:
            unsettled = sum(not device.settled for device in devices)
            if unsettled:
                book.unexplained["devices with messages that were never acknowledged"] += unsettled
            break
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.0)  # what comes now and nobody waits for would be a repeat, or worse
    book.close()
