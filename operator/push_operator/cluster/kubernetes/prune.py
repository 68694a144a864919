"""Which objects are no longer wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from push_operator.cluster.kubernetes.kinds import CONTROLLER_REVISIONS, VOLUME_CLAIMS, Kind
from push_operator.cluster.kubernetes.owned import is_going, is_owned
from push_operator.cluster.kubernetes.sets import is_empty, is_set
from push_operator.cluster.kubernetes.templates import needed
from push_operator.render.objects import Object, Owner

Found = Iterable[tuple[Kind, Object]]


def obsolete(owner: Owner, live: Found, pods: Iterable[Object], wanted: Iterable[Object]) -> list[tuple[Kind, Object]]:
    """Only what this very PushCluster owns: what it retains has no owner, and is never removed.

    Gateways of another revision hold sockets: they go once they have been emptied. Without any in the plan all go. A
    template stays as long as it is `needed`.
    """
    live, wanted, pods = list(live), list(wanted), list(pods)
    templates = needed(owner, [one for _, one in live])
    planned = {(one["kind"], one["metadata"]["name"]) for one in wanted}
    emptied_first = any(map(is_set, wanted))
    return [
        (kind, one)
        for kind, one in live
        if (kind.kind, one["metadata"]["name"]) not in planned
        and is_owned(owner, one)
        and not is_going(one)
        and kind is not VOLUME_CLAIMS  # an edit erases no data: what is not retained goes with the PushCluster itself
        and not (kind is CONTROLLER_REVISIONS and one["metadata"]["name"] in templates)
        and not (emptied_first and is_set(one) and not is_empty(one, pods))
    ]
