"""The status of a PushCluster, with conditions as kstatus reads them: Ready, Reconciling, Stalled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from push_operator.errors import Fault
from push_operator.fleet.rollout import State
from push_operator.fleet.tick import View
from push_operator.model import SERVICES, PushCluster
from push_operator.plan.observed import Observed
from push_operator.plan.scaling import connections, rollout_status, scaling_conditions, scaling_status
from push_operator.plan.workload import Plan, Workload

Status = dict[str, Any]
STAMP: Final = "%Y-%m-%dT%H:%M:%SZ"
_WORDY: Final = ("Ready", "Reconciling", "Stalled", "Available")  # whose words say what a person should do now
STOPPED_FIX: Final = "`push rollout undo` goes back, `push rollout resume` goes on all the same"


def running_status(cluster: PushCluster, plan: Plan, observed: Observed, view: View, now: str) -> Status:
    """Status of a valid object; `now` is RFC 3339 and only used where a condition changes."""
    components = [_component(workload, observed) for workload in plan.workloads]
    lacking = [_lack(component, observed) for component in components if not _complete(component)]
    reason = "Paused" if cluster.paused else "Progressing" if lacking else "AllReady"
    message = "; ".join(lacking) or "every component is ready"
    if view.outcome.rollout.state is State.STOPPED:
        reason, message = "RolloutStopped", f"{view.outcome.rollout.message}; {STOPPED_FIX}"
    conditions = [
        ("Ready", not lacking, reason, message),
        ("Reconciling", bool(lacking) and not cluster.paused, reason, message),
        ("Stalled", False, "Valid", "the manifest is valid"),
        _available(components),
        *scaling_conditions(view),
        _pending(observed),
    ]
    gateways = next(one for one in components if one["name"] == SERVICES[0])
    return {
        "observedGeneration": generation(observed.body),
        "components": [_with_reason(one, view) for one in components],
        "gateways": gateways["ready"],
        "readyGateways": f"{gateways['ready']}/{gateways['desired']}",
        "connections": connections(view.fleet),
        "scaling": scaling_status(view),
        "rollout": rollout_status(view),
        "version": cluster.version,
        "conditions": _conditions(conditions, observed, now),
        **({"selector": observed.selector} if observed.selector else {}),
        **({"url": observed.url} if observed.url else {}),
        **({"ignored": list(observed.ignored)} if observed.ignored else {}),
    }


def refused_status(faults: Sequence[Fault], observed: Observed, now: str) -> Status:
    """Status of an object whose manifest cannot be used."""
    return stalled_status("InvalidSpec", "; ".join(str(fault) for fault in faults), observed, now)


def stalled_status(reason: str, message: str, observed: Observed, now: str) -> Status:
    """Status of an object that waits for a person: what ran before still runs."""
    conditions = [
        ("Ready", False, reason, message),
        ("Reconciling", False, reason, message),
        ("Stalled", True, reason, message),
    ]
    before = dict((observed.body or {}).get("status") or {})
    before.update(observedGeneration=generation(observed.body), conditions=_conditions(conditions, observed, now))
    return before


def _component(workload: Workload, observed: Observed) -> dict[str, Any]:
    units = [unit for unit in observed.units if unit.component == workload.component and unit.mark is None]
    return {
        "name": workload.component,
        "desired": workload.replicas,
        "ready": sum(unit.ready for unit in units),
        "updated": sum(unit.revision == workload.revision for unit in units),
        "total": len(units),
        "endpoint": (observed.endpoints or {}).get(workload.component, ""),
    }


def _with_reason(component: Mapping[str, Any], view: View) -> dict[str, Any]:
    """Of those that follow a stream it is told why there are so many."""
    decision = view.replicas.get(component["name"])
    return {**component, **({"reason": decision.reason} if decision is not None else {})}


def _available(components: Sequence[Mapping[str, Any]]) -> tuple[str, bool, str, str]:
    """Clients can use it: something of everything serves."""
    missing = [one["name"] for one in components if not one["ready"]]
    if missing:
        return "Available", False, "Unavailable", f"nothing of {', '.join(missing)} is ready"
    return "Available", True, "Serving", "something of every component is ready"


def _pending(observed: Observed) -> tuple[str, bool, str, str]:
    """A newer operator would render something otherwise: it changes no pod by itself."""
    if not observed.outdated:
        return "RolloutPending", False, "UpToDate", "every component is as this operator makes it"
    names = ", ".join(observed.outdated)
    said = f"{names}: made otherwise by this operator, as soon as spec.version or the component's own part changes"
    return "RolloutPending", True, "NewerRendering", said


def _complete(component: Mapping[str, Any]) -> bool:
    """As many as wanted, all of the wanted revision, all ready, none too many."""
    counts = {component[key] for key in ("desired", "ready", "updated", "total")}
    return len(counts) == 1


def _lack(component: Mapping[str, Any], observed: Observed) -> str:
    notes = [unit.note for unit in observed.units if unit.component == component["name"] and unit.note]
    notes += [why for name, why in observed.failures.items() if name == component["name"]]
    text = f"{component['name']} {component['ready']}/{component['desired']}"
    return f"{text} ({notes[0]})" if notes else text


def generation(body: Mapping[str, Any] | None) -> int:
    """Which wish of its user's an object is; 0 where nobody counts."""
    return int(((body or {}).get("metadata") or {}).get("generation") or 0)


def _conditions(wanted: list[tuple[str, bool, str, str]], observed: Observed, now: str) -> list[dict[str, Any]]:
    """A transition time changes only when the condition's status does."""
    before = {one["type"]: one for one in ((observed.body or {}).get("status") or {}).get("conditions") or ()}
    made = []
    for kind, holds, reason, message in wanted:
        status = "True" if holds else "False"
        last = before.get(kind)
        since = last["lastTransitionTime"] if last is not None and last["status"] == status else now
        made.append({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    return made


def condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """One condition of a status, None when it is not there yet."""
    return next((one for one in status.get("conditions") or () if one["type"] == kind), None)


VOLATILE_SECONDS = 30


def is_news(before: Mapping[str, Any], after: Status, now: datetime) -> bool:
    """Whether it is worth a write: numbers that move all the time are told every half minute at the soonest."""
    if _untimed(before) == _untimed(after):
        return False
    if _lasting(before) != _lasting(after):
        return True
    at = before.get("updatedAt")
    return not isinstance(at, str) or at <= (now - timedelta(seconds=VOLATILE_SECONDS)).strftime(STAMP)


def _untimed(status: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key != "updatedAt"}


def _lasting(status: Mapping[str, Any]) -> dict[str, Any]:
    """Without what moves all the time."""
    scaling = {key: value for key, value in (status.get("scaling") or {}).items() if key in ("desired", "reason")}
    scaling["drains"] = [one.get("name") for one in (status.get("scaling") or {}).get("drains") or ()]
    conditions = [
        {key: value for key, value in one.items() if key != "message" or one.get("type") in _WORDY}
        for one in status.get("conditions") or ()
    ]
    moving = ("connections", "scaling", "conditions")
    rest = {key: value for key, value in _untimed(status).items() if key not in moving}
    return {**rest, "scaling": scaling, "conditions": conditions}
