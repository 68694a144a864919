"""Which gateways get no new sockets because they are deaf, and which get some again. Pure.

A cure must not be worse than the illness: what ails most gateways at once is not theirs (the broker, the network, the
operator itself), and to take them all out would be the outage. So there is a budget, and after each one a pause that
doubles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from push_operator.fleet.values import Fleet, Gateway, Why
from push_operator.fleet.watch import Fault, Watch, Watching, watch

WELL_SECONDS: Final = 30.0  # until one that was quarantined gets new sockets again
MAX_PERCENT: Final = 10  # of the gateways at once, and one in any case
PAUSE_SECONDS: Final = 60.0  # after one is quarantined; doubles with each in the hour
PAUSE_MAX_SECONDS: Final = 30 * 60.0
REMEMBERED_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class HealthMemory:
    """`quarantines`: the times of the last hour's, the oldest first. One Watch for each gateway that is there."""

    watching: Watching = field(default_factory=Watching)
    quarantines: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """`quarantine`: whom to mark now, and why; `back`: whose mark to take back. `deaf`: all who are, marked or not.
    `broken_broker`: more than half are in trouble at once, so that it is not theirs."""

    quarantine: Mapping[str, str] = field(default_factory=dict)
    back: frozenset[str] = frozenset()
    deaf: Mapping[str, str] = field(default_factory=dict)
    broken_broker: bool = False


def judge(fleet: Fleet, memory: HealthMemory, now: float) -> tuple[Health, HealthMemory]:
    """To be asked once a tick, with the last samples. Those that leave or are emptied for another reason are not
    judged."""
    judged = tuple(one for one in fleet.gateways if _is_judged(one))
    begins = not memory.watching.units
    watching = watch(judged, memory.watching, now)
    isolated = tuple(one for one in judged if one.mark is not None)
    # A leader before this one left them: when, this one cannot know.
    past = memory.quarantines or tuple(now for _ in isolated if begins)
    past = tuple(at for at in past if now - at < REMEMBERED_SECONDS)
    deaf = {name: fault for name, unit in watching.units.items() if (fault := unit.lasting(now)) is not None}
    broken = len(judged) >= 2 and 2 * sum(bool(unit.faults) for unit in watching.units.values()) > len(judged)
    chosen = None if broken or now < _next(past) else _chosen(judged, isolated, watching.units, deaf)
    health = Health(
        {} if chosen is None else {chosen: str(deaf[chosen])},
        _back(judged, isolated, watching.units, now),
        {name: str(fault) for name, fault in deaf.items()},
        broken,
    )
    return health, HealthMemory(watching, past if chosen is None else (*past, now))


def _is_judged(one: Gateway) -> bool:
    return not one.pending and not one.leaving and (one.mark is None or one.mark.why is Why.QUARANTINE)


def _next(past: Sequence[float]) -> float:
    """When the next one may be quarantined, after those of the last hour."""
    if not past:
        return float("-inf")
    return past[-1] + min(PAUSE_MAX_SECONDS, PAUSE_SECONDS * 2.0 ** (len(past) - 1))


def _chosen(
    judged: Sequence[Gateway], isolated: Sequence[Gateway], units: Mapping[str, Watch], deaf: Mapping[str, Fault]
) -> str | None:
    """The one that has been deaf longest, within the budget, if anybody who is well remains."""
    serving = [one for one in judged if one.mark is None and one.ready]
    well = [one for one in serving if not units[one.name].faults]
    if len(isolated) >= max(1, len(judged) * MAX_PERCENT // 100) or not _most_remain(judged, well):
        return None
    candidates = [one.name for one in serving if one.name in deaf]
    return min(candidates, key=lambda name: (units[name].faults[deaf[name]], name), default=None)


def _most_remain(judged: Sequence[Gateway], well: Sequence[Gateway]) -> bool:
    """One that is not Ready serves nobody either: with those out, at least half must be well."""
    return len(well) > 0 and 2 * len(well) >= len(judged)


def _back(
    judged: Sequence[Gateway], isolated: Sequence[Gateway], units: Mapping[str, Watch], now: float
) -> frozenset[str]:
    """Those that have been well for a while; all of them when nobody else is there to serve: a deaf gateway is better
    than none."""
    if not any(one.mark is None and one.ready for one in judged):
        return frozenset(one.name for one in isolated)
    return frozenset(one.name for one in isolated if _is_well(units[one.name], now))


def _is_well(unit: Watch, now: float) -> bool:
    return unit.well is not None and now - unit.well >= WELL_SECONDS
