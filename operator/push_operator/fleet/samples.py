"""Samples over time: which are of now, and what happened between one and the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from push_operator.fleet.values import Gateway, Sample

FRESH_SECONDS: Final = 30.0  # two ticks: an older sample says nothing of now
LEAST_SECONDS: Final = 8.0  # between two samples; looks may follow each other faster, and chance would be all they show
LONGEST_SECONDS: Final = 120.0  # what happened over a longer time is no rate of now
Last = Mapping[str, tuple[str, Sample]]
"""Of each gateway by name: its uid, and the sample from which the next step is counted"""


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


def lasts(gateways: Iterable[Gateway], last: Last) -> Last:
    """To be kept until the next time: those whose step is not complete yet stay where they were."""
    return {one.name: _last(one, one.sample, last.get(one.name)) for one in gateways if one.sample is not None}


def steps(gateways: Iterable[Gateway], last: Last) -> Iterator[Step]:
    """Those that are complete now."""
    for one in gateways:
        known = last.get(one.name)
        if one.sample is not None and known is not None and _is_same(one, one.sample, known):
            before = known[1]
            if LEAST_SECONDS <= one.sample.at - before.at <= LONGEST_SECONDS:
                yield Step(one, before, one.sample)


def _last(one: Gateway, sample: Sample, known: tuple[str, Sample] | None) -> tuple[str, Sample]:
    if known is not None and _is_same(one, sample, known) and 0 <= sample.at - known[1].at < LEAST_SECONDS:
        return known
    return one.uid, sample


def _is_same(one: Gateway, sample: Sample, known: tuple[str, Sample]) -> bool:
    """The same process, whose counters go on."""
    uid, before = known
    return uid == one.uid and sample.stats.boot == before.stats.boot
