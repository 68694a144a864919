"""What is remembered of a fleet from one look to the next. It is lost with the operator's process, and may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from push_operator.fleet.anomaly import AnomalyMemory
from push_operator.fleet.capacity import CapacityMemory
from push_operator.fleet.health import HealthMemory
from push_operator.fleet.rebalance import RebalanceMemory
from push_operator.fleet.values import Bus, Fleet, Sample


@dataclass(frozen=True, slots=True)
class Moment:
    """`now`: seconds of a clock that only grows. `wall`: Unix seconds, which other processes know too. `began`: since
    when this process has looked without a gap, by the first of these clocks."""

    now: float
    wall: float
    began: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Peak:
    at: float
    value: int


Peaks = tuple[Peak, ...]
"""The largest value of each moment up to now: times grow, values fall."""


def with_value(peaks: Peaks, at: float, value: int, window: float) -> Peaks:
    """Takes one more value; forgets those that are older than `window` seconds, or can never be the largest again."""
    kept = tuple(one for one in peaks if one.at > at - window and one.value > value)
    return (*kept, Peak(at, value))


@dataclass(frozen=True, slots=True)
class Memory:
    """`began`: since when this process looks, without a gap; `looked`: when it last found the number itself.
    `desired`: what was decided last. `unready`: since when those units are not ready that are not; `blind`: since when
    most gateways say nothing. `samples`: the last of each gateway, of which differences are made; `busy` and `shed`
    came of them: CPU seconds, and clients that it sent elsewhere while it served, a second. `rate`: smoothed new
    connections a second that nobody had asked to come back. `raised`, `boosted`: when it last grew, and last for a
    reason that is no number of gateways. `health`: what ails which gateway, and since when. `rebalance`, `anomaly`,
    `capacity`: of the modules of these names."""

    began: float
    looked: float | None = None
    desired: int | None = None
    wants: Peaks = ()
    loads: Peaks = ()
    unready: Mapping[str, float] = field(default_factory=dict)
    blind: float | None = None
    samples: Mapping[str, Sample] = field(default_factory=dict)
    busy: Mapping[str, float] = field(default_factory=dict)
    shed: Mapping[str, float] = field(default_factory=dict)
    rate: float = 0.0
    rated_at: float | None = None
    raised: float | None = None
    boosted: float | None = None
    bus: Bus | None = None
    health: HealthMemory = field(default_factory=HealthMemory)
    rebalance: RebalanceMemory = field(default_factory=RebalanceMemory)
    anomaly: AnomalyMemory = field(default_factory=AnomalyMemory)
    capacity: CapacityMemory = field(default_factory=CapacityMemory)


def unready(fleet: Fleet, memory: Memory, now: float) -> Mapping[str, float]:
    return {one.name: memory.unready.get(one.name, now) for one in fleet.gateways if not one.ready}
