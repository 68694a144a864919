"""What is remembered of a fleet from one look to the next. It is lost with the operator's process, and may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from push_operator.fleet.values import Bus, Fleet, Sample


@dataclass(frozen=True, slots=True)
class Moment:
    """`now`: seconds of a clock that only grows. `wall`: Unix seconds, which other processes know too."""

    now: float
    wall: float


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
    """`began`: since when this process looks. `desired`: what was decided last. `first_seen`: since when each unit is
    known. `samples`: the last of each gateway, and of the gateway before it went too, for `rates`. `rate`: smoothed
    new connections a second that nobody had asked to come back. `raised`, `boosted`: when it last grew, and for a
    reason that cannot be computed to a number."""

    began: float
    desired: int | None = None
    wants: Peaks = ()
    loads: Peaks = ()
    first_seen: Mapping[str, float] = field(default_factory=dict)
    samples: Mapping[str, Sample] = field(default_factory=dict)
    busy: Mapping[str, float] = field(default_factory=dict)
    rate: float = 0.0
    rated_at: float | None = None
    raised: float | None = None
    boosted: float | None = None
    bus: Bus | None = None


def remembered(fleet: Fleet, memory: Memory, now: float) -> Mapping[str, float]:
    """Since when each unit is known."""
    return {one.name: memory.first_seen.get(one.name, now) for one in fleet.gateways}
