"""From one sample to the next."""

from __future__ import annotations

import pytest

from push_operator.fleet.samples import Last, lasts, steps
from push_operator.fleet.values import Gateway, Sample, Stats


def _gateway(at: float | None, uid: str = "u", boot: str = "b") -> Gateway:
    return Gateway("g", uid, "r", ready=True, sample=None if at is None else Sample(at, Stats(boot)))


def _seconds(gateway: Gateway, last: Last) -> list[float]:
    return [step.seconds for step in steps([gateway], last)]


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        (_gateway(110.0), [10.0]),
        (_gateway(108.0), [8.0]),
        (_gateway(107.0), []),
        (_gateway(100.0), []),
        (_gateway(90.0), []),
        (_gateway(220.0), [120.0]),
        (_gateway(221.0), []),
        (_gateway(110.0, uid="another"), []),
        (_gateway(110.0, boot="another"), []),
        (_gateway(None), []),
    ],
)
def test_a_step_is_of_one_process_and_neither_too_short_nor_too_long(after: Gateway, seconds: list[float]) -> None:
    assert _seconds(after, lasts([_gateway(100.0)], {})) == seconds
    assert _seconds(after, {}) == []


def test_looks_that_follow_fast_are_one_step_together() -> None:
    last, seen = lasts([_gateway(0.0)], {}), []
    for at in range(1, 30):
        seen += _seconds(_gateway(float(at)), last)
        last = lasts([_gateway(float(at))], last)
    assert seen == [8.0, 8.0, 8.0]


def test_a_new_process_counts_from_its_first_sample() -> None:
    last = lasts([_gateway(104.0, boot="another")], lasts([_gateway(100.0)], {}))
    assert _seconds(_gateway(112.0, boot="another"), last) == [8.0]


def test_who_is_gone_is_forgotten() -> None:
    assert lasts([], lasts([_gateway(0.0)], {})) == {}
    assert lasts([_gateway(None)], lasts([_gateway(0.0)], {})) == {}
