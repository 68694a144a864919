"""The limit on those who send over HTTP."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from push_workloads.message.callers import Callers


def test_a_burst_and_then_as_many_as_come_in() -> None:
    callers = Callers(per_second=10, burst=20)
    assert [callers.wait_ms("ann", 0.0, 5, 1) for _ in range(20)] == [0] * 20
    assert callers.wait_ms("ann", 0.0, 5, 1) == 501  # a quarter of the burst
    assert callers.wait_ms("bob", 0.0, 5, 1) == 0
    assert callers.wait_ms("ann", 0.1, 5, 1) == 0
    assert callers.wait_ms("ann", 0.1, 5, 1) > 0


def test_more_than_a_full_bucket_is_waited_for_afterwards() -> None:
    callers = Callers(per_second=10, burst=20)
    assert callers.wait_ms("ann", 0.0, 4096 * 2, 20) == 0  # 60 tokens
    assert callers.wait_ms("ann", 4.0, 0, 1) > 0
    assert callers.wait_ms("ann", 4.2, 0, 1) == 0


def test_who_was_silent_longest_is_forgotten_first() -> None:
    callers = Callers(per_second=1, burst=1, remembered=2)
    assert [callers.wait_ms(user, 0.0, 0, 1) for user in ("ann", "bob", "eve")] == [0, 0, 0]
    assert callers.wait_ms("eve", 0.0, 0, 1) > 0
    assert callers.wait_ms("ann", 0.0, 0, 1) == 0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=50))
def test_messages_of_one_caller_never_share_a_millisecond(sent: list[tuple[str, int]]) -> None:
    callers = Callers(10, 20)
    times: dict[str, list[int]] = {"a": [], "b": []}
    for user, wall in sent:
        times[user].append(callers.sent_at(user, 0.0, wall))
    for one in times.values():
        assert one == sorted(set(one))
