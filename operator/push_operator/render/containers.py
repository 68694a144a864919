"""The container of each component: image, command, environment, probes, resources. All run without any privilege."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from push_operator.model import SERVICES
from push_operator.plan.workload import ADMIN, MONITOR, Address, DataPath, EnvValue, Plan, SecretKey, Workload
from push_operator.render import cassandra
from push_operator.render.objects import CONFIG, DATA, SCRATCH, Images, Object, Owner, host_of

_VALKEY_START: Final = (
    f'umask 077 && printf "requirepass %s\\n" "$VALKEY_PASSWORD" > {SCRATCH}/valkey.conf && '
    f'exec valkey-server {SCRATCH}/valkey.conf --port "$VALKEY_PORT" --dir {DATA} --appendonly yes --save ""'
)
# What a component asks for when the manifest says nothing: enough for the small size.
_RESOURCES: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "gateway": {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
    "auth": {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "512Mi"}},
    "nats": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
    "valkey": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    "cassandra": {"requests": {"cpu": "500m", "memory": "1280Mi"}, "limits": {"memory": "2Gi"}},
}
_LIGHT: Final[Mapping[str, Mapping[str, str]]] = {
    "requests": {"cpu": "100m", "memory": "96Mi"},
    "limits": {"memory": "512Mi"},
}


def container(owner: Owner, plan: Plan, workload: Workload, images: Images) -> Object:
    mounts = [{"name": "scratch", "mountPath": SCRATCH}]
    if workload.storage:
        mounts.append({"name": "data", "mountPath": DATA})
    if workload.config is not None:
        mounts.append({"name": "config", "mountPath": CONFIG})
    return {
        "name": workload.component,
        **_program(plan, workload, images),
        "env": _environment(owner, plan, workload),
        "ports": [{"name": one.name, "containerPort": one.number, "protocol": "TCP"} for one in workload.ports],
        **_PROBES.get(workload.component, _service_probes)(workload),
        "resources": _resources(workload),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
        # The last lines of a crash say what is wrong with the settings: `kubectl describe` shows them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _program(plan: Plan, workload: Workload, images: Images) -> Object:
    """Image and arguments; the images' entry points are the programs themselves."""
    if workload.component == "nats":
        ports = {port.name: str(port.number) for port in workload.ports}
        options = ["-c", f"{CONFIG}/nats.conf", "-p", ports["client"], "-m", ports[MONITOR]]
        return {"image": images.located(images.nats), "imagePullPolicy": plan.image.pull_policy, "args": options}
    if workload.component == "valkey":
        # Its password goes through a file: arguments can be read by whoever may list processes.
        start = {"command": ["sh", "-c"], "args": [_VALKEY_START]}
        return {"image": images.located(images.valkey), "imagePullPolicy": plan.image.pull_policy, **start}
    if workload.component == "cassandra":
        return {"image": images.located(images.cassandra), "imagePullPolicy": plan.image.pull_policy, **cassandra.START}
    image = images.of_workload(plan.image.repository, plan.version)
    return {"image": image, "imagePullPolicy": plan.image.pull_policy, "args": [workload.component]}


def _environment(owner: Owner, plan: Plan, workload: Workload) -> list[Object]:
    env = [_variable(owner, plan, name, value) for name, value in workload.env.items()]
    if workload.component in SERVICES:
        env.append({"name": "INSTANCE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}})
    if workload.component == "nats":
        env.append({"name": "NATS_STORE", "value": f'"{DATA}/jetstream"'})  # read as a piece of configuration: quoted
    if workload.component == "valkey":
        env.append({"name": "VALKEY_PORT", "value": str(workload.ports[0].number)})
    if workload.component == "cassandra":
        env += cassandra.ENVIRONMENT
    return sorted(env, key=lambda one: str(one["name"]))


def _variable(owner: Owner, plan: Plan, name: str, value: EnvValue) -> Object:
    match value:
        case SecretKey(secret, key, optional):
            reference = {"name": secret, "key": key} | ({"optional": True} if optional else {})
            return {"name": name, "valueFrom": {"secretKeyRef": reference}}
        case Address():
            return {"name": name, "value": address(owner, plan, value)}
        case DataPath(file):
            return {"name": name, "value": f"{DATA}/{file}"}
        case _:
            # `$(NAME)` would be expanded by the kubelet.
            return {"name": name, "value": value.replace("$(", "$$(")}


def address(owner: Owner, plan: Plan, value: Address) -> str:
    target = plan.workload(value.component)
    if target is None:
        raise ValueError(f"the plan has no {value.component}")
    port = next(port.number for port in target.ports if port.name == value.port)
    return value.at(host_of(owner, target), port)


def _resources(workload: Workload) -> Object:
    """What the manifest says of cpu or memory replaces what is assumed of that one, request and limit together:
    a default limit below a wished request would be refused."""
    assumed = _RESOURCES.get(workload.component, _LIGHT)
    given = {key: dict(workload.resources.get(key) or {}) for key in ("requests", "limits")}
    said = set(given["requests"]) | set(given["limits"])
    merged = {
        key: {**{name: value for name, value in assumed[key].items() if name not in said}, **given[key]}
        for key in ("requests", "limits")
    }
    return {key: values for key, values in merged.items() if values}


def _service_probes(_: Workload) -> Object:
    """Liveness asks whether the process turns, readiness whether it can serve: a NATS that is away restarts nobody."""
    return {
        "startupProbe": {"httpGet": _get("/healthz"), "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {"httpGet": _get("/healthz"), "periodSeconds": 10, "timeoutSeconds": 5},
        "readinessProbe": {"httpGet": _get("/readyz"), "periodSeconds": 2, "timeoutSeconds": 2},
    }


def _get(path: str, port: str = ADMIN) -> Object:
    return {"path": path, "port": port, "scheme": "HTTP"}


def _nats_probes(_: Workload) -> Object:
    """Recovering a large log takes minutes: only the start waits for it."""
    alone = "/healthz?js-server-only=true"
    return {
        "startupProbe": {"httpGet": _get(alone, MONITOR), "periodSeconds": 2, "failureThreshold": 300},
        "livenessProbe": {"httpGet": _get(alone, MONITOR), "periodSeconds": 10, "timeoutSeconds": 5},
        "readinessProbe": {"httpGet": _get("/healthz", MONITOR), "periodSeconds": 2, "timeoutSeconds": 2},
    }


def _valkey_probes(_: Workload) -> Object:
    """It accepts while it loads; its clients wait for that themselves."""
    return {
        "livenessProbe": {"tcpSocket": {"port": "client"}, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {"tcpSocket": {"port": "client"}, "periodSeconds": 2},
    }


def _cassandra_probes(_: Workload) -> Object:
    """It listens once its commit log is read again, which may take minutes: only the start waits for it."""
    client = {"tcpSocket": {"port": "client"}}
    return {
        "startupProbe": {**client, "periodSeconds": 2, "failureThreshold": 300},
        "livenessProbe": {**client, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**client, "periodSeconds": 2},
    }


_PROBES: Final[Mapping[str, Callable[[Workload], dict[str, Any]]]] = {
    "nats": _nats_probes,
    "valkey": _valkey_probes,
    "cassandra": _cassandra_probes,
}
