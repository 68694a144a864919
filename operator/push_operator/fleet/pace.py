"""How fast clients are sent elsewhere: never faster than those that stay can take them, all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from push_operator.fleet.measure import Load, is_fresh
from push_operator.fleet.values import Fleet, Gateway
from push_operator.scaling import GatewayScaling

LEAST_RATE: Final = 1.0  # clients a second: an end comes, however full the rest is
ACCEPT_SHARE: Final = 0.5  # of what the serving ones can accept: the rest is for clients that come by themselves
LEAST_ORDER: Final = 0.1  # clients a second: a gateway takes no slower order, so that some have to wait for others
SAME_SHARE: Final = 0.1  # a rate that differs by less is not ordered anew


def budget(scaling: GatewayScaling, load: Load) -> float:
    """Clients a second that the whole fleet may send elsewhere."""
    room = ACCEPT_SHARE * scaling.autoscaling.accept_rate * load.ready - load.rate
    return max(LEAST_RATE, min(scaling.drain.reconnects_per_second, room))


def left_of(fleet: Fleet, whole: float, now: float) -> float:
    """What those leave of the budget that nobody can slow down: they end by somebody else's hand, or do not answer."""
    taken = sum(_own_pace(one, now) for one in fleet.gateways)
    return max(LEAST_RATE, whole - taken)


def orders(emptied: Sequence[Gateway], share: float) -> Mapping[str, float]:
    """Which gateways are told to drain, or to drain at another rate. `share`: the budget of all of them."""
    busy = [one for one in emptied if not _is_empty(one)]
    busy.sort(key=lambda one: (not _drains(one), one.name))  # those that have begun go on
    each = max(LEAST_ORDER, share / max(1, len(busy)))
    waiting = {one.name for one in busy[int(share / LEAST_ORDER + 0.5) :] if not _drains(one)}
    return {one.name: round(each, 1) for one in emptied if one.name not in waiting and not _has(one, each)}


def _drains(gateway: Gateway) -> bool:
    return gateway.sample is not None and gateway.sample.stats.draining is not None


def _own_pace(gateway: Gateway, now: float) -> float:
    draining = gateway.sample.stats.draining if gateway.sample is not None else None
    if draining is None or draining.left == 0:
        return 0.0
    return draining.rate if draining.stopping or gateway.leaving or not is_fresh(gateway, now) else 0.0


def _is_empty(gateway: Gateway) -> bool:
    """It said that nobody is left while it took nobody any more; what it said before, others may have made untrue."""
    stats = gateway.sample.stats if gateway.sample is not None else None
    return stats is not None and stats.draining is not None and stats.connections == 0


def _has(gateway: Gateway, rate: float) -> bool:
    """It drains already, and about as fast; with nobody left, no rate matters."""
    draining = gateway.sample.stats.draining if gateway.sample is not None else None
    if draining is None:
        return False
    return _is_empty(gateway) or abs(draining.rate - rate) <= SAME_SHARE * rate
