"""Samples over time: which are of now, and what happened between one and the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from push_operator.fleet.values import Gateway, Sample

FRESH_SECONDS: Final = 30.0  # two ticks: an older sample says nothing of now
LONGEST_SECONDS: Final = 120.0  # between two samples; what happened over a longer time is no rate of now
Last = Mapping[str, tuple[str, Sample]]
"""Of each gateway by name: its uid, and its last sample"""


@dataclass(frozen=True, slots=True)
class Step:
    """From one sample of a process to its next."""

    gateway: Gateway
    before: Sample
    after: Sample

    @property
    def seconds(self) -> float:
        return self.after.at - self.before.at


def is_fresh(gateway: Gateway, now: float) -> bool:
    return gateway.sample is not None and now - gateway.sample.at <= FRESH_SECONDS


def lasts(gateways: Iterable[Gateway]) -> Last:
    """To be kept until the next time."""
    return {one.name: (one.uid, one.sample) for one in gateways if one.sample is not None}


def steps(gateways: Iterable[Gateway], last: Last) -> Iterator[Step]:
    """Those that have said something since: the same process, and not too long ago."""
    for one in gateways:
        uid, before = last.get(one.name, ("", None))
        if before is None or one.sample is None or uid != one.uid or one.sample.stats.boot != before.stats.boot:
            continue
        if 0 < one.sample.at - before.at <= LONGEST_SECONDS:
            yield Step(one, before, one.sample)
