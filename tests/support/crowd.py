"""A crowd of clients with cursors, each with a user of its own, who write to each other all the time.

    python -m tests.support.crowd URL     the key that signs tokens in the environment as JWT_SECRET

A process of its own: it is told what to do by lines of JSON on its input, and answers each with one on its output.

    {"do": "come", "number": n}     so many in all are connected when it answers
    {"do": "leave", "number": n}    so many go for good
    {"do": "begin"}                 figures are counted from here on
    {"do": "figures"}               see `Figures`; waits until what was acknowledged has arrived, if it does
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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from push_client.client import Client
from push_client.errors import PushClientError
from push_client.events import Connected, Disconnected, Message
from push_workloads.common.config import TokenConfig
from push_workloads.common.tokens import Tokens

COME_PER_SECOND: Final = 150
MESSAGES_PER_SECOND: Final = 20
ARRIVE_SECONDS: Final = 60.0
RATE_SECONDS: Final = 10
TOKEN_SECONDS: Final = 7200


@dataclass
class Figures:
    """`p50`, `p95`, `longest`: seconds from a loss to the next welcome. `highest`: clients that came back a second,
    over the worst ten: on a busy machine this process itself is late at times. `unsent`: messages that their sender
    knows were not acknowledged."""

    clients: int = 0
    connected: int = 0
    reconnects: int = 0
    p50: float = 0.0
    p95: float = 0.0
    longest: float = 0.0
    highest: float = 0.0
    acked: int = 0
    lost: int = 0
    twice: int = 0
    disorder: int = 0
    unsent: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass
class Book:
    """What was acknowledged, and what came."""

    acked: set[str] = field(default_factory=set)
    came: Counter[str] = field(default_factory=Counter)
    last: dict[tuple[str, str], int] = field(default_factory=dict)
    disorder: int = 0
    unsent: int = 0
    took: list[float] = field(default_factory=list)
    back: Counter[int] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def arrived(self, reader: str, message: Message) -> None:
        self.came[message.message_id] += 1
        pair, number = (message.sender, reader), int(str(message.content).rpartition(" ")[2])
        if self.came[message.message_id] == 1:
            self.disorder += number <= self.last.get(pair, 0)
            self.last[pair] = max(number, self.last.get(pair, 0))

    def missing(self) -> set[str]:
        return {one for one in self.acked if not self.came[one]}

    def figures(self, clients: int, connected: int) -> Figures:
        took = sorted(self.took)
        return Figures(
            clients=clients, connected=connected, reconnects=len(took), p50=_at(took, 0.5), p95=_at(took, 0.95),
            longest=_at(took, 1.0), highest=_most(self.back), acked=len(self.acked),
            lost=len(self.missing()), twice=sum(number > 1 for number in self.came.values()), disorder=self.disorder,
            unsent=self.unsent, reasons=dict(self.reasons),
        )  # fmt: skip


def _most(back: Counter[int]) -> float:
    """A second, over the `RATE_SECONDS` in which there were most."""
    windows = (sum(back[first + second] for second in range(RATE_SECONDS)) for first in tuple(back))
    return max(windows, default=0) / RATE_SECONDS


def _at(values: list[float], share: float) -> float:
    return round(values[min(len(values) - 1, int(share * len(values)))], 2) if values else 0.0


class Crowd:
    def __init__(self, url: str, secret: str) -> None:
        self._url = url
        self._tokens = Tokens(TokenConfig(secret=secret.encode(), ttl_seconds=TOKEN_SECONDS, issuer="pushcluster"))
        self._clients: dict[str, Client] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._gone_at: dict[str, float] = {}
        self._number = 0
        self._random = random.Random(1)  # noqa: S311 - a crowd that can be had again
        self.book = Book()

    async def come(self, number: int) -> None:
        while len(self._clients) < number:
            user = f"user-{len(self._readers)}"
            token = self._tokens.issue(user, int(time.time()), f"session-{user}")
            client = Client(self._url, token=token)
            await client.__aenter__()
            self._clients[user] = client
            self._readers[user] = asyncio.create_task(self._read(user, client))
            await asyncio.sleep(1 / COME_PER_SECOND)
        while not all(client.connected for client in self._clients.values()):  # noqa: ASYNC110 - 3,000 events
            await asyncio.sleep(0.2)

    async def leave(self, number: int) -> None:
        """What is on its way to them is waited for: they are to have read all that was acknowledged."""
        going = self._random.sample(list(self._clients), number)  # of each gateway some
        leavers = {user: self._clients.pop(user) for user in going}
        await asyncio.gather(*self._sending)
        await self._until_arrived()
        for user, client in leavers.items():
            await client.close()
            await self._readers[user]

    async def write(self) -> None:
        """Until cancelled. One message after the other of each pair: their order can be told."""
        while True:
            await asyncio.sleep(1 / MESSAGES_PER_SECOND)
            users = list(self._clients)
            if len(users) > 1:
                self._number += 1
                sender, reader = self._random.sample(users, 2)
                task = asyncio.create_task(self._send(sender, reader, self._number))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def figures(self) -> Figures:
        await self._until_arrived()
        return self.book.figures(len(self._clients), sum(one.connected for one in self._clients.values()))

    def begin(self) -> None:
        last, self.book = self.book.last, Book()
        self.book.last = last

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        await asyncio.gather(*self._readers.values(), *self._sending)

    async def _until_arrived(self) -> None:
        book = self.book
        with suppress(TimeoutError):
            async with asyncio.timeout(ARRIVE_SECONDS):
                while book.missing() or not all(one.connected for one in self._clients.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)

    async def _send(self, sender: str, reader: str, number: int) -> None:
        book = self.book
        try:
            sent = await self._clients[sender].send(to=reader, content=f"{sender} {number}")
        except PushClientError:
            book.unsent += 1
            return
        book.acked.add(sent.message_id)

    async def _read(self, user: str, client: Client) -> None:
        async for event in client.events():
            match event:
                case Message() if not event.mine:
                    self.book.arrived(user, event)
                case Disconnected():
                    self._gone_at.setdefault(user, time.monotonic())
                    self.book.reasons[event.reason] += 1
                case Connected() if user in self._gone_at:
                    now = time.monotonic()
                    self.book.took.append(now - self._gone_at.pop(user))
                    self.book.back[int(now)] += 1


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
    crowd = Crowd(url, os.environ["JWT_SECRET"])
    writing = asyncio.create_task(crowd.write())
    try:
        yield crowd
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
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
