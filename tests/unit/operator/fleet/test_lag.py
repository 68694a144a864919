"""Replicas by what waits in a stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.lag import STEP_SECONDS, WINDOW_SECONDS, LagMemory, replicas_for
from push_operator.scaling import LagScaling

SCALING = LagScaling(min_replicas=2, max_replicas=10, target_lag=1000)


def _desired(looks: list[tuple[float, int | None]], memory: LagMemory | None = None) -> list[int]:
    memory, seen = memory or LagMemory(began=0.0), []
    for at, lag in looks:
        decision, memory = replicas_for(SCALING, lag, memory, at)
        seen.append(decision.desired)
    return seen


def test_one_for_each_so_many_that_wait_and_never_more_than_twice_as_many_at_once() -> None:
    assert _desired([(0, 0), (10, 2000), (20, 2001), (30, 9000), (60, 9000), (90, 99_000)]) == [2, 2, 3, 3, 6, 10]


def test_it_shrinks_to_the_most_of_a_window() -> None:
    assert _desired([(0, 4000), (100, 3500), (200, 0), (399, 0), (401, 0), (501, 0)]) == [4, 4, 4, 4, 2, 2]


def test_what_is_not_known_changes_nothing() -> None:
    assert _desired([(0, 4000), (50, None), (1000, None)]) == [4, 4, 4]


def test_what_was_not_known_counts_as_wanted_for_a_window() -> None:
    assert _desired([(0, 4000), (1000, None), (1010, 0), (1299, 0), (1301, 0)]) == [4, 4, 4, 4, 2]


def test_an_operator_that_has_just_begun_does_not_shrink() -> None:
    begun = LagMemory(began=1000.0, desired=6)
    assert _desired([(1000, 0), (1000 + WINDOW_SECONDS - 1, 0), (1000 + WINDOW_SECONDS, 0)], begun) == [6, 6, 2]


@given(st.lists(st.tuples(st.floats(0.1, 100), st.none() | st.integers(0, 50_000)), max_size=40))
def test_within_bounds_and_no_two_steps_up_too_soon(looks: list[tuple[float, int | None]]) -> None:
    at, memory, before, raised = 0.0, LagMemory(began=0.0), SCALING.min_replicas, -STEP_SECONDS
    for pause, lag in looks:
        at += pause
        decision, memory = replicas_for(SCALING, lag, memory, at)
        assert SCALING.min_replicas <= decision.desired <= SCALING.max_replicas
        assert decision.desired <= 2 * before
        if decision.desired > before:
            assert at - raised >= STEP_SECONDS
            raised = at
        before = decision.desired
