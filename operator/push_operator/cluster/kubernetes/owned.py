"""Whose an object is. Pure."""

from __future__ import annotations

from push_operator.errors import ClusterError
from push_operator.render.objects import INSTANCE, MANAGED_BY, OPERATOR, Object, Owner


def is_ours(owner: Owner, live: Object) -> bool:
    """Made by an operator for a PushCluster of this name; of this very one, or retained from an earlier one.

    Raises ClusterError while the garbage collector has not yet taken away what belonged to an earlier one.
    """
    labels = live["metadata"].get("labels") or {}
    owners = [one["uid"] for one in live["metadata"].get("ownerReferences") or ()]
    if owner.uid in owners:
        return True  # whatever has become of its labels
    if (labels.get(MANAGED_BY), labels.get(INSTANCE)) != (OPERATOR, owner.name):
        return False
    if owners:
        raise ClusterError(f"{live['kind']} {live['metadata']['name']} of the deleted {owner.name} is still there")
    return True


def is_owned(owner: Owner, live: Object) -> bool:
    """It goes with this very PushCluster."""
    return any(one["uid"] == owner.uid for one in live["metadata"].get("ownerReferences") or ())


def is_going(live: Object) -> bool:
    return bool(live["metadata"].get("deletionTimestamp"))
