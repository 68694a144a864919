"""What is wrong with which gateway, and since when. Pure.

A gateway can be Ready and deaf all the same. What it says of itself is one sign; that it says nothing, or that nothing
happens in it while the others are busy, are two more, and these need the others to compare with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from push_operator.fleet.samples import FRESH_SECONDS, is_fresh
from push_operator.fleet.values import Gateway, Stats

GAP_SECONDS: Final = 45.0  # nobody looked for so long: what was wrong before says nothing either
STALL_SECONDS: Final = 5.0  # of loop lag
HELD: Final = 50  # connections; with fewer a quiet gateway is no wonder
# What an idle one would have got by now, had it been like the others: none at all is then no chance.
ACCEPTS_EXPECTED: Final = 5
FRAMES_EXPECTED: Final = 20


class Fault(StrEnum):
    NATS = "has lost NATS"
    STALLED = "has an event loop that stalls"
    SILENT = "does not answer"
    FROZEN = "neither accepts nor delivers, as others do"


LASTING_SECONDS: Final[Mapping[Fault, float]] = {
    Fault.NATS: 30.0,
    Fault.STALLED: 30.0,
    Fault.SILENT: 45.0,
    Fault.FROZEN: 120.0,
}


@dataclass(frozen=True, slots=True)
class Busy:
    """What the whole fleet accepted, and the frames it took and gave, since the watch began."""

    accepted: int = 0
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Crowd:
    """Those who have answered lately, and the connections that they hold."""

    count: int
    held: int
    busy: Busy


@dataclass(frozen=True, slots=True)
class Watch:
    """Of one unit. `stats` is what it said last, `moved` when anything happened in it last and `then` how much had
    happened in the fleet by that time. `well` is since when nothing was wrong, None while something is."""

    uid: str
    begun: float
    moved: float
    then: Busy
    stats: Stats | None = None
    faults: Mapping[Fault, float] = field(default_factory=dict)
    well: float | None = None

    def lasting(self, now: float) -> Fault | None:
        """The fault that has lasted long enough to count, and longest."""
        lasting = [fault for fault, since in self.faults.items() if now - since >= LASTING_SECONDS[fault]]
        return min(lasting, key=lambda fault: self.faults[fault], default=None)


@dataclass(frozen=True, slots=True)
class Watching:
    """One Watch for each gateway that is there, by name; `at` is the last look."""

    at: float = float("-inf")
    units: Mapping[str, Watch] = field(default_factory=dict)
    busy: Busy = Busy()


def watch(gateways: Iterable[Gateway], before: Watching, now: float) -> Watching:
    """One more look, at those gateways that should be well."""
    looked = tuple(gateways)
    if now - before.at > GAP_SECONDS:
        before = Watching()
    known = {one.name: seen for one in looked if (seen := before.units.get(one.name)) and seen.uid == one.uid}
    busy = _busier(before.busy, looked, known)
    heard = [one.sample.stats.connections for one in looked if one.sample is not None and is_fresh(one, now)]
    crowd = Crowd(len(heard), sum(heard), busy)
    units = {
        one.name: _looked_at(one, known.get(one.name) or Watch(one.uid, now, now, busy), crowd, now) for one in looked
    }
    return Watching(now, units, busy)


def _busier(busy: Busy, gateways: Iterable[Gateway], known: Mapping[str, Watch]) -> Busy:
    for one in gateways:
        last = known[one.name].stats if one.name in known else None
        if one.sample is not None and last is not None and one.sample.stats.boot == last.boot:
            stats = one.sample.stats
            busy = Busy(
                busy.accepted + max(0, stats.accepted - last.accepted),
                busy.frames + max(0, _frames(stats) - _frames(last)),
            )
    return busy


def _looked_at(gateway: Gateway, seen: Watch, crowd: Crowd, now: float) -> Watch:
    seen = _moved(gateway, seen, crowd.busy, now)
    faults = {fault: seen.faults.get(fault, since) for fault, since in _faults(gateway, seen, crowd, now)}
    if faults or not is_fresh(gateway, now):
        return replace(seen, faults=faults, well=None)
    return replace(seen, faults={}, well=now if seen.well is None else seen.well)


def _moved(gateway: Gateway, seen: Watch, busy: Busy, now: float) -> Watch:
    if gateway.sample is None:
        return seen
    stats, last = gateway.sample.stats, seen.stats
    if last is not None and _counters(stats) == _counters(last) and stats.connections > HELD:
        return replace(seen, stats=stats)
    return replace(seen, stats=stats, moved=now, then=busy)


def _faults(gateway: Gateway, seen: Watch, crowd: Crowd, now: float) -> Iterator[tuple[Fault, float]]:
    """What is wrong now, each with the time since when, if it was not wrong before."""
    if gateway.sample is None or not is_fresh(gateway, now):
        heard = max(seen.begun, gateway.sample.at if gateway.sample else seen.begun)
        # When nobody answers, it is the operator that hears nothing.
        if gateway.ready and crowd.count and now - heard > FRESH_SECONDS:
            yield Fault.SILENT, heard
        return
    stats = gateway.sample.stats
    if not stats.nats:
        yield Fault.NATS, now
    if stats.loop_lag > STALL_SECONDS:
        yield Fault.STALLED, now
    if now - seen.moved >= LASTING_SECONDS[Fault.FROZEN] and _busy_without(stats, seen, crowd):
        yield Fault.FROZEN, seen.moved


def _busy_without(stats: Stats, seen: Watch, crowd: Crowd) -> bool:
    """Were the others so busy since anything happened here that something should have happened here too?"""
    others, held = crowd.count - 1, crowd.held - stats.connections
    accepted, frames = crowd.busy.accepted - seen.then.accepted, crowd.busy.frames - seen.then.frames
    return (
        others > 0
        and accepted >= ACCEPTS_EXPECTED * others
        and frames * stats.connections >= FRAMES_EXPECTED * max(1, held)
    )


def _counters(stats: Stats) -> tuple[str, int, int, int]:
    return stats.boot, stats.accepted, stats.frames_in, stats.delivered


def _frames(stats: Stats) -> int:
    return stats.frames_in + stats.delivered
