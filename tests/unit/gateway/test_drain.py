"""How many are asked to leave by when: a table, and drains that are played with their clock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.gateway.drain import SHORTEST_SECONDS, Pace
from push_workloads.gateway.pressure import Worst

TINY: Final = 1e-6  # of a client: what sums of floats may be wrong by
RATES = st.floats(0.1, 100_000)
SPREADS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("pace", "asked", "waiting", "now", "due"),
    [
        (Pace(10, 100.0), 0, 50, 100.0, 1),  # the first at once
        (Pace(10, 100.0), 1, 49, 100.05, 0),
        (Pace(10, 100.0), 1, 49, 100.125, 1),
        (Pace(10, 100.0), 1, 49, 101.0, 10),  # the loop was late: the others are not
        (Pace(10, 100.0), 1, 3, 101.0, 3),
        (Pace(10, 100.0), 0, 0, 200.0, 0),
        (Pace(10, 100.0), 30, 20, 101.0, 0),  # asked at a higher rate before
        (Pace(10, 100.0), 0, 5, 99.0, 1),  # a clock that went back is none that went on
        (Pace(0.1, 100.0), 1, 49, 109.9, 0),
        (Pace(0.1, 100.0), 1, 49, 110.1, 1),
        (Pace(10, 100.0, ends=101.0), 0, 50, 100.5, 6),
        (Pace(10, 100.0, ends=101.0), 6, 44, 101.0, 44),  # whatever the rate
    ],
)
def test_who_is_due(pace: Pace, asked: int, waiting: int, now: float, due: int) -> None:
    assert pace.due(asked, waiting, now) == due


@pytest.mark.parametrize(
    ("pace", "asked", "now", "spread", "pause"),
    [
        (Pace(10, 100.0), 1, 100.0, 0.0, 0.1),
        (Pace(10, 100.0), 1, 100.0, 0.5, 0.15),
        (Pace(10, 100.0), 1, 100.08, 0.0, 0.02),
        (Pace(10, 100.0), 1, 200.0, 0.9, SHORTEST_SECONDS),
        (Pace(1000, 100.0), 1, 100.0, 0.0, SHORTEST_SECONDS),
        (Pace(0.1, 100.0), 1, 100.0, 0.9, 19.0),
        (Pace(0.1, 100.0, ends=103.0), 1, 100.0, 0.9, 3.0),
        (Pace(0.1, 100.0, ends=103.0), 1, 104.0, 0.9, 0.0),
    ],
)
def test_when_to_look_again(pace: Pace, asked: int, now: float, spread: float, pause: float) -> None:
    assert pace.pause(asked, now, spread) == pytest.approx(pause)


@pytest.mark.parametrize(
    ("under_way", "seconds", "at_least", "waiting", "rate"),
    [
        (Pace(200, 0.0), 25, 200, 100, 200),  # few go quickly
        (Pace(200, 0.0), 25, 200, 15_000, 600),  # many are spread over the time
        (Pace(0.1, 0.0), 25, 200, 100, 200),  # the operator had more time than there is now
        (Pace(1000, 0.0), 25, 200, 100, 1000),  # or was in a hurry
        (Pace(10, 0.0), 0, 200, 100, 200),
    ],
)
def test_how_fast_a_gateway_stops(under_way: Pace, seconds: float, at_least: float, waiting: int, rate: float) -> None:
    stopping = under_way.to_end(seconds, at_least, 0, waiting, 10.0)
    assert (stopping.rate, stopping.ends) == (rate, 10.0 + seconds)


def test_what_has_to_end_in_time_does_not_become_slower() -> None:
    stopping = Pace(10, 0.0).to_end(10, 200, 0, 4000, 0.0)
    assert stopping.at_rate(1, 5, 1.0).rate == stopping.rate == 400
    assert stopping.at_rate(1000, 5, 1.0) == Pace(1000, 1.0, 6.0, 10.0)


Looks = Iterable[tuple[float, float]]


def _play(pace: Pace, count: int, looks: Looks) -> list[tuple[float, int]]:
    """Moments with how many were asked by then; each look comes after the pause that was told, or still later."""
    now, asked, played = pace.since, 0, []
    for spread, late in looks:
        asked += pace.due(asked, count - asked, now)
        played.append((now, asked))
        now += pace.pause(asked, now, spread) + late
    return played


LOOKS = st.lists(st.tuples(SPREADS, st.floats(0, 2)), min_size=1, max_size=60)


@given(RATES, st.integers(0, 100_000), st.floats(0, 1e6), LOOKS)
def test_never_more_than_the_rate_and_one(rate: float, count: int, since: float, looks: Looks) -> None:
    for now, asked in _play(Pace(rate, since), count, looks):
        assert asked <= min(count, 1 + rate * (now - since) + TINY)


@given(st.floats(0.1, 1000), st.integers(0, 200), LOOKS)
def test_never_less_than_the_rate_when_it_looks(rate: float, count: int, looks: Looks) -> None:
    for now, asked in _play(Pace(rate, 0.0), count, looks):
        assert asked >= min(count, math.floor(rate * now + 1 - TINY))


@given(RATES, st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 100), st.floats(0, 100))
def test_who_is_due_stays_due(rate: float, asked: int, waiting: int, first: float, then: float) -> None:
    pace = Pace(rate, 0.0, ends=60.0)
    assert pace.due(asked, waiting, first) <= pace.due(asked, waiting, first + then)


@given(RATES, RATES, st.integers(0, 120), st.integers(0, 50_000), st.floats(0, 30), LOOKS)
def test_everybody_is_asked_in_time(
    rate: float, at_least: float, seconds: int, count: int, before: float, looks: Looks
) -> None:
    """From the middle of a drain, at its pace and without a heap at the end."""
    pace = Pace(rate, 0.0)
    asked = pace.due(0, count, before)
    stopping = pace.to_end(seconds, at_least, asked, count - asked, before)
    assert stopping.ends == before + seconds
    assert stopping.due(asked, count - asked, before + seconds) == count - asked
    if seconds:
        just_before = math.nextafter(before + seconds, 0)
        assert asked + stopping.due(asked, count - asked, just_before) >= count - 1
    for spread, _ in looks:
        assert before + stopping.pause(asked, before, spread) <= stopping.ends


@given(
    st.integers(1, 1000),
    st.lists(st.tuples(RATES, st.floats(0, 5)), min_size=1, max_size=20),
)
def test_a_rate_holds_for_as_long_as_it_is_the_rate(count: int, changes: list[tuple[float, float]]) -> None:
    """However often the operator says another one, or the same."""
    pace, now, asked, allowed = Pace(changes[0][0], 0.0), 0.0, 0, 1.0
    for rate, lasts in changes:
        pace = pace.at_rate(rate, asked, now)
        now += lasts
        allowed += rate * lasts
        asked += pace.due(asked, count - asked, now)
        assert asked <= min(count, allowed + TINY)


def test_a_repeat_brings_nobody_nearer() -> None:
    pace, asked, now = Pace(1, 0.0), 0, 0.0
    for _ in range(1000):
        asked += pace.due(asked, 100, now)
        now += 0.01
        pace = pace.at_rate(1, asked, now)
    assert asked in (10, 11)


def test_what_was_saved_up_is_lost_with_its_rate() -> None:
    assert Pace(1000, 0.0).at_rate(1, 1, 3600.0).due(1, 50, 3600.0) == 1


@given(st.lists(st.tuples(st.floats(0, 4), st.floats(0, 9)), max_size=50), st.floats(0, 20))
def test_the_worst_of_the_last_seconds(steps: list[tuple[float, float]], later: float) -> None:
    worst, now, seen = Worst(10), 0.0, []
    for step, value in steps:
        now += step
        worst.add(now, value)
        seen.append((now, value))
        assert worst.at(now) == max(one for at, one in seen if at >= now - 10)
    now += later
    assert worst.at(now) == max((one for at, one in seen if at >= now - 10), default=0.0)
