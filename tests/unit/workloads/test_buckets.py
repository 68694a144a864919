"""Which partition of history a message goes to."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from push_workloads.message.buckets import DAY_MS, ROW_BYTES, Bucket, Buckets
from push_workloads.message.model import Message


def message(sent_at: int, size: int = 0, conversation: str = "a|b") -> Message:
    return Message(conversation, sent_at, "m", "a", "b", "text", None, b"x" * size)


def test_a_day_is_one_bucket_and_the_next_is_another() -> None:
    buckets = Buckets(count(1).__next__)
    assert buckets.place(message(0)) == buckets.place(message(DAY_MS - 1)) == Bucket("a|b", 0, 0)
    assert buckets.place(message(DAY_MS)) == Bucket("a|b", 1, 0)
    assert buckets.place(message(DAY_MS, conversation="a|c")) == Bucket("a|c", 1, 0)


def test_a_bucket_is_listed_once_and_a_new_slice_is_not_listed_yet() -> None:
    buckets = Buckets(count(7).__next__, slice_bytes=1000)
    first = buckets.place(message(0, 900))
    assert not buckets.is_listed(first)
    buckets.listed(first)
    assert buckets.is_listed(first)
    second = buckets.place(message(0))
    assert second == Bucket("a|b", 0, 7)
    assert not buckets.is_listed(second)
    buckets.listed(first)
    assert not buckets.is_listed(second)


def test_a_day_that_was_forgotten_is_listed_again() -> None:
    buckets = Buckets(count(1).__next__, remembered=2)
    old = buckets.place(message(0))
    buckets.listed(old)
    for day in (1, 2):
        buckets.place(message(day * DAY_MS))
    assert not buckets.is_listed(old)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000)), max_size=200))
def test_no_bucket_is_filled_over_its_bound(sent: list[tuple[int, int]]) -> None:
    buckets = Buckets(count(1).__next__, slice_bytes=5000)
    filled: dict[Bucket, int] = {}
    for day, size in sent:
        bucket = buckets.place(message(day * DAY_MS, size))
        assert bucket.day == day
        assert filled.get(bucket, 0) < 5000
        filled[bucket] = filled.get(bucket, 0) + size + ROW_BYTES
