"""The crowd of the cluster's tests sees what it is there to see: a lost message, one that came twice, a burst."""

from __future__ import annotations

import pytest
from tests.support.crowd import Letters, most_within, share_of

from push_client.events import Message


def _message(message_id: str, number: int, sender: str = "ann") -> Message:
    return Message(message_id, sender, sender, f"{sender} {number}", 0)


def test_what_was_acknowledged_is_due_until_it_comes() -> None:
    letters = Letters()
    letters.acked("a")
    assert letters.due == {"a"}
    letters.arrived("bob", _message("a", 1))
    letters.arrived("bob", _message("b", 2))
    letters.acked("b")  # it came before its ack
    assert not letters.due
    assert letters.twice == 0


def test_what_came_twice_or_late_is_counted_once_each() -> None:
    letters = Letters()
    for message_id, number in (("a", 1), ("c", 3), ("b", 2), ("c", 3)):
        letters.arrived("bob", _message(message_id, number))
    letters.arrived("cid", _message("d", 1))  # another pair has an order of its own
    assert (letters.disorder, letters.twice) == (1, 1)


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([5.0], 1), ([0.0, 0.9, 1.0], 2), ([0.6, 1.4, 3.0], 2), ([3.0, 1.4, 0.6, 1.5], 3), ([0.0, 1.0, 2.0], 1)],
)
def test_the_most_within_a_second_wherever_it_begins(times: list[float], most: int) -> None:
    assert most_within(1.0, times) == most


def test_shares_of_values() -> None:
    values = [float(one) for one in range(100, 0, -1)]
    assert (share_of(values, 0.5), share_of(values, 0.95), share_of(values, 1.0)) == (51.0, 96.0, 100.0)
    assert share_of([], 0.95) == 0.0
