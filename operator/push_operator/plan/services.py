"""The five services as workloads."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from push_operator.model import SERVICES, PushCluster
from push_operator.plan.env import service_env
from push_operator.plan.names import component_name, revision
from push_operator.plan.workload import PUBLIC, SSE, Port, Workload
from push_operator.stores import Embedded

PUBLIC_PORTS: Final = {"gateway": 8080, "auth": 8081, "message": 8082, "presence": 8083, "push": 8084}
SSE_PORT: Final = 8085
ADMIN_PORT: Final = 9090
STOP_SECONDS: Final = {"auth": 10, "message": 20, "presence": 10, "push": 20}
DRAIN_MARGIN_SECONDS: Final = 15  # for a gateway to close, once it has told everyone where to go
HAS_DATA: Final = ("auth", "message", "push")
DATA_STORAGE: Final = "5Gi"


def service_workloads(cluster: PushCluster, origins: tuple[str, ...]) -> tuple[Workload, ...]:
    return tuple(_service(cluster, service, origins) for service in SERVICES)


def _service(cluster: PushCluster, service: str, origins: tuple[str, ...]) -> Workload:
    spec = cluster.services[service]
    stop_seconds = _stop_seconds(cluster, service)
    env = service_env(cluster, service, origins, stop_seconds)
    resources = {"requests": dict(spec.resources.requests), "limits": dict(spec.resources.limits)}
    overlay = [spec.overlay] if spec.overlay else []  # without one the revision is what it was before there were any
    return Workload(
        component=service,
        name=component_name(cluster.name, service),
        revision=revision(service, cluster.version, asdict(cluster.image), env, resources, *overlay),
        replicas=spec.replicas,
        env=env,
        ports=_ports(service),
        stop_seconds=stop_seconds,
        storage=DATA_STORAGE if service in HAS_DATA and isinstance(cluster.store, Embedded) else None,
        retain=cluster.store.retain if isinstance(cluster.store, Embedded) else True,
        resources=resources,
        overlay=spec.overlay,
    )


def _stop_seconds(cluster: PushCluster, service: str) -> int:
    """A gateway's follows from the time that its clients have to leave: another `drain.timeoutSeconds` is a rollout."""
    if service == "gateway":
        return cluster.scaling.drain.timeout_seconds + DRAIN_MARGIN_SECONDS
    return STOP_SECONDS[service]


def _ports(service: str) -> tuple[Port, ...]:
    events = (Port(SSE, SSE_PORT, public=True),) if service == "gateway" else ()
    return (Port(PUBLIC, PUBLIC_PORTS[service], public=True), *events, Port("admin", ADMIN_PORT))
