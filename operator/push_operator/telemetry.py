"""Structured logs, one JSON object a line on standard error; metrics; liveness and readiness."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from push_operator.plan.gauges import FAMILIES, gauges
from push_operator.queue import KeyQueue

QUEUED_MAX_SECONDS = 120.0
LISTED_MAX_SECONDS = 15 * 60.0
OWNER_LABELS: Final = (
    "pushcluster_namespace",
    "pushcluster",
)  # `namespace` is what a scrape says of the operator's pod
# Up to the limit of one reconcile, 60 s, of which the API server's answers take most.
RECONCILE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # up to its limit
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


class Clusters(Collector):
    """The PushClusters that this process looks after, each by the status that was told last."""

    def __init__(self) -> None:
        self._told: dict[str, Mapping[str, Any]] = {}

    def told(self, key: str, status: Mapping[str, Any] | None) -> None:
        """None: it is gone, and so are its numbers."""
        if status is None:
            self._told.pop(key, None)
        else:
            self._told[key] = status

    def clear(self) -> None:
        self._told.clear()

    def collect(self) -> Iterable[Metric]:
        families = {
            name: GaugeMetricFamily(name, family.meaning, labels=[*OWNER_LABELS, *family.labels])
            for name, family in FAMILIES.items()
        }
        for key, status in self._told.items():
            for one in gauges(status):
                families[one.family].add_metric([*key.split("/", 1), *one.values], one.value)
        return families.values()


class Telemetry:
    """What the loop, the API client and the election report, and what is asked about them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "push_operator_reconciles", "Reconciles of one object.", ["result"], registry=self.registry
        )
        for result in ("done", "failed"):
            self._reconciles.labels(result)  # from the start: a rate needs a first value to grow from
        self._seconds = Histogram(
            "push_operator_reconcile_seconds", "Their duration.", buckets=RECONCILE_BUCKETS, registry=self.registry
        )
        self._requests = Counter(
            "push_operator_api_requests", "Requests to the API server; the status is none where no answer came.",
            ["verb", "resource", "status"], registry=self.registry,
        )  # fmt: skip
        self._request_seconds = Histogram(
            "push_operator_api_request_seconds", "Their duration.", ["verb"], buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self._leading = Gauge("push_operator_leading", "1 in the process that acts.", registry=self.registry)
        self._oldest = Gauge("push_operator_queue_oldest_seconds", "The longest wait now.", registry=self.registry)
        self._clusters = Clusters()
        self.registry.register(self._clusters)
        ProcessCollector(registry=self.registry)
        self._queue: KeyQueue | None = None

    def working(self, queue: KeyQueue | None) -> None:
        """None: no more. What another operator sees from now on is that one's to tell."""
        self._queue = queue
        self._clusters.clear()

    def reconciled(self, key: str, seconds: float, *, failed: bool) -> None:
        self._reconciles.labels("failed" if failed else "done").inc()
        self._seconds.observe(seconds)

    def told(self, key: str, status: Mapping[str, Any] | None) -> None:
        self._clusters.told(key, status)

    def requested(self, verb: str, resource: str, status: str, seconds: float) -> None:
        self._requests.labels(verb, resource, status).inc()
        self._request_seconds.labels(verb).observe(seconds)

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
