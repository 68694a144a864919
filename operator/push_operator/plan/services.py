"""The five services as workloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from push_operator.model import SERVICES, PushCluster, ServiceSpec, unconfigured
from push_operator.plan.env import service_env
from push_operator.plan.names import component_name, revision
from push_operator.plan.workload import PUBLIC, SSE, EnvValue, Port, Workload
from push_operator.stores import Embedded

PUBLIC_PORTS: Final = {"gateway": 8080, "auth": 8081, "message": 8082, "presence": 8083, "push": 8084}
SSE_PORT: Final = 8085
ADMIN_PORT: Final = 9090
STOP_SECONDS: Final = {"auth": 10, "message": 20, "presence": 10, "push": 20}
DRAIN_MARGIN_SECONDS: Final = 15  # for a gateway to close, once it has told everyone where to go
HAS_DATA: Final = ("auth", "message", "push")
DATA_STORAGE: Final = "5Gi"


def service_workloads(cluster: PushCluster, origins: tuple[str, ...]) -> tuple[Workload, ...]:
    plain = unconfigured(cluster.name, cluster.namespace)
    return tuple(_service(cluster, plain, service, origins) for service in SERVICES)


def _service(cluster: PushCluster, plain: PushCluster, service: str, origins: tuple[str, ...]) -> Workload:
    spec = cluster.services[service]
    env = service_env(cluster, service, origins, _stop_seconds(cluster, service))
    asked = _unlike(_started_from(cluster, service, env), _started_from(plain, service, _plain_env(plain, service)))
    return Workload(
        component=service,
        name=component_name(cluster.name, service),
        revision=revision(service, cluster.version, asked),
        replicas=spec.replicas,
        env=env,
        ports=_ports(service),
        stop_seconds=_stop_seconds(cluster, service),
        storage=DATA_STORAGE if service in HAS_DATA and isinstance(cluster.store, Embedded) else None,
        retain=cluster.store.retain if isinstance(cluster.store, Embedded) else True,
        resources=_resources(spec),
        overlay=spec.overlay,
    )


def _plain_env(plain: PushCluster, service: str) -> dict[str, EnvValue]:
    return service_env(plain, service, (), _stop_seconds(plain, service))


def _resources(spec: ServiceSpec) -> dict[str, dict[str, str]]:
    return {"requests": dict(spec.resources.requests), "limits": dict(spec.resources.limits)}


def _started_from(cluster: PushCluster, service: str, env: Mapping[str, EnvValue]) -> dict[str, Any]:
    spec = cluster.services[service]
    return {**env, "image": asdict(cluster.image), "resources": _resources(spec), "podTemplate": spec.overlay}


def _unlike(given: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for: where it is not what one gets unasked. A variable that a newer operator adds, and a default
    that it changes, is in none of it: an operator's upgrade alone is no rollout (`outdated` says what waits for one).
    None: it is left out."""
    return {name: given.get(name) for name in given.keys() | plain.keys() if given.get(name) != plain.get(name)}


def _stop_seconds(cluster: PushCluster, service: str) -> int:
    """A gateway's follows from the time that its clients have to leave: another `drain.timeoutSeconds` is a rollout."""
    if service == "gateway":
        return cluster.scaling.drain.timeout_seconds + DRAIN_MARGIN_SECONDS
    return STOP_SECONDS[service]


def _ports(service: str) -> tuple[Port, ...]:
    events = (Port(SSE, SSE_PORT, public=True),) if service == "gateway" else ()
    return (Port(PUBLIC, PUBLIC_PORTS[service], public=True), *events, Port("admin", ADMIN_PORT))
