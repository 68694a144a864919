"""Rate, errors and duration, by the same names in every service.

Labels are bounded: routes, questions and streams come from tables of ours, outcomes from the error family. Nothing that
a client sends becomes one. Every family with a label costs so many series for each value, in each process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# An answer that a user waits for; over the last one a client has given up.
ANSWER_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A batch of a consumer; over 30 s its messages come again.
BATCH_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
NO_ROUTE: Final = "none"
DONE: Final = "done"
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Requests:
    """HTTP. `route` is a template such as /groups/{group_id}, or `none`; `status` a class such as 2xx."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter(
            "push_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "push_http_request_seconds", "From the head of a request to its answer", ["method", "route"],
            buckets=ANSWER_SECONDS, registry=registry,
        )  # fmt: skip

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """`route` None: there is none for what was asked."""
        method, route = method if method in _METHODS else "other", route or NO_ROUTE
        self._answered.labels(method, route, f"{status // 100}xx").inc()
        self._seconds.labels(method, route).observe(seconds)


class Questions:
    """What is asked over the bus. `question` is its subject, `outcome` is `done` or the code of an error."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answered = Counter("push_questions", "Questions answered", ["question", "outcome"], registry=registry)
        self._seconds = Histogram(
            "push_question_seconds", "From the arrival of a question to its answer, its wait for a turn included",
            ["question"], buckets=ANSWER_SECONDS, registry=registry,
        )  # fmt: skip

    def answered(self, question: str, outcome: str, seconds: float) -> None:
        self._answered.labels(question, outcome).inc()
        self._seconds.labels(question).observe(seconds)


class Consumed:
    """What a durable consumer does, by its stream."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handled = Counter("push_consumer_handled", "Messages handled", ["stream"], registry=registry)
        self._failed = Counter("push_consumer_failed", "Messages that must come again", ["stream"], registry=registry)
        self._redelivered = Counter(
            "push_consumer_redelivered", "Messages that had come before", ["stream"], registry=registry
        )
        self._pending = Gauge("push_consumer_pending", "Messages not handled yet", ["stream"], registry=registry)
        self._seconds = Histogram(
            "push_consumer_batch_seconds", "Handling one batch", ["stream"], buckets=BATCH_SECONDS, registry=registry
        )

    def begin(self, stream: str) -> None:
        """From here on its counters are there: a rate needs a first value to grow from."""
        for counter in (self._handled, self._failed, self._redelivered):
            counter.labels(stream)

    def pending(self, stream: str, messages: int) -> None:
        self._pending.labels(stream).set(messages)

    def fetched(self, stream: str, redelivered: int) -> None:
        self._redelivered.labels(stream).inc(redelivered)

    def batch(self, stream: str, handled: int, failed: int, seconds: float) -> None:
        self._handled.labels(stream).inc(handled)
        self._failed.labels(stream).inc(failed)
        self._seconds.labels(stream).observe(seconds)


class Checked(Protocol):
    """A process as it is asked for its readiness."""

    @property
    def checks(self) -> Mapping[str, Callable[[], str | None]]: ...

    def waiting_for(self) -> dict[str, str]: ...


class Readiness(Collector):
    """The same as /readyz says, for whoever cannot ask each process."""

    def __init__(self, process: Checked) -> None:
        self._process = process

    def collect(self) -> Iterable[Metric]:
        waiting = self._process.waiting_for()
        yield GaugeMetricFamily("push_ready", "1 while this process can serve", value=float(not waiting))
        checks = GaugeMetricFamily("push_waiting", "1 while the process waits for it", labels=["check"])
        for name in {*self._process.checks, *waiting}:
            checks.add_metric([name], float(name in waiting))
        yield checks
