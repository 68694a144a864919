"""When the log makes room, and how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.message.trim import purge_below


@pytest.mark.parametrize(
    ("first", "last", "size", "limit", "written", "below"),
    [
        (1, 100, 74, 100, 100, None),  # room enough
        (1, 100, 75, 100, 100, 51),  # the older half
        (1, 100, 75, 100, 30, 31),  # only what is written
        (1, 100, 75, 100, 0, None),  # nothing is
        (41, 100, 99, 100, 100, 71),
        (41, 100, 99, 100, 40, None),
        (101, 100, 99, 100, 100, None),  # empty
        (1, 100, 10**12, -1, 100, None),  # no limit
    ],
)
def test_the_older_half_of_what_is_written_goes(
    first: int, last: int, size: int, limit: int, written: int, below: int | None
) -> None:
    assert purge_below(first, last, size, limit, written) == below


@given(st.integers(1, 10**9), st.integers(0, 10**6), st.integers(0, 10**9), st.integers(0, 2 * 10**9))
def test_what_history_lacks_never_goes(first: int, count: int, size: int, written: int) -> None:
    below = purge_below(first, first + count - 1, size, 10**6, written)
    assert below is None or first < below <= written + 1
