"""Structured logs, one JSON object a line on standard error; metrics; liveness and readiness."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from push_operator.queue import KeyQueue

QUEUED_MAX_SECONDS = 120.0
LISTED_MAX_SECONDS = 15 * 60.0
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """`extra` fields become keys of the object; an exception is one string with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        line.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up_logging(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


class Telemetry:
    """What the loop, the API client and the election report, and what is asked about them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "push_operator_reconciles", "Reconciles of one object.", ["result"], registry=self.registry
        )
        self._seconds = Histogram("push_operator_reconcile_seconds", "Their duration.", registry=self.registry)
        self._requests = Counter(
            "push_operator_api_requests", "Requests to the API server.", ["verb", "resource"], registry=self.registry
        )
        self._leading = Gauge("push_operator_leading", "1 in the process that acts.", registry=self.registry)
        self._oldest = Gauge("push_operator_queue_oldest_seconds", "The longest wait now.", registry=self.registry)
        self._queue: KeyQueue | None = None

    def working(self, queue: KeyQueue | None) -> None:
        self._queue = queue

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        self._reconciles.labels("failed" if failed else "done").inc()
        self._seconds.observe(seconds)

    def requested(self, verb: str, resource: str) -> None:
        self._requests.labels(verb, resource).inc()

    def unhealthy(self, listed_seconds: float) -> str | None:
        """Why this process should be started again. An API server that is away is no reason: it is asked all the same,
        and a key that fails waits for its next turn, not in the queue."""
        if self._queue is None:
            return None
        if self._queue.oldest_seconds() >= QUEUED_MAX_SECONDS:
            return "an object has waited too long to be worked on"
        if listed_seconds >= LISTED_MAX_SECONDS:
            return "nothing has been listed for too long"
        return None

    def metrics(self, *, leading: bool) -> bytes:
        self._leading.set(leading)
        self._oldest.set(self._queue.oldest_seconds() if self._queue is not None else 0.0)
        return generate_latest(self.registry)


def admin(
    telemetry: Telemetry, *, leading: Callable[[], bool], listed_seconds: Callable[[], float],
    waiting_for: Callable[[], str | None],
) -> web.Application:  # fmt: skip
    """`/healthz`: should it live. `/readyz`: does it watch; a standby is ready too. `/metrics`: Prometheus text."""

    async def healthz(_: web.Request) -> web.Response:
        wrong = telemetry.unhealthy(listed_seconds())
        return web.Response(status=503 if wrong else 200, text=f"{wrong or 'ok'}\n")

    async def readyz(_: web.Request) -> web.Response:
        wrong = waiting_for()
        return web.Response(
            status=503 if wrong else 200, text=f"{wrong or 'leading' if leading() else 'standing by'}\n"
        )

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.metrics(leading=leading()), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app
