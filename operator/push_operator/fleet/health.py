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
PAUSE_SECONDS: Final = 60.0  # after one is quarantined; doubles with the next
PAUSE_MAX_SECONDS: Final = 30 * 60.0
FORGOTTEN_SECONDS: Final = 3600.0  # after so long without one the pause is short again


@dataclass(frozen=True, slots=True)
class HealthMemory:
    """`streak`: how many were quarantined with less than FORGOTTEN_SECONDS between them; `last`: when the last was."""

    watching: Watching = field(default_factory=Watching)
    streak: int = 0
    last: float = float("-inf")


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
    isolated = tuple(one for one in judged if one.mark is not None)
    streak, last = _past(memory, isolated, now)
    watching = watch(judged, memory.watching, now)
    units = watching.units
    deaf = {name: fault for name, unit in units.items() if (fault := unit.lasting(now)) is not None}
    chosen = None if now < last + _pause(streak) else _chosen(judged, isolated, units, deaf)
    health = Health(
        quarantine={} if chosen is None else {chosen: str(deaf[chosen])},
        back=_back(judged, isolated, units, now),
        deaf={name: str(fault) for name, fault in deaf.items()},
        broken_broker=len(judged) >= 2 and 2 * sum(bool(unit.faults) for unit in units.values()) > len(judged),
    )
    return health, HealthMemory(watching, streak, last) if chosen is None else HealthMemory(watching, streak + 1, now)


def _is_judged(one: Gateway) -> bool:
    return not one.pending and not one.leaving and (one.mark is None or one.mark.why is Why.QUARANTINE)


def _past(memory: HealthMemory, isolated: Sequence[Gateway], now: float) -> tuple[int, float]:
    """Those that a leader before this one left count as quarantined now: when they were, this one cannot know."""
    if isolated and not memory.watching.units:
        return len(isolated), now
    return (memory.streak, memory.last) if now - memory.last < FORGOTTEN_SECONDS else (0, float("-inf"))


def _pause(streak: int) -> float:
    """Seconds from the last one to the next."""
    return min(PAUSE_MAX_SECONDS, PAUSE_SECONDS * 2.0 ** min(streak - 1, 16))


def _chosen(
    judged: Sequence[Gateway], isolated: Sequence[Gateway], units: Mapping[str, Watch], deaf: Mapping[str, Fault]
) -> str | None:
    """The one that has been deaf longest, within the budget, if most are well: else it is not theirs."""
    serving = [one for one in judged if one.mark is None and one.ready]
    well = [one for one in serving if not units[one.name].faults]
    if len(isolated) >= max(1, len(judged) * MAX_PERCENT // 100) or not _most_remain(judged, well):
        return None
    candidates = [one.name for one in serving if one.name in deaf]
    return min(candidates, key=lambda name: (units[name].faults[deaf[name]], name), default=None)


def _most_remain(judged: Sequence[Gateway], well: Sequence[Gateway]) -> bool:
    """At least half must be well and serve; one that is not Ready serves nobody either."""
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
