"""Is what happens to the fleet unusual? More who come, go or are refused than in the last hour. Pure.

What is usual is the median of the hour, and how much it varies the median of how far minutes are from that: neither
cares what a few minutes of trouble looked like, and trouble that lasts half an hour is the new usual. Nobody is told
to do anything but wait: in a storm of reconnects a fleet must not shrink.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Final

from push_operator.fleet.samples import Last, Step, lasts, steps
from push_operator.fleet.values import Fleet, Stats

BUCKET_SECONDS: Final = 60.0
BUCKETS: Final = 60
LEARNED: Final = 10  # buckets; before, nothing is unusual
TICK_SECONDS: Final = 10.0  # how long what is compared was counted for, about
SIGMAS: Final = 6.0
MAD_SIGMA: Final = 1.4826  # of a normal distribution: its standard deviation over its median deviation
TICKS: Final = 3  # in a row
PLANNED_HALF_LIFE: Final = 30.0  # seconds in which half of those who were asked to come back and did not are given up


class Kind(StrEnum):
    CONNECTS = "connects"
    DISCONNECTS = "disconnects"
    AUTH_FAILURES = "auth failures"


COUNTERS: Final[Mapping[Kind, Callable[[Stats], int]]] = {
    Kind.CONNECTS: lambda stats: stats.accepted,
    Kind.DISCONNECTS: lambda stats: stats.disconnects,
    Kind.AUTH_FAILURES: lambda stats: stats.auth_failures,
}
FLOORS: Final[Mapping[Kind, float]] = {Kind.CONNECTS: 10.0, Kind.DISCONNECTS: 10.0, Kind.AUTH_FAILURES: 5.0}
"""A second, of the whole fleet; below, nothing is worth a word"""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """`rate` and `usual` are of the fleet, a second."""

    kind: Kind
    rate: float
    usual: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """One minute: the ticks in it, and the sum of their rates."""

    minute: int
    ticks: int
    sums: Mapping[Kind, float]


@dataclass(frozen=True, slots=True)
class AnomalyMemory:
    """`buckets`: at most BUCKETS, the oldest first. `planned`: clients that were asked to come back and are not yet
    seen to go, or to come. `above`: ticks in a row. `told`: what was said last, until a gateway says something new."""

    last: Last = field(default_factory=dict)
    buckets: tuple[Bucket, ...] = ()
    planned: Mapping[Kind, float] = field(default_factory=dict)
    above: Mapping[Kind, int] = field(default_factory=dict)
    told: tuple[Anomaly, ...] = ()


def notice(fleet: Fleet, memory: AnomalyMemory, now: float) -> tuple[tuple[Anomaly, ...], AnomalyMemory]:
    """To be asked once a tick. While there is any anomaly the fleet should not shrink."""
    new = tuple(steps(fleet.gateways, memory.last))
    last = lasts(fleet.gateways)
    if not new:
        return memory.told, AnomalyMemory(last, memory.buckets, memory.planned, memory.above, memory.told)
    rates, planned = _rates(new, memory.planned)
    usual = {kind: _usual(kind, memory.buckets) for kind in Kind}
    above = {kind: memory.above.get(kind, 0) + 1 if rates[kind] > usual[kind][1] else 0 for kind in Kind}
    told = tuple(Anomaly(kind, rates[kind], usual[kind][0]) for kind in Kind if above[kind] >= TICKS)
    return told, AnomalyMemory(last, _filled(memory.buckets, rates, now), planned, above, told)


def _rates(new: Sequence[Step], planned: Mapping[Kind, float]) -> tuple[dict[Kind, float], dict[Kind, float]]:
    """Of the fleet without what we asked for, and who of those is still to come."""
    seconds = max(step.seconds for step in new)
    asked = sum(_grown(step, lambda stats: stats.reconnects_asked) for step in new)
    rates, rest = {}, {}
    for kind, counter in COUNTERS.items():
        count = sum(_grown(step, counter) for step in new)
        expected = 0.0 if kind is Kind.AUTH_FAILURES else planned.get(kind, 0.0) + asked
        unplanned = max(0.0, 1 - expected / count) if count else 0.0
        rates[kind] = unplanned * sum(_grown(step, counter) / step.seconds for step in new)
        rest[kind] = max(0.0, expected - count) * 0.5 ** (seconds / PLANNED_HALF_LIFE)
    return rates, rest


def _grown(step: Step, counter: Callable[[Stats], int]) -> int:
    return max(0, counter(step.after.stats) - counter(step.before.stats))


def _usual(kind: Kind, buckets: Sequence[Bucket]) -> tuple[float, float]:
    """The usual rate, and the one above which a rate is unusual."""
    if len(buckets) < LEARNED:
        return 0.0, math.inf
    seen = [bucket.sums[kind] / bucket.ticks for bucket in buckets]
    middle = median(seen)
    deviation = median(abs(rate - middle) for rate in seen) * MAD_SIGMA
    by_chance = math.sqrt(middle / TICK_SECONDS)  # minutes vary less than ticks do, by chance alone
    return middle, max(FLOORS[kind], middle + SIGMAS * max(deviation, by_chance))


def _filled(buckets: tuple[Bucket, ...], rates: Mapping[Kind, float], now: float) -> tuple[Bucket, ...]:
    minute = math.floor(now / BUCKET_SECONDS)
    kept: Iterable[Bucket] = (bucket for bucket in buckets if minute - BUCKETS < bucket.minute < minute)
    current = next(
        (bucket for bucket in buckets if bucket.minute == minute), Bucket(minute, 0, dict.fromkeys(Kind, 0.0))
    )
    sums = {kind: current.sums[kind] + rates[kind] for kind in Kind}
    return (*kept, Bucket(minute, current.ticks + 1, sums))
