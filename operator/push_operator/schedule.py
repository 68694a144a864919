"""Windows of time that a cron line opens. Pure: `now` comes in, always UTC.

A line has the five fields minute, hour, day, month and weekday (0 and 7 are Sunday), each a list of `*`, numbers and
ranges, with a step behind `*` or a range; names there are none. Where day and weekday are both given, either is enough,
as crond has it (POSIX `crontab`); one that begins with `*` counts as not given.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from push_operator.scaling import Window

_DAY_MINUTES: Final = 24 * 60
_STEP: Final = "(/[1-9][0-9]?)?"
_RANGE: Final = re.compile("([0-9]+)-([0-9]+)")
_FIELDS: Final = (
    # what a number looks like, the least and the largest
    ("[0-5]?[0-9]", 0, 59),
    ("([01]?[0-9]|2[0-3])", 0, 23),
    ("(0?[1-9]|[12][0-9]|3[01])", 1, 31),
    ("(0?[1-9]|1[0-2])", 1, 12),
    ("[0-7]", 0, 7),
)


def _pattern(number: str) -> str:
    item = rf"([*]{_STEP}|{number}(-{number}{_STEP})?)"
    return f"{item}(,{item})*"


LINE: Final = " ".join(_pattern(number) for number, _, _ in _FIELDS)
"""The same expression as in crds/pushcluster.yaml."""


@dataclass(frozen=True, slots=True)
class Cron:
    """When something begins: `times` are minutes of the day in their order, `weekdays` 0 (Sunday) to 6. `either`: the
    day or the weekday is enough."""

    times: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def falls_on(self, day: date) -> bool:
        fits = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return day.month in self.months and (any(fits) if self.either else all(fits))


def is_upward(line: str) -> bool:
    """Whether each range goes from its lower end to its higher one: what `LINE` cannot see."""
    return all(int(low) <= int(high) for low, high in _RANGE.findall(line))


def cron_of(line: str) -> Cron:
    """The meaning of a line. Raises ValueError when it is none."""
    if not re.fullmatch(LINE, line) or not is_upward(line):
        raise ValueError(f"not a cron line of five fields: {line}")
    texts = line.split(" ")
    minutes, hours, days, months, weekdays = (
        _numbers(text, low, high) for text, (_, low, high) in zip(texts, _FIELDS, strict=True)
    )
    return Cron(
        times=tuple(hour * 60 + minute for hour in sorted(hours) for minute in sorted(minutes)),
        days=days,
        months=months,
        weekdays=frozenset(number % 7 for number in weekdays),
        either=not texts[2].startswith("*") and not texts[4].startswith("*"),
    )


def _numbers(text: str, low: int, high: int) -> frozenset[int]:
    return frozenset(number for item in text.split(",") for number in _item(item, low, high))


def _item(item: str, low: int, high: int) -> range:
    span, _, step = item.partition("/")
    if span == "*":
        return range(low, high + 1, int(step or 1))
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))


def open_minimum(windows: Iterable[Window], now: datetime) -> int:
    """The largest minimum of the windows that are open; 0 when none is."""
    return max((one.min_replicas for one in windows if _is_open(one, now)), default=0)


def _is_open(window: Window, now: datetime) -> bool:
    lasts = timedelta(minutes=window.minutes)
    began = _last_start(cron_of(window.start), now, lasts)
    return began is not None and now < began + lasts


def _last_start(line: Cron, now: datetime, lasts: timedelta) -> datetime | None:
    """The last one that may still be open: as all windows of a line are equally long, no earlier one matters."""
    for ago in range(lasts.days + 2):
        day = now.date() - timedelta(days=ago)
        begun = bisect_right(line.times, _DAY_MINUTES if ago else now.hour * 60 + now.minute)
        if begun and line.falls_on(day):
            return datetime.combine(day, time(), UTC) + timedelta(minutes=line.times[begun - 1])
    return None
