"""Who may talk to whom: ServiceAccounts without rights, NetworkPolicies with only what is needed.

A pod's own health checks come from its node, which every network plugin lets through. A cluster whose plugin enforces
no policies takes these objects and ignores them.
"""

from __future__ import annotations

from push_operator.model import SERVICES
from push_operator.plan.env import USES_NATS, USES_REDIS
from push_operator.plan.services import HAS_DATA
from push_operator.plan.workload import ADMIN, MONITOR, Plan, Workload
from push_operator.render.monitoring import from_prometheus
from push_operator.render.objects import COMPONENT, OPERATOR, Object, Owner, made, pods_of

_CLIENTS = {"nats": USES_NATS, "valkey": USES_REDIS, "cassandra": HAS_DATA}


def access_objects(owner: Owner, plan: Plan) -> list[Object]:
    accounts = [_account(owner, workload) for workload in plan.workloads]
    return accounts + [_policy(owner, workload, from_prometheus(plan)) for workload in plan.workloads]


def _account(owner: Owner, workload: Workload) -> Object:
    """No workload talks to the API server."""
    name, component = workload.name, workload.component
    return made(owner, "v1", "ServiceAccount", name, component, automountServiceAccountToken=False)


def _policy(owner: Owner, workload: Workload, watchers: list[Object]) -> Object:
    spec: Object = {"podSelector": {"matchLabels": pods_of(owner, workload.component)}}
    if workload.component in SERVICES:
        public = [{"port": port.name, "protocol": "TCP"} for port in workload.ports if port.public]
        spec |= {"policyTypes": ["Ingress"], "ingress": [{"ports": public}, _from_the_operator(ADMIN), *watchers]}
    else:
        # Nothing but their clients reaches the servers, and whoever watches over them; and they reach nothing.
        watched = [_from_the_operator(port.name) for port in workload.ports if port.name == MONITOR]
        spec |= {"policyTypes": ["Ingress", "Egress"], "ingress": [_from_clients(owner, workload), *watched]}
    return made(owner, "networking.k8s.io/v1", "NetworkPolicy", workload.name, workload.component, spec=spec)


def _from_the_operator(port: str) -> Object:
    """Wherever it is installed. An order needs its token, besides."""
    pods = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": OPERATOR}}}
    return {"from": [pods], "ports": [{"port": port, "protocol": "TCP"}]}


def _from_clients(owner: Owner, workload: Workload) -> Object:
    clients = pods_of(owner, workload.component)
    del clients[COMPONENT]
    one_of = {"key": COMPONENT, "operator": "In", "values": sorted(_CLIENTS[workload.component])}
    return {
        "from": [{"podSelector": {"matchLabels": clients, "matchExpressions": [one_of]}}],
        "ports": [{"port": "client", "protocol": "TCP"}],
    }
