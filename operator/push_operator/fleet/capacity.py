"""How many connections a gateway could hold, by what they have cost so far. It is told and nothing is done by it. Pure.

Samples are kept by size: a few of the newest for each range of connection counts, so that hours at one size do not
drown the minutes at another. A line through the medians of the ranges (Theil and Sen: the median of all slopes) says
what a connection costs, whatever a third of the samples say.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from statistics import median
from typing import Final

from push_operator.fleet.samples import Last, Step, lasts, steps
from push_operator.fleet.values import Fleet, Gateway

BUSY_LIMIT: Final = 0.7  # of one core: above it a loop answers late
LAG_LIMIT: Final = 0.05  # seconds
BIN_RATIO: Final = 1.15  # of a range's upper end to its lower
FIRST: Final = 50  # connections; with fewer the process itself costs more than they do
MAX_BINS: Final = 64
PER_BIN: Final = 16
LEAST_BINS: Final = 3
LEAST_SAMPLES: Final = 30
LEAST_SPAN: Final = 1.5  # the largest size seen, over the smallest
LEAST_SECONDS: Final = 5.0  # between two samples; over less, CPU time is too coarse
STEADY: Final = 0.1  # a gateway that fills or empties faster than this, from one sample to the next, pays for that


class Resource(StrEnum):
    CPU = "CPU"
    LAG = "loop lag"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one gateway at one time. `busy` is CPU seconds a second, `lag` seconds, `memory` bytes."""

    connections: int
    busy: float
    lag: float
    memory: int


@dataclass(frozen=True, slots=True)
class CapacityMemory:
    """Of one revision: another may cost another. `bins`: by range, the newest PER_BIN."""

    revision: str = ""
    last: Last = field(default_factory=dict)
    bins: Mapping[int, tuple[Cost, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capacity:
    """At `connections` the `resource` would be at its limit. `enough`: the evidence reaches far enough to say so;
    `samples` of `least` to `most` connections are what it is."""

    connections: int
    resource: Resource
    samples: int
    least: int
    most: int
    enough: bool


def learn(fleet: Fleet, memory: CapacityMemory) -> CapacityMemory:
    """One more tick."""
    if memory.revision != fleet.wanted:
        memory = CapacityMemory(fleet.wanted)
    bins = dict(memory.bins)
    steady = (one for one in fleet.gateways if _is_usual(one) and one.revision == fleet.wanted)
    for cost in _costs(steps(steady, memory.last)):
        place = math.floor(math.log(cost.connections / FIRST, BIN_RATIO))
        if place < MAX_BINS:
            bins[place] = (*bins.get(place, ()), cost)[-PER_BIN:]
    return CapacityMemory(fleet.wanted, lasts(fleet.gateways), bins)


def capacity(memory: CapacityMemory, memory_limit: int | None) -> Capacity | None:
    """None while nothing can be said, or nothing grows with the connections. `memory_limit` is in bytes."""
    costs = [cost for one in memory.bins.values() for cost in one]
    if len(memory.bins) < LEAST_BINS or len(costs) < LEAST_SAMPLES:
        return None
    least, most = min(cost.connections for cost in costs), max(cost.connections for cost in costs)
    found = [
        (size, resource)
        for resource, limit, points in _resources(memory.bins, memory_limit)
        if (size := _reached(points, limit)) is not None
    ]
    if not found or most < LEAST_SPAN * least:
        return None
    size, resource = min(found)
    return Capacity(math.floor(size), resource, len(costs), least, most, enough=2 * most >= size)


def _is_usual(one: Gateway) -> bool:
    return (
        one.ready
        and one.mark is None
        and not one.leaving
        and one.sample is not None
        and one.sample.stats.draining is None
    )


def _costs(new: Iterable[Step]) -> Iterator[Cost]:
    for step in new:
        before, after = step.before.stats, step.after.stats
        moved = abs(after.connections - before.connections)
        if after.connections >= FIRST and step.seconds >= LEAST_SECONDS and moved <= STEADY * after.connections:
            busy = max(0.0, after.cpu_seconds - before.cpu_seconds) / step.seconds
            yield Cost(after.connections, busy, after.loop_lag, after.rss_bytes)


def _resources(
    bins: Mapping[int, Sequence[Cost]], memory_limit: int | None
) -> Iterator[tuple[Resource, float, list[tuple[float, float]]]]:
    """Each with its limit and the medians of the ranges."""
    kept = list(bins.values())
    yield Resource.CPU, BUSY_LIMIT, [(_middle(one), median(cost.busy for cost in one)) for one in kept]
    yield Resource.LAG, LAG_LIMIT, [(_middle(one), median(cost.lag for cost in one)) for one in kept]
    if memory_limit is not None:
        yield Resource.MEMORY, memory_limit, [(_middle(one), median(cost.memory for cost in one)) for one in kept]


def _middle(costs: Sequence[Cost]) -> float:
    return median(cost.connections for cost in costs)


def _reached(points: Sequence[tuple[float, float]], limit: float) -> float | None:
    """Where the line through the points is at the limit; None when it does not rise."""
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x1 != x2]
    slope = median(slopes) if slopes else 0.0
    if slope <= 0:
        return None
    return max(0.0, (limit - median(y - slope * x for x, y in points)) / slope)
