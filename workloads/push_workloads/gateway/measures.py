"""How the gateway fares with its clients: integers that the hot path counts, and what Prometheus reads of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from push_workloads.common.latency import Deliveries, Latencies
from push_workloads.gateway import codes
from push_workloads.gateway.frames import Ack, Refusal

_MS: Final = 1000


class Measures:
    """`acks`: from a message's frame to its ack. `deliveries`: of live messages; what a device missed, and reads on its
    return, was not late. `errors`: error frames by code."""

    def __init__(self, deliveries: Deliveries) -> None:
        self.acks = Latencies()
        self.deliveries = deliveries
        self.errors = {codes.UNAVAILABLE: 0}  # from the start: a rate needs a first value to grow from

    def sent(self, frame: bytes, now: float) -> None:
        """A frame goes to its client; `now` is monotonic."""
        if isinstance(frame, Ack):
            self.acks.add(int((now - frame.began) * _MS))
        elif isinstance(frame, Refusal):
            self.errors[frame.code] = self.errors.get(frame.code, 0) + 1

    def families(self) -> Iterable[Metric]:
        yield _histogram("push_gateway_ack_seconds", "From a message's frame to its ack", self.acks)
        yield _histogram(
            "push_gateway_delivery_seconds", "From a message's sent_at to its write to a socket", self.deliveries
        )
        errors = CounterMetricFamily("push_gateway_errors", "Error frames to clients", labels=["code"])
        for code, count in self.errors.items():
            errors.add_metric([code], count)
        yield errors


def _histogram(name: str, documentation: str, latencies: Latencies) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, documentation, buckets=latencies.cumulated(), sum_value=latencies.total_ms / _MS)
