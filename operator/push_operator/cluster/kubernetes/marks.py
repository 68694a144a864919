"""What takes a gateway out of service: one label, and two annotations beside it, of its pod. Pure."""

from __future__ import annotations

import json
from typing import Final

from push_operator.fleet.values import Mark, Why
from push_operator.render.objects import SERVING, Object

DRAIN: Final = "pushcluster.io/drain"  # annotation: why and since when, for whichever operator comes next
DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
COST: Final = "-100"  # below every other's, which is 0: a ReplicaSet takes the cheapest of those that are alike
LAST_SINCE: Final = 32_503_680_000.0  # the year 3000: a later date is none, and could not be told
UNREADABLE: Final = Mark(Why.SCALE_DOWN, 0.0)


def mark_of(pod: Object) -> Mark | None:
    """One that cannot be read is still a mark: whoever spoilt it, the pod gets no new sockets, and goes or is taken
    back like any other."""
    text = (pod["metadata"].get("annotations") or {}).get(DRAIN)
    if text is None:
        return None
    try:
        told = json.loads(text)
        mark = Mark(Why(told["why"]), float(told["since"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return UNREADABLE
    return mark if 0 <= mark.since <= LAST_SINCE else UNREADABLE


def mark_patch(namespace: str, name: str, uid: str, mark: Mark | None) -> Object:
    """All of it or nothing. The uid is the only condition: a pod of the same name by now may be another one."""
    text = None if mark is None else json.dumps({"why": mark.why.value, "since": mark.since})
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": uid,
            "labels": {SERVING: "true" if mark is None else None},
            "annotations": {DRAIN: text, DELETION_COST: None if mark is None else COST},
        }
    }
