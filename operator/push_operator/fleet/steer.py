"""The next steps of a fleet: which sets grow or shrink, which gateways are emptied and which may stay after all.

A gateway is taken away in three steps, each of which any operator can go on from: it is marked, which takes it out of
the Service; it is told to drain, until nobody is left; its set becomes one smaller, which ends it and no other.

A set's size is the number of gateways to keep in it and of those marked that are not yet empty; never the last size
less one. So it comes out the same however often it is computed, and whatever went in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from math import ceil
from typing import Final

from push_operator.fleet.measure import is_fresh
from push_operator.fleet.memory import Moment
from push_operator.fleet.rollout import helps
from push_operator.fleet.values import Fleet, Gateway, Steps, Why
from push_operator.scaling import GatewayScaling

SURGE_SHARE: Final = 0.25
HOLD_SECONDS: Final = 60.0  # a quarantined gateway keeps its clients so long: it may yet come to itself
SKEW_SECONDS: Final = 300.0  # a mark from further in the future has no date that means anything
HUNG_SECONDS: Final = 60.0  # beyond the time that a drain may take: who says nothing until then is ended


@dataclass(frozen=True, slots=True)
class Wish:
    """`desired` gateways, of the revision `into`. `halted`: nobody is emptied now, and no revision replaces another."""

    desired: int
    into: str
    halted: bool = False


@dataclass(frozen=True, slots=True)
class _Set:
    """One set: its size as asked for last, what stays, what is marked, what of that can go. `going`: how many are about
    to be deleted. `kept` counts units that are still to be made; `there` are the kept units that exist."""

    revision: str
    size: int
    going: int
    kept: int
    there: tuple[Gateway, ...]
    marked: tuple[Gateway, ...]
    done: tuple[Gateway, ...]


def steer(fleet: Fleet, wish: Wish, scaling: GatewayScaling, moment: Moment) -> Steps:
    """One step. `rates` are not decided here."""
    if not any(one.revision == wish.into for one in fleet.sets):
        return Steps()  # the set has yet to be made
    sets = [_set(fleet, one.revision, scaling, moment) for one in fleet.sets]
    into = next(one for one in sets if one.revision == wish.into)
    others = [one for one in sets if one.revision != wish.into]
    back = _taken_back(into, wish, moment)
    victims = {} if wish.halted else _victims(fleet, into, others, wish, scaling)
    grown = _growth(into, others, wish, len(back))
    gone = {one.revision: [unit.name for unit in _shrunk(one)] for one in sets}
    if back or grown:  # one thing after the other: one more and one fewer would be the same size
        gone[into.revision] = []
    wanted = {one.revision: one.size - (0 if wish.halted else _unmade(one)) for one in others}
    wanted[into.revision] = into.size + grown
    sizes = {one.revision: wanted[one.revision] - len(gone[one.revision]) for one in sets}
    return Steps(
        sizes={one.revision: sizes[one.revision] for one in sets if sizes[one.revision] != one.size},
        marks={**{one.name: None for one in back}, **victims},
        gone=frozenset(name for names in gone.values() for name in names),
    )


def _unmade(one: _Set) -> int:
    """Units of an earlier revision that are not there: they ended, or could not be made. New ones take their place."""
    return max(0, one.kept - len(one.there))


def _set(fleet: Fleet, revision: str, scaling: GatewayScaling, moment: Moment) -> _Set:
    size = fleet.size(revision)
    alive = [one for one in fleet.gateways if one.revision == revision and not one.leaving]
    marked = tuple(one for one in alive if one.mark is not None)
    # More units than were asked for: some are about to be deleted, and that is meant for marked ones.
    going = max(0, len(alive) - size)
    return _Set(
        revision=revision,
        size=size,
        going=going,
        kept=size - max(0, len(marked) - going),
        there=tuple(one for one in alive if one.mark is None),
        marked=marked,
        done=() if going else tuple(one for one in marked if is_done(one, scaling, moment)),
    )


def is_done(gateway: Gateway, scaling: GatewayScaling, moment: Moment) -> bool:
    """Nobody is there to be cut off: it is empty and takes nobody, or it never began, or it is marked for longer than a
    drain may take and has said nothing for as long, or for as long as this process has looked."""
    if gateway.mark is None:
        return False
    if gateway.pending:
        return True
    if not is_fresh(gateway, moment.now):
        patience = scaling.drain.timeout_seconds + HUNG_SECONDS
        heard = gateway.sample.at if gateway.sample is not None else moment.began
        marked = moment.wall - gateway.mark.since
        return moment.now - heard > patience and not -SKEW_SECONDS <= marked <= patience
    assert gateway.sample is not None  # noqa: S101 - a fresh one has it
    stats = gateway.sample.stats
    return stats.draining is not None and stats.connections == 0


def _taken_back(into: _Set, wish: Wish, moment: Moment) -> list[Gateway]:
    """Marked ones that are wanted again: the cheapest capacity there is. The fullest first, as they save the most. Of a
    set that is about to lose some none is: it would lose others for them. So it grows instead."""
    if into.going:
        return []
    lacking = wish.desired - into.kept
    able = [one for one in into.marked if _can_stay(one, moment)]
    return sorted(able, key=lambda one: (-_connections(one), one.name))[: max(0, lacking)]


def _can_stay(gateway: Gateway, moment: Moment) -> bool:
    if gateway.mark is None or gateway.mark.why is Why.QUARANTINE or not is_fresh(gateway, moment.now):
        return False
    draining = gateway.sample.stats.draining if gateway.sample is not None else None
    return draining is None or not draining.stopping


def _growth(into: _Set, others: list[_Set], wish: Wish, back: int) -> int:
    """Beside gateways of another revision it grows by a surge at a time, and only when what came in so far is ready."""
    lacking = max(0, wish.desired - into.kept - back)
    if not any(one.kept for one in others):
        return lacking
    room = wish.desired + surge(wish.desired) - into.size - sum(one.size for one in others)
    helping = sum(helps(gateway) for one in others for gateway in one.there)
    short = wish.desired - into.kept - back - helping  # fewer than wanted, of all revisions
    starting = any(not one.ready for one in into.there) or into.kept > len(into.there)
    return min(lacking, max(0, short, 0 if starting or wish.halted else room))


def surge(desired: int) -> int:
    """How many more than wanted there may be while a revision comes in."""
    return max(1, ceil(SURGE_SHARE * desired))


def _victims(fleet: Fleet, into: _Set, others: list[_Set], wish: Wish, scaling: GatewayScaling) -> Mapping[str, Why]:
    """Who is emptied next: of other revisions as far as the new one stands in for them, else those too many. One that
    is taken back counts once it serves: it may refuse."""
    drains = sum(one.mark is not None and not one.leaving for one in fleet.gateways)
    free = max(0, scaling.autoscaling.max_concurrent_drains - drains)
    old = [gateway for one in others for gateway in one.there]
    if old:
        standing = sum(one.ready for one in (*into.there, *old))
        return _chosen(fleet, old, Why.ROLLOUT, standing - wish.desired, free)
    # Those that are still to be made are waited for: they are the first to go.
    return _chosen(fleet, into.there, Why.SCALE_DOWN, min(into.kept, len(into.there)) - wish.desired, free)


def _chosen(fleet: Fleet, candidates: Sequence[Gateway], why: Why, surplus: int, free: int) -> Mapping[str, Why]:
    """Those without a client need no place among the drains; of an earlier revision they are of no use either."""
    ordered = _ordered(fleet, candidates)
    idle = [one for one in ordered if not helps(one)]
    if why is Why.SCALE_DOWN:
        idle = [one for one in idle if one.pending][: max(0, surplus)]
        surplus -= len(idle)
    served = {one.name for one in ordered} - {one.name for one in idle}
    rest = [one for one in ordered if one.name in served][: max(0, min(surplus, free))]
    return {one.name: why for one in (*idle, *rest)}


def _ordered(fleet: Fleet, candidates: Sequence[Gateway]) -> list[Gateway]:
    """Who goes first: who serves nobody, then the smaller revision, a node that is being emptied, the most crowded
    zone, and the fewest to send elsewhere."""
    zones = Counter(one.zone for one in fleet.gateways if not one.leaving and one.mark is None)
    return sorted(
        candidates,
        key=lambda one: (
            one.ready,
            fleet.size(one.revision),
            not one.cordoned,
            -zones[one.zone] if one.zone else 0,
            _connections(one),
            one.name,
        ),
    )


def _connections(gateway: Gateway) -> int:
    return gateway.sample.stats.connections if gateway.sample is not None else 0


def _shrunk(one: _Set) -> tuple[Gateway, ...]:
    """Those that can go now: whom the set would take before anybody else."""
    done = {unit.name for unit in one.done}
    others = [unit for unit in (*one.there, *one.marked) if unit.name not in done]
    return tuple(unit for unit in one.done if not any(_goes_before(other, unit) for other in others))


def _goes_before(other: Gateway, unit: Gateway) -> bool:
    """A smaller set might take `other` for it. A ReplicaSet takes first what has not begun, then what is not ready,
    then what is marked; but it may act later, and what has not begun now may be ready by then."""
    if unit.pending:
        return not other.pending and not other.ready and _connections(other) > 0
    return _rank(other) < _rank(unit)


def _rank(gateway: Gateway) -> tuple[bool, bool, bool]:
    return not gateway.pending, gateway.ready, gateway.mark is None


def losing(fleet: Fleet, gone: Set[str]) -> Set[str]:
    """The revisions that are about to lose a unit. Which one is decided by who is ready and who is marked when their
    ReplicaSet acts, and that may be later: until then nothing of that is changed in them."""
    alive = Counter(one.revision for one in fleet.gateways if not one.leaving)
    going = {revision for revision, number in alive.items() if number > fleet.size(revision)}
    return going | {one.revision for one in fleet.gateways if one.name in gone}
