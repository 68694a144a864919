"""What a person may say to the operator beside the manifest: another number, and what becomes of a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from push_operator.errors import ClusterError
from push_operator.fleet.rollout import RESUME, UNDO
from push_operator.model import SERVICES
from push_operator.scaling import Mode

ROLLOUT: Final = "pushcluster.io/rollout"
"""An annotation of the PushCluster, `ACTION:REVISION`: of that rollout alone, as the next one has another revision."""
ACTIONS: Final = (RESUME, UNDO)


def refuse_number(body: Mapping[str, Any], service: str) -> None:
    """Raises ClusterError where somebody else finds how many of a service there are."""
    part = (body.get("spec") or {}).get(service) or {}
    bounds = f"set spec.{service}.autoscaling.minReplicas and maxReplicas in the manifest"
    if service == SERVICES[0] and (part.get("scaling") or {}).get("mode") == Mode.OPERATOR:
        raise ClusterError(
            f"how many of {service} there are is the operator's to find (scaling.mode Operator): {bounds}"
        )
    if service != SERVICES[0] and part.get("autoscaling") is not None:
        raise ClusterError(f"how many of {service} there are follows what waits in its stream: {bounds}")


def rollout_order(body: Mapping[str, Any], action: str) -> str:
    """The annotation's value for one of `ACTIONS`. Raises ClusterError when there is no rollout that it could be of."""
    revision = rollout_of(body).get("revision")
    if not revision:
        raise ClusterError(f"there is no rollout to {action}: `push rollout status` shows the gateways by revision")
    return f"{action}:{revision}"


def rollout_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the status says of a rollout; empty when there is none."""
    return (body.get("status") or {}).get("rollout") or {}
