"""Histograms of the hot path: each value in the bucket that Prometheus would put it in."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from push_workloads.common.latency import BOUNDS_SECONDS, Deliveries, Latencies
from push_workloads.common.outgoing import Outgoing
from push_workloads.common.sending import begin
from push_workloads.common.subjects import inbox_subject

NOW_MS = 1_764_000_000_000


def _counts(latencies: Latencies) -> list[int]:
    return [count for _, count in latencies.cumulated()]


@given(st.integers(-10_000, 200_000), st.integers(1, 50))
def test_a_value_is_below_its_bound_and_not_below_the_one_before(ms: int, times: int) -> None:
    latencies = Latencies()
    latencies.add(ms, times)
    place = bisect_right(BOUNDS_SECONDS, max(0, ms) / 1000)
    assert _counts(latencies) == [0] * place + [times] * (len(BOUNDS_SECONDS) + 1 - place)
    assert latencies.total_ms == max(0, ms) * times


def test_bounds_go_from_a_millisecond_to_half_a_minute() -> None:
    assert (BOUNDS_SECONDS[0], BOUNDS_SECONDS[-1]) == (0.001, 32.768)
    assert 1.024 in BOUNDS_SECONDS  # what the objective for deliveries is measured by
    assert [bound for bound, _ in Latencies().cumulated()] == [*map(str, BOUNDS_SECONDS), "+Inf"]


@given(st.integers(-5000, 100_000), st.integers(0, 9))
def test_a_delivery_is_timed_from_the_payload_that_a_send_makes(ms: int, sockets: int) -> None:
    frame = Outgoing(recipient_id="bob", content=Raw(b'{"text":"hi"}'))
    payload = begin("ann", inbox_subject("ann"), frame, 0.0, NOW_MS, bytes(10)).publication().payload
    timed, plain = Deliveries(lambda: (NOW_MS + ms) * 1_000_000), Latencies()
    timed.passed(payload, sockets)
    plain.add(ms, sockets)
    assert (timed.buckets, timed.total_ms) == (plain.buckets, plain.total_ms)


def test_what_has_no_moment_at_its_end_is_not_counted() -> None:
    timed = Deliveries(lambda: NOW_MS * 1_000_000)
    for payload in (b"", b"{}", b'{"change":"renamed","sent_at":1764000000000,"name":"Anglers"}', b'{"sent_at":1}'):
        timed.passed(payload, 1)
    assert _counts(timed)[-1] == 0
