"""Windows that a cron line opens, against a walk over every minute."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.scaling import Window
from push_operator.schedule import LINE, cron_of, is_upward, open_minimum

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def _at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


# (the line, for how many minutes, when, whether it is open); 2026-01-05 is a Monday, 2026-03-01 a Sunday
CASES = [
    ("0 8 * * 1-5", 60, "2026-01-05 07:59", False),
    ("0 8 * * 1-5", 60, "2026-01-05 08:00", True),
    ("0 8 * * 1-5", 60, "2026-01-05 08:59", True),
    ("0 8 * * 1-5", 60, "2026-01-05 09:00", False),
    ("0 8 * * 1-5", 60, "2026-01-04 08:30", False),
    ("30 22 * * 0", 180, "2026-01-05 01:29", True),
    ("30 22 * * 7", 180, "2026-01-05 01:29", True),
    ("30 22 * * 7", 180, "2026-01-05 01:30", False),
    ("0 0 28 2 *", 2880, "2026-03-01 23:59", True),
    ("0 0 29 2 *", 1440, "2026-03-01 12:00", False),
    ("0 0 29 2 *", 1440, "2028-02-29 12:00", True),
    ("0 12 * * 3", 10080, "2026-01-07 11:59", True),
    ("0 12 31 12 *", 1440, "2026-01-01 11:59", True),
    ("0 0 13 * 5", 1440, "2026-01-13 10:00", True),  # the day is enough
    ("0 0 13 * 5", 1440, "2026-01-09 10:00", True),  # and so is the weekday
    ("0 0 13 * 5", 1440, "2026-01-10 10:00", False),
    ("0 0 */2 * 5", 1440, "2026-01-02 10:00", False),  # a day that begins with * is not given: both must fit
    ("0 0 */2 * 5", 1440, "2026-01-09 10:00", True),
    ("*/20 8-10/2 * * *", 1, "2026-01-05 10:40", True),
    ("*/20 8-10/2 * * *", 1, "2026-01-05 09:40", False),
    ("05,10 8 1,15 01 *", 1, "2026-01-15 08:05", True),
    ("0 0 30 2 *", 10080, "2026-03-02 00:00", False),
]


@pytest.mark.parametrize(("line", "minutes", "when", "expected"), CASES)
def test_a_window_is_open_from_its_start_for_its_minutes(line: str, minutes: int, when: str, expected: bool) -> None:
    assert open_minimum([Window(line, minutes, 7)], _at(when)) == (7 if expected else 0)


def test_the_largest_of_the_open_windows_holds() -> None:
    windows = [Window("0 8 * * *", 60, 3), Window("0 8 * * *", 120, 5), Window("0 20 * * *", 60, 9)]
    assert open_minimum(windows, _at("2026-01-05 08:30")) == 5
    assert open_minimum(windows, _at("2026-01-05 20:30")) == 9
    assert open_minimum((), _at("2026-01-05 20:30")) == 0


def test_seconds_within_a_minute_count() -> None:
    assert open_minimum([Window("0 8 * * *", 1, 3)], _at("2026-01-05 08:00") + timedelta(seconds=59.9)) == 3
    assert open_minimum([Window("0 8 * * *", 1, 3)], _at("2026-01-05 08:00") - timedelta(seconds=0.1)) == 0


@pytest.mark.parametrize("line", ["", "0 8 * *", "60 * * * *", "0 9-8 * * *", "0 8 * * mon"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a cron line"):
        cron_of(line)


@st.composite
def _item(draw: st.DrawFn, low: int, high: int) -> str:
    step = draw(st.sampled_from(["", f"/{draw(st.integers(1, 20))}"]))
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    return draw(st.sampled_from([f"*{step}", str(first), f"{first}-{last}{step}"]))


@st.composite
def _line(draw: st.DrawFn) -> str:
    return " ".join(
        draw(st.just("*") | st.lists(_item(low, high), min_size=1, max_size=3).map(",".join)) for low, high in _FIELDS
    )


def _holds(text: str, number: int, low: int) -> bool:
    """Whether a field names a number, told item by item without a set of them."""
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, last = (low, 99) if span == "*" else (int(span.split("-")[0]), int(span.split("-")[-1]))
        if first <= number <= last and (number - first) % int(step or 1) == 0:
            return True
    return False


def _begins(line: str, at: datetime) -> bool:
    minute, hour, day, month, weekday = line.split(" ")
    on_day, sunday_or = _holds(day, at.day, 1), at.isoweekday() % 7
    on_weekday = _holds(weekday, sunday_or, 0) or (sunday_or == 0 and _holds(weekday, 7, 0))
    either = day[0] != "*" and weekday[0] != "*"
    fits = on_day or on_weekday if either else on_day and on_weekday
    return _holds(minute, at.minute, 0) and _holds(hour, at.hour, 0) and _holds(month, at.month, 1) and fits


@given(
    line=_line(),
    minutes=st.integers(1, 3000) | st.integers(10_000, 10_080),
    now=st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31)),  # noqa: DTZ001 - hypothesis adds the zone itself
)
def test_a_walk_over_every_minute_says_the_same(line: str, minutes: int, now: datetime) -> None:
    now = now.replace(tzinfo=UTC)
    minute = now.replace(second=0, microsecond=0)
    walked = any(_begins(line, minute - timedelta(minutes=ago)) for ago in range(minutes))
    assert re.fullmatch(LINE, line)
    assert is_upward(line)
    assert open_minimum([Window(line, minutes, 4)], now) == (4 if walked else 0)
