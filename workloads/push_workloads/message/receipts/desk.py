"""Where receipts arrive: each is resolved to a message, stored if it reaches further than what is stored, and told.

A report names a place in the log, and what is stored is a place in a conversation: seqs end with their log, and a
conversation is ordered by (`sent_at`, `message_id`). All of it may happen twice: what does not move is not told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Counter

from push_workloads.common.bus import Bus
from push_workloads.common.errors import BadRequest, Unavailable
from push_workloads.common.questions import MAX_REPORTS, Done, Report, Reports
from push_workloads.common.subjects import channel_subject
from push_workloads.common.tasks import together
from push_workloads.message.access import Access
from push_workloads.message.log import Logged
from push_workloads.message.model import Payload, Position, just_after
from push_workloads.message.receipts.reports import Reading, frames, newest, understood
from push_workloads.message.store import HistoryStore

AT_ONCE: Final = 64  # reads of log and store for one batch
BEHIND: Final = "behind"


class Log(Protocol):
    """The log as receipts read it; raises Unavailable."""

    def epoch(self, channel: str) -> str: ...

    async def logged(self, channel: str, seq: int) -> Logged | None: ...

    def shard(self, channel: str) -> int: ...


class _Found(NamedTuple):
    reading: Reading
    place: Position


class ReceiptDesk:
    """Takes reports as soon as `open` has given it the log."""

    def __init__(self, store: HistoryStore, access: Access, registry: CollectorRegistry) -> None:
        self._store = store
        self._access = access
        self._log: Log | None = None
        self._bus: Bus | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._outcomes = Counter("push_message_receipts", "Receipts by outcome", ["outcome"], registry=registry)

    def open(self, bus: Bus | None, log: Log) -> None:
        self._bus, self._log = bus, log

    async def take(self, asked: Reports) -> Done:
        """All of them are stored, or skipped for good, when this returns.

        Raises BadRequest when they are too many, Unavailable when some could not be stored: all may be sent again.
        """
        if len(asked.reports) > MAX_REPORTS:
            raise BadRequest(f"reports: at most {MAX_REPORTS} at once")
        resolved = await together(self._resolved(report) for report in newest(asked.reports))
        skipped = [one for one in resolved if isinstance(one, str)]
        for why in skipped:
            self._outcomes.labels(why).inc()
        await self._settle([one for one in resolved if isinstance(one, _Found)])
        if BEHIND in skipped:  # after the others: one that must wait holds up nobody
            raise Unavailable("history is behind the log: ask again", retry_after_ms=1000)
        return Done()

    async def read(self, reading: Reading, up_to: Position) -> None:
        """For one without a socket: `up_to` is a place in the conversation, and the last message there counts."""
        place = await self._last(reading, up_to)
        if place is not None:
            await self._settle([_Found(reading, place)])

    async def _resolved(self, report: Report) -> _Found | str:
        """Or in a word why it is skipped: for good, unless history is BEHIND."""
        reading = understood(report)
        if reading is None:
            return "malformed"
        async with self._slots:
            if reading.channel is not None and not await self._access.may_read(reading.user_id, reading.channel):
                return "forbidden"
            return await self._place(reading, report)

    async def _place(self, reading: Reading, report: Report) -> _Found | str:
        log, subject = self._opened(), channel_subject(report.channel)
        if report.epoch != log.epoch(subject):
            return "epoch"
        logged = await log.logged(subject, report.seq)
        if logged is None:
            return "gone"
        if reading.channel is not None or _is_of(logged, reading):
            return _Found(reading, logged.place)
        # Another conversation's, or a change: what is older than it counts. History says which message of this one
        # that is; to name the other's would tell the other user of a message that is not theirs.
        held = await self._store.log_state(log.shard(subject), report.epoch)
        if held is None or held.seq < report.seq:
            return BEHIND
        place = await self._last(reading, logged.place)
        return _Found(reading, place) if place is not None else "nothing"

    async def _last(self, reading: Reading, place: Position) -> Position | None:
        """Of the last message of the conversation up to a place."""
        rows = await self._store.page(reading.conversation, just_after(place), 1)
        return Position(rows[0].sent_at, rows[0].message_id) if rows else None

    async def _settle(self, found: Sequence[_Found]) -> None:
        readings = {one.reading.at(one.place): one.reading for one in found}
        members = await self._members(found)  # before anything is stored: what fails then is told when it comes again
        moved = await self._store.advance(list(readings))
        self._outcomes.labels("moved").inc(len(moved))
        self._outcomes.labels("unmoved").inc(len(found) - len(moved))
        await together(self._tell(readings[mark], mark.place, members) for mark in moved)

    async def _members(self, found: Sequence[_Found]) -> dict[str | None, int]:
        """Of each channel concerned."""
        channels = sorted({one.reading.channel for one in found if one.reading.channel is not None})
        return dict(zip(channels, await together(map(self._access.members, channels)), strict=True))

    async def _tell(self, reading: Reading, place: Position, members: Mapping[str | None, int]) -> None:
        """Lost when the bus is away: whoever comes back reads what is stored."""
        if self._bus is None or not self._bus.client.is_connected:
            return
        with suppress(NatsError):
            for subject, frame in frames(reading, place, members.get(reading.channel, 0)):
                await self._bus.client.publish(subject, frame)

    def _opened(self) -> Log:
        if self._log is None:
            raise Unavailable("the log is away", retry_after_ms=1000)
        return self._log


def _is_of(logged: Logged, reading: Reading) -> bool:
    return isinstance(logged.entry, Payload) and logged.entry.conversation == reading.other
