"""What Prometheus is told of one PushCluster, by its status. Pure.

A status may be of another version, or damaged by somebody: what is not there, or not as expected, has no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeGuard

from push_operator.fleet.rollout import State
from push_operator.model import SERVICES
from push_operator.scaling import Mode

GATEWAY: Final = SERVICES[0]
STATUSES: Final = ("True", "False", "Unknown")


class Family(NamedTuple):
    """What a name means, and the labels that it has beside those that name the PushCluster."""

    meaning: str
    labels: tuple[str, ...] = ()


class Gauge(NamedTuple):
    """One number of one family; `values` of its labels."""

    family: str
    value: float
    values: tuple[str, ...] = ()


FAMILIES: Final[Mapping[str, Family]] = {
    "push_cluster_connections": Family("Open sockets, rounded to two digits"),
    "push_cluster_gateways": Family("Gateways: ready, starting, or draining", ("state",)),
    "push_cluster_desired_gateways": Family("How many gateways there should be"),
    "push_cluster_drains": Family("Gateways that are being emptied"),
    "push_cluster_oldest_drain_timestamp_seconds": Family("When the longest of these began, in Unix seconds"),
    "push_cluster_autoscaler_held": Family("1 while the operator scales, and has no numbers to do it by"),
    "push_cluster_rollout": Family("1 for the state that the gateways' rollout is in", ("state",)),
    "push_cluster_condition": Family("1 for the status that each condition has", ("type", "status")),
}


def gauges(status: Mapping[str, Any]) -> tuple[Gauge, ...]:
    """Every number that a status has."""
    scaling = _mapping(status.get("scaling"))
    drains = [_mapping(one) for one in _list(scaling.get("drains"))]
    return (
        *_plain("push_cluster_connections", status.get("connections")),
        *_gateways(status, len(drains)),
        *_plain("push_cluster_desired_gateways", scaling.get("desired", _component(status).get("desired"))),
        Gauge("push_cluster_drains", len(drains)),
        *_plain("push_cluster_oldest_drain_timestamp_seconds", _oldest(drains)),
        *_rollout(_mapping(status.get("rollout"))),
        *_conditions(status),
    )


def _gateways(status: Mapping[str, Any], draining: int) -> Iterator[Gauge]:
    ready, total = status.get("gateways"), _component(status).get("total")
    if _is_number(ready):
        yield Gauge("push_cluster_gateways", ready, ("ready",))
        yield Gauge("push_cluster_gateways", draining, ("draining",))
        if _is_number(total):
            yield Gauge("push_cluster_gateways", max(0, total - ready), ("starting",))


def _rollout(rollout: Mapping[str, Any]) -> Iterator[Gauge]:
    now = rollout.get("state")
    if now in tuple(State):
        for state in State:
            yield Gauge("push_cluster_rollout", float(now == state), (str(state),))


def _conditions(status: Mapping[str, Any]) -> Iterator[Gauge]:
    for one in map(_mapping, _list(status.get("conditions"))):
        kind, now = one.get("type"), one.get("status")
        if not isinstance(kind, str) or now not in STATUSES:
            continue
        for each in STATUSES:
            yield Gauge("push_cluster_condition", float(now == each), (kind, each))
        if kind == "ScalingActive":
            automatic = one.get("reason") not in (Mode.FIXED, Mode.EXTERNAL)
            yield Gauge("push_cluster_autoscaler_held", float(automatic and now == "False"))


def _oldest(drains: Sequence[Mapping[str, Any]]) -> float | None:
    began = [at for one in drains if (at := _unix(one.get("since"))) is not None]
    return min(began) if began else None


def _unix(stamp: Any) -> float | None:
    try:
        return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError):
        return None


def _component(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of the gateways."""
    found = map(_mapping, _list(status.get("components")))
    return next((one for one in found if one.get("name") == GATEWAY), {})


def _plain(family: str, value: Any) -> Iterator[Gauge]:
    if _is_number(value):
        yield Gauge(family, value)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
