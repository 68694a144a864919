"""The Deployments of the gateways, one for each revision, as sets; and what `apply` leaves to `resize`. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from push_operator.cluster.kubernetes.kinds import DEPLOYMENTS
from push_operator.cluster.kubernetes.owned import is_going, is_owned
from push_operator.cluster.kubernetes.units import component_of, is_over
from push_operator.fleet.values import GatewaySet
from push_operator.render.objects import BY_REVISION, REVISION, Object, Owner


def is_set(one: Object) -> bool:
    """Whether it is a Deployment of gateways, live or rendered."""
    return one["kind"] == DEPLOYMENTS.kind and component_of(one) in BY_REVISION


def owned_sets(owner: Owner, deployments: Iterable[Object]) -> list[Object]:
    return [one for one in deployments if is_set(one) and is_owned(owner, one) and not is_going(one)]


def sets_of(owner: Owner, deployments: Iterable[Object]) -> tuple[GatewaySet, ...]:
    found = [GatewaySet(revision_of(one), one["spec"]["replicas"], version_of(one))
             for one in owned_sets(owner, deployments)]  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.revision))


def revision_of(live: Object) -> str:
    """As its selector says it, which nobody can change: a label of the object's own is anybody's."""
    return str(live["spec"]["selector"]["matchLabels"].get(REVISION, ""))


def version_of(live: Object) -> str:
    """Another one for each change of what is asked for. A `resourceVersion` changes with each word of the status, too:
    with every pod that becomes ready."""
    return f"{live['metadata']['uid']}/{live['metadata']['generation']}"


def is_empty(live: Object, pods: Iterable[Object]) -> bool:
    """Nothing is asked for any more, and nothing is left: not even one that is still saying goodbye to its clients."""
    own = live["spec"]["selector"]["matchLabels"].items()
    left = (pod for pod in pods if not is_over(pod) and own <= pod["metadata"].get("labels", {}).items())
    return live["spec"]["replicas"] == 0 and not any(left)
