"""What the status says of scaling, draining and rollouts, and what an operator reads back from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import floor, log10
from typing import Any, Final

from push_operator.fleet.capacity import Capacity
from push_operator.fleet.measure import is_fresh, serves
from push_operator.fleet.rollout import Rollout, Services, State
from push_operator.fleet.tick import Told, View
from push_operator.fleet.values import Fleet, Gateway
from push_operator.model import SERVICES
from push_operator.plan.observed import Observed
from push_operator.plan.steering import ROLLOUT
from push_operator.plan.workload import Plan
from push_operator.scaling import GatewayScaling, Mode
from push_operator.schedule import open_minimum

STEP_SECONDS: Final = 10  # of times that are told: they would be another each time


def told_of(body: Mapping[str, Any], scaling: GatewayScaling, wall: float) -> Told:
    """What outlives an operator. A status that somebody has damaged tells nothing."""
    status = _mapping(body.get("status"))
    desired = _mapping(status.get("scaling")).get("desired")
    asked = _mapping(_mapping(body.get("metadata")).get("annotations")).get(ROLLOUT)
    return Told(
        desired=desired if type(desired) is int and desired > 0 else None,
        rollout=_rollout_of(_mapping(status.get("rollout"))),
        ask=asked if isinstance(asked, str) else "",
        least=open_minimum(scaling.autoscaling.windows, datetime.fromtimestamp(wall, UTC)),
    )


def desired_of(body: Mapping[str, Any], service: str) -> int | None:
    """How many of a service were wanted last, as far as the status says."""
    components = _mapping(body.get("status")).get("components")
    for one in components if isinstance(components, list) else ():
        desired = _mapping(one).get("desired")
        if _mapping(one).get("name") == service and type(desired) is int and desired > 0:
            return desired
    return None


def services_of(plan: Plan, observed: Observed) -> Services:
    """How far the services are whose rollout goes before that of the gateways."""
    others = {one.component: one.revision for one in plan.workloads if one.component in SERVICES[1:]}
    rolling = {one.component for one in observed.units if others.get(one.component, one.revision) != one.revision}
    there = {one.component for one in observed.units if one.ready and others.get(one.component) == one.revision}
    return Services(tuple(sorted(rolling)), tuple(sorted(others.keys() - there)))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rollout_of(said: Mapping[str, Any]) -> Rollout | None:
    revision, state = said.get("revision"), said.get("state")
    if not isinstance(revision, str) or state not in tuple(State):
        return None
    return Rollout(revision, State(state), str(said.get("reason") or ""), str(said.get("message") or ""))


def scaling_status(view: View) -> dict[str, Any]:
    """`status.scaling`."""
    fleet, decision, moment = view.fleet, view.outcome.decision, view.moment
    at = decision.shrinks_at
    return {
        "current": sum(one.mark is None and not one.leaving for one in fleet.gateways),
        "desired": decision.desired,
        "reason": decision.reason,
        "message": decision.message,
        **({"limitedBy": decision.limited_by} if decision.limited_by else {}),
        "signals": [{"name": one.name, "value": one.value, "wants": one.wants} for one in decision.signals],
        "drains": [_drain(one) for one in fleet.gateways if one.mark is not None and not one.leaving],
        "deaf": [{"name": name, "fault": fault} for name, fault in sorted(view.outcome.health.deaf.items())],
        "anomalies": [
            {"kind": str(one.kind), "rate": round(one.rate, 1), "usual": round(one.usual, 1)}
            for one in view.outcome.anomalies
        ],
        **_learned(view.outcome.learned),
        "budget": round(view.outcome.budget, 1),
        **({"nextScaleDownAt": _stamp(moment.wall + at - moment.now)} if at is not None else {}),
    }


def _learned(learned: Capacity | None) -> dict[str, Any]:
    """What a gateway could hold, with what that is read from."""
    if learned is None:
        return {}
    seen = {"samples": learned.samples, "least": learned.least, "most": learned.most, "enough": learned.enough}
    return {"learned": {"connections": learned.connections, "limitedBy": str(learned.resource), **seen}}


def _drain(gateway: Gateway) -> dict[str, Any]:
    assert gateway.mark is not None  # noqa: S101 - only those are asked for
    stats = gateway.sample.stats if gateway.sample is not None else None
    told = {"name": gateway.name, "why": str(gateway.mark.why), "since": _stamp(gateway.mark.since, 1)}
    if stats is None or stats.draining is None:
        return told
    return {**told, "left": stats.connections, "rate": stats.draining.rate}


def rollout_status(view: View) -> dict[str, Any]:
    """`status.rollout`: with how many gateways there are of each revision."""
    fleet, rollout = view.fleet, view.outcome.rollout
    counts: dict[str, int] = {}
    for one in fleet.gateways:
        if not one.leaving:
            counts[one.revision] = counts.get(one.revision, 0) + 1
    return {
        "revision": rollout.revision,
        "state": str(rollout.state),
        **({"reason": rollout.reason, "message": rollout.message} if rollout.reason else {}),
        "revisions": [{"revision": name, "gateways": number} for name, number in sorted(counts.items())],
    }


def scaling_conditions(view: View) -> list[tuple[str, bool, str, str]]:
    decision, fleet = view.outcome.decision, view.fleet
    automatic = decision.reason not in (Mode.FIXED, Mode.EXTERNAL)
    drains = [one for one in fleet.gateways if one.mark is not None and not one.leaving]
    silent = [one.name for one in fleet.gateways if serves(one) and not is_fresh(one, view.moment.now)]
    return [
        ("ScalingActive", automatic and decision.active, decision.reason, decision.message),
        (
            "MetricsAvailable",
            not silent,
            "Silent" if silent else "Heard",
            f"no answer from {', '.join(silent[:3])}" if silent else "every gateway that serves has answered",
        ),
        _health(view),
        (
            "Draining",
            bool(drains),
            "Draining" if drains else "Settled",
            f"{len(drains)} being emptied" if drains else "no gateway is being emptied",
        ),
    ]


def _health(view: View) -> tuple[str, bool, str, str]:
    health = view.outcome.health
    said = "; ".join(f"{name} {fault}" for name, fault in sorted(health.deaf.items())[:3])
    if health.broken_broker:
        return "GatewaysHealthy", False, "BrokerDegraded", f"most gateways are in trouble at once: {said or 'see NATS'}"
    if said:
        return "GatewaysHealthy", False, "Deaf", said
    return "GatewaysHealthy", True, "Healthy", "no gateway is Ready and deaf"


def connections(fleet: Fleet) -> int:
    """All of them, rounded to two digits: it would be another number each time."""
    exact = sum(one.sample.stats.connections for one in fleet.gateways if one.sample is not None)
    return round(exact, 1 - floor(log10(exact))) if exact else 0


def _stamp(wall: float, step: int = STEP_SECONDS) -> str:
    at = datetime.fromtimestamp(floor(wall / step) * step, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
