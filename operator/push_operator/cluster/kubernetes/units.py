"""Pods as the units of a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from push_operator.cluster.kubernetes.marks import mark_of
from push_operator.plan.observed import Unit
from push_operator.plan.workload import ADMIN
from push_operator.render.objects import COMPONENT, REVISION, Object


@dataclass(frozen=True, slots=True)
class Node:
    """What matters of a machine: `cordoned`, it takes no more pods and is likely to lose those it has."""

    cordoned: bool = False
    zone: str = ""


Nodes = Mapping[str, Node]
_NO_NODE: Final = Node()
_UNKNOWN: Final[Nodes] = MappingProxyType({})


def units_of(pods: Iterable[Object], nodes: Nodes = _UNKNOWN) -> tuple[Unit, ...]:
    """Those that run or are about to: one that is going, or has ended, is no capacity and never counted."""
    return _units((pod for pod in pods if not is_leaving(pod)), nodes)


def leaving_of(pods: Iterable[Object], nodes: Nodes = _UNKNOWN) -> tuple[Unit, ...]:
    """Those that are being ended, by whomever, and have not ended yet."""
    return _units((pod for pod in pods if is_leaving(pod)), nodes)


def failures_of(deployments: Iterable[Object]) -> dict[str, str]:
    """By component, why the API server refuses its pods: a quota, a policy. There is no pod then that could tell."""
    told = ((one, _condition(one.get("status", {}), "ReplicaFailure")) for one in deployments)
    return {
        one["metadata"].get("labels", {}).get(COMPONENT, ""): _joined(failed.get("reason"), failed.get("message"))
        for one, failed in told
        if failed.get("status") == "True"
    }


def is_over(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in ("Failed", "Succeeded")


def is_leaving(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_ready(pod: Object) -> bool:
    return bool(_condition(pod.get("status", {}), "Ready").get("status") == "True")


def component_of(live: Object) -> str:
    return str(live["metadata"].get("labels", {}).get(COMPONENT, ""))


def _units(pods: Iterable[Object], nodes: Nodes) -> tuple[Unit, ...]:
    return tuple(sorted((_unit(pod, nodes) for pod in pods if not is_over(pod)), key=lambda unit: unit.name))


def _unit(pod: Object, nodes: Nodes) -> Unit:
    meta, status = pod["metadata"], pod.get("status", {})
    ready, node = is_ready(pod), pod.get("spec", {}).get("nodeName", "")
    where = nodes.get(node, _NO_NODE)
    return Unit(
        name=meta["name"],
        component=component_of(pod),
        revision=meta.get("labels", {}).get(REVISION, ""),
        ready=ready,
        note="" if ready else _note(status),
        restarts=sum(one.get("restartCount", 0) for one in status.get("containerStatuses") or ()),
        details={"node": node, "ip": status.get("podIP", ""), "createdAt": meta.get("creationTimestamp", "")},
        uid=meta.get("uid", ""),
        address=_address(pod),
        pending=status.get("phase") == "Pending",  # it lasts until a container has begun, and never comes back
        mark=mark_of(pod),
        cordoned=where.cordoned,
        zone=where.zone,
    )


def _address(pod: Object) -> str:
    """Of its admin port, as its own template has it; empty without an address or such a port."""
    ip = pod.get("status", {}).get("podIP", "")
    ports = (port for one in pod.get("spec", {}).get("containers") or () for port in one.get("ports") or ())
    number = next((port["containerPort"] for port in ports if port.get("name") == ADMIN), None)
    if not ip or number is None:
        return ""
    return f"http://[{ip}]:{number}" if ":" in ip else f"http://{ip}:{number}"


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
