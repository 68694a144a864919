"""A crowd of clients with cursors, each with a user of its own, who write to each other all the time.

    python -m tests.support.crowd URL     the key that signs tokens in the environment as SIGNING_KEY_0

A process of its own: it is told what to do by lines of JSON on its input, and answers each with one on its output.

    {"do": "come", "number": n}     so many in all are connected when it answers
    {"do": "leave", "number": n}    so many go for good
    {"do": "begin"}                 a scene begins: what happens from here on is counted anew
    {"do": "figures"}               see `Figures`; waits until what was acknowledged has arrived, if it does

Messages are judged over all scenes together: one that was acknowledged in an earlier one must be there, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from push_client.client import Client
from push_client.errors import PushClientError
from push_client.events import Connected, Disconnected, Message
from push_workloads.common.config import TokenConfig
from push_workloads.common.keys import from_seed, in_turn
from push_workloads.common.tasks import beside
from push_workloads.common.tokens import Tokens

COME_PER_SECOND: Final = 150
MESSAGES_PER_SECOND: Final = 30
TALKERS: Final = 40  # who write half of all messages, to each other: without repeated pairs there is no order to keep
ARRIVE_SECONDS: Final = 60.0
RATE_SECONDS: Final = 10
CLOCK_SECONDS: Final = 0.1
TOKEN_SECONDS: Final = 7200


@dataclass
class Figures:
    """`p50`, `p95`, `longest`: seconds from the `reconnect` frame, or from a loss without one, to the next welcome.
    `asked`, `back`: clients that were asked to come back, and that came, a second, over the ten seconds with the most;
    `highest`: that came within one second. `late`: by how many seconds this process itself was late at its worst, with
    which such numbers grow. `untold`: connections that ended without a `reconnect` frame. `unsent`: messages that their
    senders know were not acknowledged. `lost` and `twice` are of all scenes until now."""

    clients: int = 0
    connected: int = 0
    reconnects: int = 0
    p50: float = 0.0
    p95: float = 0.0
    longest: float = 0.0
    asked: float = 0.0
    back: float = 0.0
    highest: int = 0
    late: float = 0.0
    untold: int = 0
    acked: int = 0
    unsent: int = 0
    lost: int = 0
    twice: int = 0
    disorder: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass
class Letters:
    """What was acknowledged, and what came. `due`: acknowledged, and not there yet."""

    came: Counter[str] = field(default_factory=Counter)
    due: set[str] = field(default_factory=set)
    last: dict[tuple[str, str], int] = field(default_factory=dict)
    disorder: int = 0

    @property
    def twice(self) -> int:
        return sum(number > 1 for number in self.came.values())

    def acked(self, message_id: str) -> None:
        if not self.came[message_id]:  # which may well be before its ack
            self.due.add(message_id)

    def arrived(self, reader: str, message: Message) -> None:
        self.came[message.message_id] += 1
        self.due.discard(message.message_id)
        if self.came[message.message_id] == 1:
            pair, number = (message.sender, reader), int(str(message.content).rpartition(" ")[2])
            self.disorder += number <= self.last.get(pair, 0)
            self.last[pair] = max(number, self.last.get(pair, 0))


@dataclass
class Scene:
    """What happened since it began. Times are monotonic seconds. `disorder`: what there was of it before."""

    acked: int = 0
    unsent: int = 0
    untold: int = 0
    late: float = 0.0
    disorder: int = 0
    took: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    returned: list[float] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def back(self, gone: float, now: float) -> None:
        self.took.append(now - gone)
        self.returned.append(now)


def share_of(values: Iterable[float], share: float) -> float:
    """The value below which so many lie; 0 when there are none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0


def most_within(seconds: float, times: Iterable[float]) -> int:
    """Wherever these seconds begin."""
    ordered, first, most = sorted(times), 0, 0
    for number, at in enumerate(ordered):
        while ordered[first] <= at - seconds:
            first += 1
        most = max(most, number - first + 1)
    return most


class Watched(Client):
    """Knows when its gateway asked it to come back elsewhere, which the library keeps from applications."""

    told_at: float | None = None

    def _hear(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "reconnect":
            self.told_at = time.monotonic()
        super()._hear(frame)

    def why_gone(self) -> float | None:
        """When it was asked to go, on the connection that is over now."""
        told, self.told_at = self.told_at, None
        return told


class Crowd:
    def __init__(self, url: str, key: str) -> None:
        self._url = url
        keys = in_turn({0: from_seed(key)}, TOKEN_SECONDS)
        self._tokens = Tokens(TokenConfig(None, TOKEN_SECONDS, "pushcluster", signing_keys=keys))
        self._clients: dict[str, Watched] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._gone: dict[str, float] = {}  # since when: since it was asked to, if it was
        self._welcome: dict[str, None] = {}  # in their order; what was sent before one's first welcome is history's
        self._number = 0
        self._random = random.Random(1)  # noqa: S311 - a crowd that can be had again
        self._letters = Letters()
        self._scene = Scene()

    async def come(self, number: int) -> None:
        while len(self._clients) < number:
            user = f"user-{len(self._readers)}"
            client = Watched(self._url, token=self._tokens.issue(user, int(time.time()), f"session-{user}"))
            await client.__aenter__()
            self._clients[user] = client
            self._readers[user] = asyncio.create_task(self._read(user, client))
            await asyncio.sleep(1 / COME_PER_SECOND)
        while not self._all_connected():  # noqa: ASYNC110 - 3,000 events
            await asyncio.sleep(0.2)

    async def leave(self, number: int) -> None:
        """Those who go have read all that was acknowledged."""
        going = self._random.sample(list(self._clients), number)  # of each gateway some
        leavers = {user: self._clients.pop(user) for user in going}
        for user in going:
            del self._welcome[user]
        await asyncio.gather(*self._sending)
        await self._until_arrived()
        for user, client in leavers.items():
            await client.close()
            await self._readers[user]

    async def write(self) -> None:
        """Until cancelled. Nobody waits for an ack before the next one."""
        while True:
            await asyncio.sleep(1 / MESSAGES_PER_SECOND)
            users = list(self._welcome)[: TALKERS if self._number % 2 else None]
            if len(users) > 1:
                self._number += 1
                sender, reader = self._random.sample(users, 2)
                task = asyncio.create_task(self._send(sender, self._clients[sender], reader, self._number))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def look_at_the_clock(self) -> None:
        """Until cancelled."""
        while True:
            due = time.monotonic() + CLOCK_SECONDS
            await asyncio.sleep(CLOCK_SECONDS)
            self._scene.late = max(self._scene.late, time.monotonic() - due)

    def begin(self) -> None:
        self._scene = Scene(disorder=self._letters.disorder)

    async def figures(self) -> Figures:
        lost = await self._until_arrived()
        letters, scene = self._letters, self._scene
        return Figures(
            clients=len(self._clients), connected=sum(one.connected for one in self._clients.values()),
            reconnects=len(scene.took), p50=share_of(scene.took, 0.5), p95=share_of(scene.took, 0.95),
            longest=share_of(scene.took, 1.0), asked=most_within(RATE_SECONDS, scene.asked) / RATE_SECONDS,
            back=most_within(RATE_SECONDS, scene.returned) / RATE_SECONDS, highest=most_within(1, scene.returned),
            late=round(scene.late, 2), untold=scene.untold, acked=scene.acked, unsent=scene.unsent, lost=len(lost),
            twice=letters.twice, disorder=letters.disorder - scene.disorder, reasons=dict(scene.reasons),
        )  # fmt: skip

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        await asyncio.gather(*self._readers.values(), *self._sending)

    def _all_connected(self) -> bool:
        return all(client.connected for client in self._clients.values())

    async def _until_arrived(self) -> set[str]:
        """Waits for what is acknowledged by now, as more is all the time. Returns what did not come."""
        awaited = set(self._letters.due)
        with suppress(TimeoutError):
            async with asyncio.timeout(ARRIVE_SECONDS):
                while awaited & self._letters.due or not self._all_connected():  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        return awaited & self._letters.due

    async def _send(self, sender: str, client: Client, reader: str, number: int) -> None:
        """By the client it had when it was chosen: it may be about to leave, which waits for what it sends."""
        try:
            sent = await client.send(to=reader, content=f"{sender} {number}")
        except PushClientError:
            self._scene.unsent += 1
            return
        self._scene.acked += 1
        self._letters.acked(sent.message_id)

    async def _read(self, user: str, client: Watched) -> None:
        async for event in client.events():
            now = time.monotonic()
            if isinstance(event, Connected) and user in self._clients:
                self._welcome.setdefault(user)
            match event:
                case Message() if not event.mine:
                    self._letters.arrived(user, event)
                case Disconnected():
                    self._lost(user, client.why_gone(), now, event.reason)
                case Connected() if user in self._gone:
                    self._scene.back(self._gone.pop(user), now)

    def _lost(self, user: str, told: float | None, now: float, reason: str) -> None:
        self._scene.reasons[reason] += 1
        if told is None:
            self._scene.untold += 1
        else:
            self._scene.asked.append(told)
        self._gone.setdefault(user, now if told is None else told)


async def obey(crowd: Crowd, order: dict[str, Any]) -> dict[str, Any]:
    match order["do"]:
        case "come":
            await crowd.come(order["number"])
        case "leave":
            await crowd.leave(order["number"])
        case "begin":
            crowd.begin()
        case "figures":
            return asdict(await crowd.figures())
    return {}


@asynccontextmanager
async def _crowd(url: str) -> AsyncIterator[Crowd]:
    crowd = Crowd(url, os.environ["SIGNING_KEY_0"])
    async with beside(crowd.write(), crowd.look_at_the_clock()):
        yield crowd
    await crowd.close()


async def main(url: str) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    async with _crowd(url) as crowd:
        while line := await asyncio.to_thread(sys.stdin.readline):
            answer = await obey(crowd, json.loads(line))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
