"""Who is told that a user types, and how often."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from push_workloads.gateway.typists import MAX_TARGETS, REPEAT_SECONDS, TYPING_SECONDS, Typists

TARGETS = st.sampled_from([f"user:{number}" for number in range(MAX_TARGETS + 4)])
STEPS = st.lists(st.tuples(st.sampled_from(["start", "stop", "tick"]), TARGETS, st.floats(0, 3)), max_size=80)


def test_starts_are_told_at_first_and_then_now_and_then() -> None:
    typists = Typists()
    told = [at for at in range(8) if typists.start("user:bob", at / 2)]
    assert told == [0, 4]
    assert typists.ended(3.5 + TYPING_SECONDS - 0.1) == []
    assert typists.ended(3.5 + TYPING_SECONDS) == ["user:bob"]


def test_starts_and_stops_in_turn_are_told_no_more_often() -> None:
    typists = Typists()
    told = sum(typists.start("user:bob", at / 50) + typists.stop("user:bob") for at in range(50))
    assert told == 2


@given(STEPS)
def test_each_start_that_is_told_has_one_end(steps: list[tuple[str, str, float]]) -> None:
    typists, now, shown, starts = Typists(), 0.0, Counter[str](), list[tuple[float, str]]()
    for step, target, seconds in steps:
        now += seconds
        if step == "start" and typists.start(target, now):
            shown[target] = 1
            starts.append((now, target))
            recent = [one for at, one in starts if now - at < REPEAT_SECONDS]
            assert len(recent) == len(set(recent)) <= MAX_TARGETS
        elif step == "stop":
            assert typists.stop(target) == bool(shown.pop(target, 0))
        elif step == "tick":
            for ended in typists.ended(now):
                assert shown.pop(ended)
    assert sorted(typists.ended(math.inf)) == sorted(shown)
