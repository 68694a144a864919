"""Which pods a ReplicaSet may take when it becomes smaller. Pure.

The order is its own: `ActivePodsWithRanks` of kube-controller-manager. Two things are not asked here. The mark's own
order comes late in it: who is not ready goes before who is marked and ready. And among pods that are alike in all else
it goes by age in powers of two at the moment of its choice, which nobody can foretell: any of those may go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from push_operator.cluster.kubernetes.marks import DELETION_COST
from push_operator.cluster.kubernetes.units import is_leaving, is_over, is_ready
from push_operator.render.objects import Object

_PHASES: Final = {"Pending": 0, "Unknown": 1, "Running": 2}
Rank = tuple[bool, int, bool, int, int, int]


def active(pods: Iterable[Object]) -> list[Object]:
    """Those that a ReplicaSet counts."""
    return [pod for pod in pods if not is_over(pod) and not is_leaving(pod)]


def may_go(pods: Iterable[Object], size: int) -> frozenset[str]:
    """The names of all that could be among those taken when no more than `size` are to stay. One that is going already
    counts for nothing, so that fewer are taken."""
    alive = active(pods)
    if len(alive) <= size:
        return frozenset()
    shared = Counter(_node(pod) for pod in alive)
    ranks = {pod["metadata"]["name"]: _rank(pod, shared[_node(pod)]) for pod in alive}
    last = sorted(ranks.values())[len(alive) - size - 1]
    return frozenset(name for name, rank in ranks.items() if rank <= last)


def _rank(pod: Object, on_its_node: int) -> Rank:
    """Lower goes first. Of those that are ready, restarts are asked for only after the age has been."""
    ready = is_ready(pod)
    phase = _PHASES.get(pod.get("status", {}).get("phase", ""), 0)
    return bool(_node(pod)), phase, ready, _cost(pod), -on_its_node, 0 if ready else -_restarts(pod)


def _node(pod: Object) -> str:
    return str(pod.get("spec", {}).get("nodeName", ""))


def _cost(pod: Object) -> int:
    try:
        return int((pod["metadata"].get("annotations") or {}).get(DELETION_COST, "0"))
    except ValueError:
        return 0  # as a ReplicaSet reads it


def _restarts(pod: Object) -> int:
    return max((one.get("restartCount", 0) for one in pod.get("status", {}).get("containerStatuses") or ()), default=0)
