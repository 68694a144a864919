"""Replicas by lag: up fast and bounded, down slowly, and nothing on what is not known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.lag import DOWN_SECONDS, UP_SECONDS, LagDecision, LagMemory, Limit, want
from push_operator.scaling import LagScaling

SCALING = LagScaling(min_replicas=2, max_replicas=20, target_lag=100)
TICK = 10.0


def _story(lags: Sequence[int | None], current: int = 2, scaling: LagScaling = SCALING) -> list[LagDecision]:
    """One decision a tick, each of which is carried out."""
    memory, made = LagMemory(), list[LagDecision]()
    for tick, lag in enumerate(lags):
        decision, memory = want(scaling, made[-1].desired if made else current, lag, memory, tick * TICK)
        made.append(decision)
    return made


@pytest.mark.parametrize(
    ("current", "lag", "desired", "limit"),
    [
        (2, 0, 2, Limit.MIN),
        (2, 200, 2, Limit.NONE),
        (2, 201, 3, Limit.NONE),
        (2, 400, 4, Limit.NONE),
        (2, 401, 4, Limit.UP),
        (12, 2000, 20, Limit.NONE),
        (12, 2001, 20, Limit.MAX),
        (4, 100, 4, Limit.DOWN),
        (1, 0, 2, Limit.MIN),
        (30, 5000, 20, Limit.MAX),
        (5, None, 5, Limit.UNKNOWN),
        (1, None, 2, Limit.UNKNOWN),
        (30, None, 20, Limit.UNKNOWN),
    ],
)
def test_first_decision(current: int, lag: int | None, desired: int, limit: Limit) -> None:
    decision, _ = want(SCALING, current, lag, LagMemory(), 0.0)
    assert (decision.desired, decision.limited_by) == (desired, limit)
    assert decision.reason


def test_up_at_most_doubles_in_30_seconds() -> None:
    sizes = [one.desired for one in _story([5000] * 14)]
    assert sizes == [4, 4, 4, 8, 8, 8, 16, 16, 16, 20, 20, 20, 20, 20]


def test_from_nothing_the_first_step_is_one() -> None:
    assert want(LagScaling(0, 5, 100), 0, 500, LagMemory(), 0.0)[0].desired == 1


def test_down_goes_to_the_most_of_the_window_and_only_once_it_was_watched_whole() -> None:
    lags = [1000] * 3 + [500] * 10 + [0] * 60
    sizes = [one.desired for one in _story(lags, current=10)]
    assert sizes[:33] == [10] * 33
    assert sizes[33:43] == [5] * 10
    assert sizes[43:] == [2] * 30


def test_what_is_not_known_holds_and_counts_as_wanted() -> None:
    sizes = [one.desired for one in _story([1000] * 40 + [None] * 10 + [0] * 40, current=10)]
    assert sizes[:80] == [10] * 80
    assert sizes[80:] == [2] * 10


def test_after_a_time_without_looks_the_window_begins_anew() -> None:
    _, memory = want(SCALING, 10, 0, LagMemory(), 0.0)
    assert want(SCALING, 10, 0, memory, 400.0)[0].desired == 10


@given(
    lags=st.lists(st.none() | st.integers(0, 10_000), min_size=1, max_size=120),
    current=st.integers(0, 40),
    low=st.integers(0, 5),
    room=st.integers(0, 30),
)
def test_bounds_hold_steps_are_paced_and_memory_is_bounded(
    lags: list[int | None], current: int, low: int, room: int
) -> None:
    scaling = LagScaling(low, low + room, 100)
    memory, sizes = LagMemory(), [max(low, min(low + room, current))]
    for tick, lag in enumerate(lags):
        decision, memory = want(scaling, sizes[-1], lag, memory, tick * TICK)
        sizes.append(decision.desired)
        assert low <= decision.desired <= low + room
        assert decision.desired <= max(1, 2 * sizes[-2])
        assert len(memory.wants) <= min(room + 1, DOWN_SECONDS / TICK + 1)
        if lag is None:
            assert sizes[-1] == sizes[-2]
    grown = [tick for tick, (before, after) in enumerate(pairwise(sizes)) if after > before]
    assert all((later - earlier) * TICK >= UP_SECONDS for earlier, later in pairwise(grown))
    shrunk = [tick for tick, (before, after) in enumerate(pairwise(sizes)) if after < before]
    for tick in shrunk:
        window = lags[max(0, tick - int(DOWN_SECONDS / TICK)) : tick + 1]
        assert tick * TICK >= DOWN_SECONDS
        assert all(lag is not None and -(-lag // 100) <= max(low, sizes[tick + 1]) for lag in window)
