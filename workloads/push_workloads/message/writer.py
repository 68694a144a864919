"""From the log into history: a batch is written, its push jobs are queued, then it is acknowledged.

Each step may happen twice: rows are the same row, jobs have the same id. So a crash at any line loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Counter

from push_workloads.common.bus import Bus
from push_workloads.common.changes import Change
from push_workloads.common.errors import Unavailable
from push_workloads.common.subjects import BadId, logged_channel
from push_workloads.common.tracing import HEADER, Kind, Span, Tracer
from push_workloads.message.jobs import LogPlace, Queued, job_for, queued
from push_workloads.message.model import Mark, Message, Payload, decode_payload, position, row_of
from push_workloads.message.store import HistoryStore, LogState

JOB_SECONDS: Final = 5.0
HINT_HEADER: Final = "Push-Hint"
Copy = tuple[Payload, str, int]
Saw = Callable[[Sequence[Copy]], Awaitable[None]]
_log = logging.getLogger(__name__)


class HistoryMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.written = Counter("push_message_written", "Log messages written to history", registry=registry)
        self.undecodable = Counter("push_message_undecodable", "Log messages that are none", registry=registry)


class _Read(NamedTuple):
    """A log message, what it says, and the row and the push job that it becomes, if any."""

    message: Msg
    entry: Payload | Change
    row: Message | None
    job: Queued | None

    def copy(self) -> Copy | None:
        """Of a message: what it says, its channel, and its seq."""
        if not isinstance(self.entry, Payload):
            return None
        return self.entry, logged_channel(self.message.subject), self.message.metadata.sequence.stream


class HistoryWriter:
    """Handles the batches of one shard. `epoch` is that of its log as last seen; `saw` is told of all copies that are
    written. `tracer` None: nothing is traced."""

    def __init__(
        self, bus: Bus, store: HistoryStore, shard: int, metrics: HistoryMetrics, saw: Saw,
        tracer: Tracer | None = None,
    ) -> None:  # fmt: skip
        self._bus = bus
        self._tracer = tracer
        self._saw = saw
        self._store = store
        self._shard = shard
        self._metrics = metrics
        self.epoch = ""

    async def handle(self, batch: Sequence[Msg]) -> None:
        """Raises Unavailable when the store or the queue is away; the whole batch comes again then."""
        spans = [*self._traced(batch)] if self._tracer is not None else []
        try:
            read = await self._keep(batch)
        except Unavailable as error:
            for span in spans:
                span.end(error.message)
            await _give_back(batch)
            raise
        for span in spans:
            span.end()
        for message in batch:
            await message.ack()
        await self._saw([copy for one in read if (copy := one.copy()) is not None])

    def _traced(self, batch: Sequence[Msg]) -> Iterator[Span]:
        for message in batch:
            parent = (message.headers or {}).get(HEADER)
            if self._tracer is not None and parent:
                yield self._tracer.begin("history write", Kind.CONSUMER, parent)

    async def _keep(self, batch: Sequence[Msg]) -> list[_Read]:
        read = [entry for message in batch if (entry := self._read(message)) is not None]
        rows = [entry.row for entry in read if entry.row is not None]
        last = batch[-1].metadata
        await self._store.append(self._shard, LogState(self.epoch, last.sequence.stream), rows)
        marks = [mark for entry in read for mark in joined(entry)]
        if marks:
            await self._store.advance(marks)
        await self._queue_jobs(read)
        self._metrics.written.inc(len(rows))
        return read

    def _read(self, message: Msg) -> _Read | None:
        try:
            entry = decode_payload(message.data)
            return _Read(message, entry, row_of(logged_channel(message.subject), entry), self._job(message, entry))
        except (msgspec.DecodeError, BadId, UnicodeError, RecursionError) as error:
            # Only gateways and this service may write here; acknowledged all the same, or it would come for ever.
            self._metrics.undecodable.inc()
            _log.error("a log message cannot be read: %s", error, extra={"subject": message.subject})
            return None

    async def _queue_jobs(self, read: Sequence[_Read]) -> None:
        jobs = [one.job for one in read if one.job is not None]
        js = self._bus.client.jetstream(timeout=JOB_SECONDS)
        try:
            await asyncio.gather(
                *(js.publish(job.subject, job.payload, headers={"Nats-Msg-Id": job.job_id}) for job in jobs)
            )
        except (NatsError, TimeoutError) as error:
            raise Unavailable("the push queue does not answer", retry_after_ms=1000) from error

    def _job(self, message: Msg, entry: Payload | Change) -> Queued | None:
        place = LogPlace(logged_channel(message.subject), self.epoch, message.metadata.sequence.stream)
        job = job_for(place, entry, (message.headers or {}).get(HINT_HEADER))
        return queued(job) if job is not None else None


async def _give_back(batch: Sequence[Msg]) -> None:
    """For delivery as soon as the consumer fetches again; without it they come only when their acks are overdue."""
    with suppress(NatsError):  # the bus is away as well: then they are overdue
        for message in batch:
            await message.nak()


def joined(read: _Read) -> list[Mark]:
    """What a group holds from before one came is not unread: whoever is added has read it up to there."""
    if read.row is None or not isinstance(read.entry, Change) or read.entry.change != "added":
        return []
    return [Mark(user, read.row.conversation, "read", position(read.row)) for user in read.entry.user_ids]
