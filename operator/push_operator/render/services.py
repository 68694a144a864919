"""Services: how clients and the platform's own parts find each other."""

from __future__ import annotations

from collections.abc import Iterable

from push_operator.model import SERVICES
from push_operator.plan.workload import MONITOR, SSE, Plan, Port, Workload
from push_operator.render.objects import COMPONENT, Object, Owner, made, serving_pods

_ENDPOINTS = {"gateway": "ws://{}/ws", "nats": "nats://{}", "valkey": "redis://{}", "cassandra": "{}"}
_PROTOCOLS = {"gateway": "kubernetes.io/ws", "nats": "tcp", "valkey": "tcp", "cassandra": "tcp"}
_HTTP = frozenset({MONITOR, SSE})  # whatever else their component speaks


def service_objects(owner: Owner, plan: Plan) -> list[Object]:
    return [_service(owner, workload) for workload in plan.workloads]


def _service(owner: Owner, workload: Workload) -> Object:
    """Those that keep state are headless, so that each of their pods has a name; the admin ports are nobody's."""
    headless = workload.component not in SERVICES
    ports = [port for port in workload.ports if port.public or headless]
    spec = {
        "type": "ClusterIP",
        "selector": serving_pods(owner, workload.component),
        "ports": [_port(workload, port) for port in ports],
        **({"clusterIP": "None"} if headless else {}),
    }
    return made(owner, "v1", "Service", workload.name, workload.component, spec=spec)


def _port(workload: Workload, port: Port) -> Object:
    return {
        "name": port.name,
        "port": port.number,
        "targetPort": port.name,
        "protocol": "TCP",
        "appProtocol": "http" if port.name in _HTTP else _PROTOCOLS.get(workload.component, "http"),
    }


def endpoints_of(services: Iterable[Object]) -> dict[str, str]:
    """Where each component is reached inside the cluster, by the Services that are there."""
    return {one["metadata"]["labels"][COMPONENT]: _endpoint(one) for one in services}


def _endpoint(service: Object) -> str:
    meta = service["metadata"]
    place = f"{meta['name']}.{meta['namespace']}.svc:{service['spec']['ports'][0]['port']}"
    return _ENDPOINTS.get(meta["labels"][COMPONENT], "http://{}").format(place)


def bus_of(services: Iterable[Object]) -> str:
    """Where the broker's monitoring is, by the Service that is there; empty without one."""
    for one in services:
        number = next((port["port"] for port in one["spec"]["ports"] if port.get("name") == MONITOR), None)
        if number is not None:
            return f"http://{one['metadata']['name']}.{one['metadata']['namespace']}.svc:{number}"
    return ""
