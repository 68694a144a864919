"""Pods as the units of a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from push_operator.plan.observed import Unit
from push_operator.render.objects import COMPONENT, REVISION, Object


def units_of(pods: Iterable[Object]) -> tuple[Unit, ...]:
    """Those that run or are about to: one that is going, or has ended, is no capacity and never counted."""
    alive = [pod for pod in pods if not _is_over(pod)]
    return tuple(sorted((_unit(pod) for pod in alive), key=lambda unit: unit.name))


def failures_of(deployments: Iterable[Object]) -> dict[str, str]:
    """By component, why the API server refuses its pods: a quota, a policy. There is no pod then that could tell."""
    told = ((one, _condition(one.get("status", {}), "ReplicaFailure")) for one in deployments)
    return {
        one["metadata"].get("labels", {}).get(COMPONENT, ""): _joined(failed.get("reason"), failed.get("message"))
        for one, failed in told
        if failed.get("status") == "True"
    }


def _is_over(pod: Object) -> bool:
    phase = pod.get("status", {}).get("phase")
    return bool(pod["metadata"].get("deletionTimestamp")) or phase in ("Failed", "Succeeded")


def _unit(pod: Object) -> Unit:
    labels, status = pod["metadata"].get("labels", {}), pod.get("status", {})
    ready = _condition(status, "Ready").get("status") == "True"
    return Unit(
        name=pod["metadata"]["name"],
        component=labels.get(COMPONENT, ""),
        revision=labels.get(REVISION, ""),
        ready=ready,
        note="" if ready else _note(status),
        restarts=sum(one.get("restartCount", 0) for one in status.get("containerStatuses") or ()),
        details={
            "node": pod.get("spec", {}).get("nodeName", ""),
            "ip": status.get("podIP", ""),
            "createdAt": pod["metadata"].get("creationTimestamp", ""),
        },
    )


def _note(status: Object) -> str:
    """Why it is not ready, the most telling reason first."""
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return _joined(waiting.get("reason"), waiting.get("message"))
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return _joined(scheduled.get("reason"), scheduled.get("message"))
    return "starting" if status.get("phase") == "Pending" else "not ready"


def _joined(reason: str | None, message: str | None) -> str:
    return ": ".join(part for part in (reason, message) if part)


def _condition(status: Object, kind: str) -> Object:
    return next((one for one in status.get("conditions") or () if one["type"] == kind), {})
