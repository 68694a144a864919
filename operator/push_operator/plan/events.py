"""What is told as Events of the object: decisions and turns, never each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from push_operator.fleet.rollout import State
from push_operator.fleet.values import Why
from push_operator.model import SERVICES
from push_operator.plan.status import Status, condition


@dataclass(frozen=True, slots=True)
class Event:
    """One line for `kubectl describe`."""

    reason: str
    message: str
    action: str
    warning: bool = False


def events(before: Mapping[str, Any], after: Status) -> tuple[Event, ...]:
    """From one status to the next."""
    told = [
        _stalled(before, after),
        _ready(before, after),
        _rollout(before, after),
        *_quarantined(before, after),
        *_scaled(before, after),
    ]
    return tuple(one for one in told if one is not None)


def _stalled(before: Mapping[str, Any], after: Status) -> Event | None:
    now = condition(after, "Stalled") or {}
    was = condition(before, "Stalled") or {}
    if now.get("status") != "True" or (was.get("status"), was.get("message")) == ("True", now["message"]):
        return None
    return Event(now["reason"], now["message"], "Refuse", warning=True)


def _ready(before: Mapping[str, Any], after: Status) -> Event | None:
    now, was = condition(after, "Ready") or {}, condition(before, "Ready") or {}
    if now.get("status") != "True" or was.get("status") == "True":
        return None
    return Event("Ready", now["message"], "Reconcile")


def _rollout(before: Mapping[str, Any], after: Status) -> Event | None:
    """Its turns, not its steps."""
    was, now = before.get("rollout") or {}, after.get("rollout") or {}
    same = [now.get(key) == was.get(key) for key in ("revision", "state")]
    if all(same) or not was or now.get("state") is None:
        return None
    stopped = now["state"] == State.STOPPED
    message = now.get("message") or f"every gateway is of {now['revision']}"
    return Event(f"Rollout{now['state']}", message, "Rollout", warning=stopped)


def _quarantined(before: Mapping[str, Any], after: Status) -> list[Event]:
    """Who is so from now on, with what ails it where that is still known."""
    faults = {one["name"]: one["fault"] for one in _scaling(after).get("deaf") or ()}
    new = sorted(_in_quarantine(after) - _in_quarantine(before))
    told = [f"{name} {faults.get(name, 'is deaf')}: it gets no new sockets" for name in new]
    return [Event("Quarantined", message, "Quarantine", warning=True) for message in told]


def _in_quarantine(status: Mapping[str, Any]) -> set[str]:
    return {one["name"] for one in _scaling(status).get("drains") or () if one.get("why") == Why.QUARANTINE}


def _scaling(status: Mapping[str, Any]) -> Mapping[str, Any]:
    return status.get("scaling") or {}


def _scaled(before: Mapping[str, Any], after: Status) -> list[Event]:
    wanted = {one["name"]: one["desired"] for one in before.get("components") or ()}
    return [
        Event("Scaled", f"{one['name']} from {wanted[one['name']]} to {one['desired']}{_because(one, after)}", "Scale")
        for one in after.get("components") or ()
        if one["name"] in wanted and wanted[one["name"]] != one["desired"]
    ]


def _because(component: Mapping[str, Any], after: Status) -> str:
    """Of the gateways it is known why."""
    message = _scaling(after).get("message")
    return f": {message}" if component["name"] == SERVICES[0] and message else ""
