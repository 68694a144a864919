"""The control loop: changes fill the queue, workers empty it through `reconcile`, one at a time on each key."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime
from typing import Protocol

from push_operator.autopilot import Autopilot
from push_operator.cluster.port import Cluster
from push_operator.errors import OperatorError
from push_operator.plan.status import Status
from push_operator.queue import KeyQueue
from push_operator.reconcile import reconcile

RECONCILE_SECONDS = 60.0
WORKERS = 4  # one object may wait 2 s for servers that do not answer, again and again: not at the others' cost
_log = logging.getLogger(__name__)


class Report(Protocol):
    """Who is told how the loop fares."""

    def working(self, queue: KeyQueue) -> None:
        """The loop has begun, on this queue."""

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        """One object has been brought one step on, or not."""

    def told(self, key: str, status: Status | None) -> None:
        """How one object is, whether or not that is news; None: it is gone."""


class _Nobody:
    def working(self, queue: KeyQueue) -> None:
        pass

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        pass

    def told(self, key: str, status: Status | None) -> None:
        pass


async def control(cluster: Cluster, autopilot: Autopilot, report: Report | None = None) -> None:
    """Runs until cancelled. A failed reconcile is tried again after a pause; a crash of the loop itself is raised."""
    report = report or _Nobody()
    queue = KeyQueue(jitter=lambda: random.uniform(0.8, 1.2))  # noqa: S311 - spreads retries, guards nothing
    report.working(queue)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_watch(cluster, queue))
            for _ in range(WORKERS):
                tasks.create_task(_work(cluster, autopilot, queue, report))
    finally:
        queue.close()


async def _watch(cluster: Cluster, queue: KeyQueue) -> None:
    async for key in cluster.changes():
        queue.add(key)


async def _work(cluster: Cluster, autopilot: Autopilot, queue: KeyQueue, report: Report) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        key = await queue.take()
        began, failed = clock(), True
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                again_after = await reconcile(key, cluster, autopilot, lambda: datetime.now(UTC), report.told)
        except Exception as error:  # noqa: BLE001 - one object's failure must not stop the others
            pause = queue.failed(key)
            _log.warning(
                "%s: %s; again in %.1f s", key, str(error) or type(error).__name__, pause, exc_info=_unexpected(error)
            )
        else:
            failed = False
            queue.done(key, again_after)
        report.reconciled(key, clock() - began, failed=failed)


def _unexpected(error: Exception) -> Exception | None:
    """Errors with a text for people need no traceback."""
    return None if isinstance(error, OperatorError | TimeoutError) else error
