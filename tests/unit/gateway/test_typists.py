"""Who is told that a user types, and how often."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from push_workloads.gateway.typists import MAX_TARGETS, STARTS_BURST, STARTS_PER_SECOND, TYPING_SECONDS, Typists

TARGETS = st.sampled_from([f"user:{number}" for number in range(MAX_TARGETS + 4)])
STEPS = st.lists(st.tuples(st.sampled_from(["start", "stop", "tick"]), TARGETS, st.floats(0, 3)), max_size=80)


def test_starts_are_told_at_first_and_then_now_and_then() -> None:
    typists = Typists()
    assert [at for at in range(8) if typists.start("user:bob", at / 2)] == [0, 4]
    assert typists.ended(3.5 + TYPING_SECONDS - 0.1) == []
    assert typists.ended(3.5 + TYPING_SECONDS) == ["user:bob"]


def test_who_begins_again_is_told_at_once() -> None:
    typists = Typists()
    assert [(typists.start("user:bob", at), typists.stop("user:bob")) for at in (0.0, 0.3, 0.6)] == [(True, True)] * 3


def test_a_flood_of_starts_and_stops_is_told_to_nobody() -> None:
    typists = Typists()
    starts, stops = zip(
        *((typists.start("user:bob", at / 50), typists.stop("user:bob")) for at in range(500)), strict=True
    )
    assert starts == stops
    assert sum(starts) == STARTS_BURST + 9


@given(STEPS)
def test_each_start_that_is_told_has_one_end(steps: list[tuple[str, str, float]]) -> None:
    typists, now, shown, told = Typists(), 0.0, set[str](), 0
    for step, target, seconds in steps:
        now += seconds
        if step == "start" and typists.start(target, now):
            shown.add(target)
            told += 1
            assert told <= STARTS_BURST + now * STARTS_PER_SECOND
        elif step == "stop":
            assert typists.stop(target) == (target in shown)
            shown.discard(target)
        elif step == "tick":
            ended = typists.ended(now)
            assert shown.issuperset(ended)
            shown.difference_update(ended)
    assert sorted(typists.ended(math.inf)) == sorted(shown)
