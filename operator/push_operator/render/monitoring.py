"""What the Prometheus operator and Grafana find by themselves: pods to read, rules, dashboards. Pure."""

from __future__ import annotations

import json
from typing import Any, Final

from push_operator.model import SERVICES
from push_operator.plan.workload import Plan
from push_operator.render.alerts import groups
from push_operator.render.dashboards import dashboards
from push_operator.render.objects import COMPONENT, INSTANCE, Object, Owner, made, pods_of

MONITORING_API: Final = "monitoring.coreos.com/v1"
DASHBOARD: Final = "grafana_dashboard"
INTERVAL: Final = "15s"
ADMIN: Final = "admin"


def monitoring_objects(owner: Owner, plan: Plan) -> list[Object]:
    wanted = plan.monitoring
    found: list[Object] = []
    if wanted.service_monitor:
        found.append(_pod_monitor(owner))
    if wanted.rules:
        found.append(_rules(owner, plan))
    if wanted.dashboards:
        found += _dashboards(owner)
    for one in found:
        one["metadata"]["labels"] |= wanted.labels
    return found


def from_prometheus(plan: Plan) -> list[Object]:
    """Where a Prometheus is, is not known: any pod of the cluster may read numbers. Of the gateways' orders, which go
    to the same port, each needs a token."""
    if not plan.monitoring.service_monitor:
        return []
    return [{"from": [{"namespaceSelector": {}}], "ports": [{"port": ADMIN, "protocol": "TCP"}]}]


def _pod_monitor(owner: Owner) -> Object:
    """Not a ServiceMonitor: no Service has the admin ports, so that nothing routes to them."""
    whole = pods_of(owner, "")
    del whole[COMPONENT]
    services = {"key": COMPONENT, "operator": "In", "values": sorted(SERVICES)}
    endpoint = {
        "port": ADMIN,
        "path": "/metrics",
        "interval": INTERVAL,
        "relabelings": [_named_by(INSTANCE, "pushcluster"), _named_by(COMPONENT, "component")],
    }
    spec = {"selector": {"matchLabels": whole, "matchExpressions": [services]}, "podMetricsEndpoints": [endpoint]}
    return made(owner, MONITORING_API, "PodMonitor", owner.name, None, spec=spec)


def _named_by(pod_label: str, label: str) -> Object:
    source = "__meta_kubernetes_pod_label_" + "".join(one if one.isalnum() else "_" for one in pod_label)
    return {"action": "replace", "sourceLabels": [source], "targetLabel": label}


def _rules(owner: Owner, plan: Plan) -> Object:
    gateway = plan.workload(SERVICES[0])
    drain_seconds = gateway.stop_seconds if gateway is not None else 0
    return made(
        owner, MONITORING_API, "PrometheusRule", owner.name, None, spec={"groups": groups(owner, drain_seconds)}
    )


def _dashboards(owner: Owner) -> list[Object]:
    return [_dashboard(owner, name, board) for name, board in dashboards(owner).items()]


def _dashboard(owner: Owner, name: str, board: dict[str, Any]) -> Object:
    file = f"{owner.namespace}-{owner.name}-{name}.json"
    found = made(
        owner, "v1", "ConfigMap", f"{owner.name}-dashboard-{name}", None, data={file: json.dumps(board, indent=1)}
    )
    found["metadata"]["labels"][DASHBOARD] = "1"
    return found
