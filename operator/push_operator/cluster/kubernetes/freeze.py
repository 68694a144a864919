"""What stays as it is once it is there: gateways of one revision, and a volume that has grown. Pure."""

from __future__ import annotations

from push_operator.cluster.kubernetes.kinds import DEPLOYMENTS, VOLUME_CLAIMS
from push_operator.render.objects import BY_REVISION, COMPONENT, Object

_HAS_REPLICA_SET = "deployment.kubernetes.io/revision"  # annotation of the deployment controller


def frozen(wanted: Object, live: Object | None) -> Object:
    """Gateways are paused as soon as their ReplicaSet is there: a paused Deployment still scales, and a stray
    `kubectl set image`, or another rendering by a newer operator, replaces no pod and cuts no socket. A claim keeps its
    size: it can only grow, by hand, and to ask for less than there is would be refused."""
    if wanted["kind"] == VOLUME_CLAIMS.kind and live is not None:
        return {**wanted, "spec": {**wanted["spec"], "resources": {"requests": live["spec"]["resources"]["requests"]}}}
    if wanted["kind"] != DEPLOYMENTS.kind or wanted["metadata"]["labels"].get(COMPONENT) not in BY_REVISION:
        return wanted
    if live is None or _HAS_REPLICA_SET not in live["metadata"].get("annotations", {}):
        return wanted
    return {**wanted, "spec": {**wanted["spec"], "paused": True}}
