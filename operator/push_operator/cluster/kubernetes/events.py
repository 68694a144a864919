"""Events of a PushCluster as objects. Pure."""

from __future__ import annotations

from datetime import datetime

from push_operator.cluster.kubernetes.kinds import EVENTS
from push_operator.plan.events import Event
from push_operator.render.objects import OPERATOR, Object

MAX_NOTE = 1024  # the API server refuses longer ones


def event_object(body: Object, event: Event, now: datetime) -> Object:
    meta = body["metadata"]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    # The name is unique as long as one object tells less than one thing in a microsecond.
    name = f"{meta['name']}.{int(now.timestamp() * 1e6):x}.{event.reason.lower()}"
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"namespace": meta["namespace"], "name": name},
        "eventTime": stamp,
        "reportingController": "pushcluster.io/push-operator",
        "reportingInstance": OPERATOR,
        "action": event.action,
        "reason": event.reason,
        "type": "Warning" if event.warning else "Normal",
        "note": event.message[:MAX_NOTE],
        "regarding": {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
    }
