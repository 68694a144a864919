"""Which objects are no longer wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from push_operator.cluster.kubernetes.kinds import DEPLOYMENTS, VOLUME_CLAIMS, Kind
from push_operator.render.objects import BY_REVISION, COMPONENT, Object, Owner


def obsolete(owner: Owner, live: Iterable[tuple[Kind, Object]], wanted: Iterable[Object]) -> list[tuple[Kind, Object]]:
    """Only what this very PushCluster owns: what it retains has no owner, and is never removed.

    Gateways of an earlier revision go when those of the wanted one are all ready: not before, as they hold the sockets.
    """
    planned = {(one["kind"], one["metadata"]["name"]) for one in wanted}
    left = [
        (kind, one)
        for kind, one in live
        if (kind.kind, one["metadata"]["name"]) not in planned
        and is_owned(owner, one)
        and not is_going(one)
        and kind is not VOLUME_CLAIMS  # an edit erases no data: what is not retained goes with the PushCluster itself
    ]
    waiting = _components_not_ready(live, wanted)
    return [(kind, one) for kind, one in left if not (kind is DEPLOYMENTS and _component(one) in waiting)]


def is_owned(owner: Owner, live: Object) -> bool:
    return any(one["uid"] == owner.uid for one in live["metadata"].get("ownerReferences") or ())


def is_going(live: Object) -> bool:
    return bool(live["metadata"].get("deletionTimestamp"))


def _components_not_ready(live: Iterable[tuple[Kind, Object]], wanted: Iterable[Object]) -> set[str]:
    """Of those with a Deployment for each revision, the components whose wanted one is not yet whole."""
    by_name = {one["metadata"]["name"]: one for kind, one in live if kind is DEPLOYMENTS}
    return {
        _component(one)
        for one in wanted
        if one["kind"] == DEPLOYMENTS.kind
        and _component(one) in BY_REVISION
        and _ready(by_name.get(one["metadata"]["name"])) < one["spec"]["replicas"]
    }


def _ready(deployment: Object | None) -> int:
    return int(((deployment or {}).get("status") or {}).get("readyReplicas") or 0)


def _component(live: Object) -> str:
    return str(live["metadata"].get("labels", {}).get(COMPONENT, ""))
