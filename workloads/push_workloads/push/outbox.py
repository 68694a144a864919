"""The push queue from the side of those who put something there: at once, at a time, or not after all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

from nats.errors import Error as NatsError

from push_workloads.common import push_jobs
from push_workloads.common.bus import Bus
from push_workloads.common.errors import Unavailable
from push_workloads.common.tasks import together

ANSWER_SECONDS: Final = 5.0
AT_ONCE: Final = 64
TIMER: Final = "push.timer"
_RETRY_MS: Final = 1000


class Entry(NamedTuple):
    """`entry_id` names it: put there again within two minutes, it is one. With `at` (Unix milliseconds) it waits under
    `timer`, and goes to `subject` then."""

    subject: str
    data: bytes
    entry_id: str
    at: int | None = None
    timer: str = ""


def timer(owner_id: str, *names: str) -> str:
    """Where entries of one push or broadcast wait; `names`: tokens that tell them apart, `>` for all."""
    return ".".join((TIMER, owner_id, *names))


def headers_of(entry: Entry) -> dict[str, str]:
    """Pure. A time that has passed is one for the server too: it goes on at once."""
    headers = {"Nats-Msg-Id": entry.entry_id}
    if entry.at is not None:
        at = datetime.fromtimestamp(entry.at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers |= {"Nats-Schedule": f"@at {at}", "Nats-Schedule-Target": entry.subject}
    return headers


class Outbox(Protocol):
    """Each may raise Unavailable: then nobody knows what of it is there, and the same may be put there again."""

    async def put(self, entries: Iterable[Entry]) -> None:
        """All of them are stored when this returns."""

    async def drop(self, timers: str) -> None:
        """What waits under these timers is not sent any more."""

    async def behind(self, consumers: Sequence[str]) -> int:
        """How many entries these consumers have before them; one that is not there has none."""


class JetStreamOutbox:
    """An Outbox. Raises Unavailable until it is opened."""

    def __init__(self) -> None:
        self._bus: Bus | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    def open(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, entries: Iterable[Entry]) -> None:
        await together(self._put(entry) for entry in entries)

    async def _put(self, entry: Entry) -> None:
        bus = self._opened()
        subject = entry.subject if entry.at is None else entry.timer
        async with self._slots:
            try:
                js = bus.client.jetstream(timeout=ANSWER_SECONDS)
                await js.publish(subject, entry.data, headers=headers_of(entry))
            except (NatsError, OSError, TimeoutError) as error:
                raise Unavailable("the push queue does not answer; try again", retry_after_ms=_RETRY_MS) from error

    async def drop(self, timers: str) -> None:
        wanted = {"filter": timers}
        answer = await self._opened().ask(f"$JS.API.STREAM.PURGE.{push_jobs.STREAM}", wanted, timeout=ANSWER_SECONDS)
        if "error" in answer:
            raise Unavailable("the push queue cannot be changed now; try again", retry_after_ms=_RETRY_MS)

    async def behind(self, consumers: Sequence[str]) -> int:
        bus = self._opened()
        subjects = [f"$JS.API.CONSUMER.INFO.{push_jobs.STREAM}.{one}" for one in consumers]
        answers = await together(bus.ask(subject) for subject in subjects)
        return sum(answer.get("num_pending", 0) + answer.get("num_ack_pending", 0) for answer in answers)

    def _opened(self) -> Bus:
        if self._bus is None or not self._bus.client.is_connected:
            raise Unavailable("the push queue is not reached yet; try again", retry_after_ms=_RETRY_MS)
        return self._bus


class MemoryOutbox:
    """For tests: keeps what was put, by its id; nobody takes anything away. `lengths`: what each consumer has before
    it."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.lengths: dict[str, int] = {}

    async def put(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.entries.setdefault(entry.entry_id, entry)

    async def drop(self, timers: str) -> None:
        begin = timers.removesuffix(">")
        waiting = {name for name, one in self.entries.items() if one.at is not None and one.timer.startswith(begin)}
        self.entries = {name: one for name, one in self.entries.items() if name not in waiting}

    async def behind(self, consumers: Sequence[str]) -> int:
        return sum(self.lengths.get(one, 0) for one in consumers)
