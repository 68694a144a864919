"""Gateways that hold far more than the others ask some of their clients to come back, wherever that is. Pure.

They come back at random, so that a gateway sheds no more than what it holds above the mean: none falls below it, the
order of the gateways stays as it was, and each round leaves less to do. Where they do not come back at random (all of a
company behind one address, and a balancer that goes by addresses) it does not help, and is left alone for a while.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from push_operator.fleet.samples import is_fresh
from push_operator.fleet.values import Fleet, Gateway, Shed

MUCH: Final = 1.3  # times the mean
LEAST_SURPLUS: Final = 200  # connections; 1.3 times a small mean is noise
NOISE: Final = 4.0  # standard deviations of what lands by chance
NEW_SECONDS: Final = 120.0  # a gateway that has just begun fills up by itself
ROUND_SECONDS: Final = 300.0  # the longest one
SETTLE_SECONDS: Final = 60.0  # until those who were asked last are back
HELPED_PERCENT: Final = 10  # of those who were asked must be elsewhere now
PAUSE_SECONDS: Final = 30 * 60.0
LEAST_RATE: Final = 0.1  # clients a second; a gateway takes no order with less


@dataclass(frozen=True, slots=True)
class RebalanceMemory:
    """`until`: nothing is begun before; None: the leader before this one may have begun something. `held`: what those
    that were asked held above the mean; `asked`: how many clients they asked, 0 when there is nothing to compare."""

    until: float | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    asked: int = 0


def rebalance(
    fleet: Fleet, memory: RebalanceMemory, budget_rate: float, now: float
) -> tuple[tuple[Shed, ...], RebalanceMemory]:
    """What to order now. `budget_rate` is clients a second that may be sent elsewhere, of all gateways together."""
    if memory.until is None:
        return (), RebalanceMemory(until=now + ROUND_SECONDS + SETTLE_SECONDS)
    if now < memory.until:
        return (), memory
    holding = _holding(fleet, now)
    if not _is_calm(fleet, now) or len(holding) < 2:
        return (), RebalanceMemory(memory.until)  # what helped cannot be told from what else happens
    if memory.asked and not _helped(memory, holding):
        return (), RebalanceMemory(until=now + PAUSE_SECONDS)
    surplus = _surplus(holding)
    if not surplus or budget_rate <= 0:
        return (), RebalanceMemory(memory.until)
    sheds, seconds = _round(surplus, budget_rate)
    asked = sum(shed.connections for shed in sheds)
    held = {shed.gateway: surplus[shed.gateway] for shed in sheds}
    return sheds, RebalanceMemory(now + seconds + SETTLE_SECONDS, held, asked)


def _serves(one: Gateway) -> bool:
    return one.ready and not one.pending and not one.leaving and one.mark is None


def _holding(fleet: Fleet, now: float) -> dict[str, int]:
    """The connections of those that serve, where they are known."""
    return {
        one.name: one.sample.stats.connections
        for one in fleet.gateways
        if _serves(one) and one.sample is not None and is_fresh(one, now)
    }


def _is_calm(fleet: Fleet, now: float) -> bool:
    """Nothing else moves clients or is about to: no rollout, drain, quarantine or start."""
    return all(
        _serves(one) and one.revision == fleet.wanted and not _is_new(one) and not _is_draining(one)
        for one in fleet.gateways
    ) and all(one.replicas == 0 or one.revision == fleet.wanted for one in fleet.sets)


def _is_new(one: Gateway) -> bool:
    return one.sample is None or one.sample.stats.uptime < NEW_SECONDS


def _is_draining(one: Gateway) -> bool:
    return one.sample is not None and one.sample.stats.draining is not None


def _above(holding: Mapping[str, int]) -> dict[str, float]:
    """What each holds above the mean."""
    mean = sum(holding.values()) / len(holding)
    return {name: held - mean for name, held in holding.items()}


def _surplus(holding: Mapping[str, int]) -> dict[str, float]:
    """Of those that hold far too much."""
    mean = sum(holding.values()) / len(holding)
    least = max(LEAST_SURPLUS, NOISE * math.sqrt(mean), (MUCH - 1) * mean)
    return {name: above for name, above in _above(holding).items() if above > least}


def _round(surplus: Mapping[str, float], rate: float) -> tuple[tuple[Shed, ...], float]:
    """Each its share of the rate, so that all end at the same time; and the seconds that it takes."""
    whole = sum(surplus.values())
    part = min(1.0, rate * ROUND_SECONDS / whole)
    sheds = tuple(Shed(name, math.floor(above * part), rate * above / whole) for name, above in sorted(surplus.items()))
    return tuple(shed for shed in sheds if shed.rate >= LEAST_RATE), whole * part / rate


def _helped(memory: RebalanceMemory, holding: Mapping[str, int]) -> bool:
    """Did those that asked come down? One that is gone did."""
    above = _above(holding)
    fell = sum(before - max(0.0, above.get(name, 0.0)) for name, before in memory.held.items())
    return 100 * fell >= HELPED_PERCENT * memory.asked
