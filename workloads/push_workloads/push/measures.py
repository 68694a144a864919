"""What the push service counts. Every label is bounded: states and reasons of ours, platforms, a provider's words."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from push_workloads.push.deliveries import Delivery
from push_workloads.push.devices import Platform

NO_PLATFORM: Final = "none"
NO_REASON: Final = "none"
# From what a message's phone should feel at once, over the hold-off, to a night's quiet.
SENT_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 3.5, 4.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 36_000.0)
QUEUE_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)

_OURS: Final = {True: "true", False: "false"}


class PushMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._outcomes = Counter(
            "push_push_outcomes", "What became of messages at devices", ["state", "reason", "platform"],
            registry=registry,
        )  # fmt: skip
        self._sent = Histogram(
            "push_push_sent_seconds", "From a message's sending to its provider's answer", ["platform"],
            buckets=SENT_SECONDS, registry=registry,
        )  # fmt: skip
        self._answers = Counter(
            "push_push_answers", "What providers answered, and whether it was a fault of ours", ["platform", "ours"],
            registry=registry,
        )  # fmt: skip
        for platform in get_args(Platform):  # a rate needs a first value to grow from
            for ours in _OURS.values():
                self._answers.labels(platform, ours)
        self._queued = Histogram(
            "push_push_queue_seconds", "From an entry's arrival in a queue to its handling", ["queue"],
            buckets=QUEUE_SECONDS, registry=registry,
        )  # fmt: skip
        self._dead = Counter("push_push_dead_letters", "Entries given up", ["queue"], registry=registry)

    def became(self, delivery: Delivery) -> None:
        reason = (delivery.reason or NO_REASON).partition(":")[0]
        self._outcomes.labels(delivery.state, reason, delivery.platform).inc()

    def nobody(self, reason: str) -> None:
        """The user has no device."""
        self._outcomes.labels("cancelled", reason, NO_PLATFORM).inc()

    def sent(self, platform: str, seconds: float) -> None:
        self._sent.labels(platform).observe(max(0.0, seconds))

    def answered(self, platform: Platform, *, ours: bool) -> None:
        """`ours`: as in Later."""
        self._answers.labels(platform, _OURS[ours]).inc()

    def taken(self, queue: str, seconds: float) -> None:
        self._queued.labels(queue).observe(max(0.0, seconds))

    def begin(self, queue: str) -> None:
        """From here on its counter is there: a rate needs a first value to grow from."""
        self._dead.labels(queue)

    def died(self, queue: str) -> None:
        self._dead.labels(queue).inc()
