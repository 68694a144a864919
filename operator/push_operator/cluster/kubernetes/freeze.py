"""What stays as it is once it is there: gateways of one revision, and a volume that has grown. Pure."""

from __future__ import annotations

from typing import Final

from push_operator.cluster.kubernetes.kinds import VOLUME_CLAIMS
from push_operator.cluster.kubernetes.sets import is_set
from push_operator.render.objects import Object

KEPT: Final = ("replicas", "paused")  # of a set of gateways: what depends on what is there
_HAS_REPLICA_SET: Final = "deployment.kubernetes.io/revision"  # annotation of the deployment controller


def frozen(wanted: Object, live: Object | None, *, alone: bool = True) -> Object:
    """What is wanted of an object, given what there is. A claim keeps its size: it can only grow, by hand, and to ask
    for less than there is would be refused. `alone`: there are no gateways of another revision."""
    if wanted["kind"] == VOLUME_CLAIMS.kind and live is not None:
        return {**wanted, "spec": {**wanted["spec"], "resources": {"requests": live["spec"]["resources"]["requests"]}}}
    if not is_set(wanted):
        return wanted
    return _new_set(wanted, alone) if live is None else _old_set(wanted, live)


def _new_set(wanted: Object, alone: bool) -> Object:
    return wanted if alone else {**wanted, "spec": {**wanted["spec"], "replicas": 0}}


def _old_set(wanted: Object, live: Object) -> Object:
    """It keeps its size, which is `resize`'s. That is said as it is: what is ours and not said would be taken away.

    It is paused as soon as its ReplicaSet is there: a paused Deployment still scales, and a stray `kubectl set image`
    replaces no pod and cuts no socket.
    """
    paused = {"paused": True} if _HAS_REPLICA_SET in live["metadata"].get("annotations", {}) else {}
    return {**wanted, "spec": {**wanted["spec"], "replicas": live["spec"]["replicas"], **paused}}
