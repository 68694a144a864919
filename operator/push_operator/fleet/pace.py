"""How fast clients are sent elsewhere: never faster than those that stay can take them, all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from push_operator.fleet.measure import Load, is_fresh
from push_operator.fleet.values import Fleet, Gateway
from push_operator.scaling import GatewayScaling

LEAST_RATE: Final = 1.0  # clients a second: an end comes, however full the rest is
ACCEPT_SHARE: Final = 0.5  # of what the serving ones can accept: the rest is for clients that come by themselves
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
    busy = [one for one in emptied if one.sample is None or _left(one) > 0]
    each = share / max(1, len(busy))
    return {one.name: round(each, 1) for one in emptied if not _has(one, each)}


def _own_pace(gateway: Gateway, now: float) -> float:
    draining = gateway.sample.stats.draining if gateway.sample is not None else None
    if draining is None or draining.left == 0:
        return 0.0
    return draining.rate if draining.stopping or gateway.leaving or not is_fresh(gateway, now) else 0.0


def _left(gateway: Gateway) -> int:
    return gateway.sample.stats.connections if gateway.sample is not None else 0


def _has(gateway: Gateway, rate: float) -> bool:
    """It drains already, and about as fast; with nobody left, no rate matters."""
    draining = gateway.sample.stats.draining if gateway.sample is not None else None
    if draining is None:
        return False
    return _left(gateway) == 0 or abs(draining.rate - rate) <= SAME_SHARE * rate
