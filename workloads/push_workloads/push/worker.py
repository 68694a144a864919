"""From the queue to the devices: each job is looked at once for each device of its user, then acknowledged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry, Counter

from push_workloads.common import push_jobs
from push_workloads.common.consumer import Source
from push_workloads.push.policy import Outcome, decide
from push_workloads.push.store import DeviceStore

SOURCE: Final = Source(
    stream=push_jobs.STREAM,
    subject=push_jobs.JOBS,
    durable=push_jobs.CONSUMER,
    batch=64,
    max_ack_pending=256,
    max_deliver=5,
)
_log = logging.getLogger(__name__)


class PushMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter("push_push_outcomes", "Decisions by outcome", ["outcome"], registry=registry)
        self.undecodable = Counter("push_push_undecodable_jobs", "Queue entries that are no job", registry=registry)


class Worker:
    """`now_ms` is the clock on the wall."""

    def __init__(self, store: DeviceStore, metrics: PushMetrics, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._metrics = metrics
        self._now_ms = now_ms

    async def handle(self, batch: Sequence[Msg]) -> None:
        """Raises Unavailable when the store is away: what is not acknowledged by then comes again."""
        for message in batch:
            job = self._decoded(message)
            if job is None:
                await message.term()
                continue
            for outcome in await self._outcomes(job):
                self._metrics.outcomes.labels(outcome).inc()
                _log.debug("push decided", extra={"job": job.job_id, "outcome": outcome})
            await message.ack()

    async def _outcomes(self, job: push_jobs.PushJob) -> list[Outcome]:
        devices = await self._store.of_user(job.user_id)
        return [decide(job, device, self._now_ms()) for device in devices] or [Outcome.NO_DEVICE]

    def _decoded(self, message: Msg) -> push_jobs.PushJob | None:
        try:
            return push_jobs.decode(message.data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            # Never again: it would be the same at every delivery. The fault is named, the content is not.
            self._metrics.undecodable.inc()
            _log.error("a queue entry is no push job: %s", error)
            return None
