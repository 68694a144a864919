"""What is a fault of ours is counted, and told once when it begins and once when it is over."""

from __future__ import annotations

import prometheus_client
import pytest

from push_workloads.push.carrier import Answer, Dead, Later, Refused, Sent, Unknown
from push_workloads.push.faults import OVER_MS, Faults
from push_workloads.push.measures import PushMetrics

KEY, QUOTA = Later("InvalidProviderToken", ours=True), Later("TooManyProviderTokenUpdates", ours=True)
BEGINS, ENDS = "sends fail for a fault of ours", "a fault of ours is over"


def _told(caplog: pytest.LogCaptureFixture, *answers: tuple[int, Answer]) -> list[tuple[str, str, str]]:
    faults = Faults(PushMetrics(prometheus_client.CollectorRegistry()))
    for now_ms, answer in answers:
        faults.saw("apns", answer, now_ms)
    return [(one.getMessage(), one.__dict__["platform"], one.__dict__["reason"]) for one in caplog.records]


def test_it_is_told_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    told = _told(
        caplog, (0, KEY), (1, KEY), (2, QUOTA), (OVER_MS + 1, Sent()), (OVER_MS + 2, Sent()), (OVER_MS + 3, KEY)
    )
    assert told == [
        (BEGINS, "apns", KEY.reason), (BEGINS, "apns", QUOTA.reason), (ENDS, "apns", KEY.reason),
        (ENDS, "apns", QUOTA.reason), (BEGINS, "apns", KEY.reason),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", [Sent(), Later("busy"), Dead("gone"), Refused("too large"), Unknown("timeout")])
def test_what_is_no_fault_of_ours_is_not_told_and_ends_none_at_once(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    assert _told(caplog, (0, answer)) == []
    assert _told(caplog, (0, KEY), (OVER_MS - 1, answer), (OVER_MS, KEY)) == [(BEGINS, "apns", KEY.reason)]


def test_another_platforms_is_not_over(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(PushMetrics(prometheus_client.CollectorRegistry()))
    faults.saw("fcm", KEY, 0)
    faults.saw("apns", Sent(), OVER_MS)
    assert [one.getMessage() for one in caplog.records] == [BEGINS]


def test_it_is_counted() -> None:
    registry = prometheus_client.CollectorRegistry()
    faults = Faults(PushMetrics(registry))

    def counted(platform: str, ours: str) -> float | None:
        return registry.get_sample_value("push_push_answers_total", {"platform": platform, "ours": ours})

    assert counted("fcm", "true") == 0  # a rate needs a first value
    for answer in (KEY, QUOTA, Sent(), Later("busy"), Refused("too large")):
        faults.saw("apns", answer, 0)
    assert (counted("apns", "true"), counted("apns", "false"), counted("fcm", "true")) == (2, 3, 0)
