"""A merged stack file as values: of each service what a PushCluster can say, and the names of the rest. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from push_operator.errors import Fault
from push_operator.fields import Node
from push_operator.migrate import units
from push_operator.quantities import exceeds
from push_operator.sizing import MAX_REPLICAS

GLOBAL: Final = "global"
_KNOWN: Final = ("image", "environment", "env_file", "ports", "secrets", "deploy", "labels")
_KNOWN_DEPLOY: Final = ("mode", "replicas", "resources", "labels")
_AMOUNTS: Final[Mapping[str, tuple[str, Callable[[str], str], str]]] = {
    # in the stack: in the manifest, how it is read, what it must be
    "cpus": ("cpu", units.cpu, "a number of CPUs such as '0.5'"),
    "memory": ("memory", units.memory, "a size such as 512M"),
}


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Docker secret in a service: its name in the stack, and the file in the container."""

    source: str
    path: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service. `replicas` None: `mode: global`, one on each node. A variable is None where the stack does not say
    its value; `left` are the fields that nothing here reads."""

    name: str
    image: str
    replicas: int | None
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    environment: Mapping[str, str | None]
    env_files: tuple[str, ...]
    published: tuple[str, ...]
    secrets: tuple[SecretUse, ...]
    labels: Mapping[str, str]
    left: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"services.{self.name}"


@dataclass(frozen=True, slots=True)
class Stack:
    """The names under which its services find each other, and of each Docker secret its file, None where it is kept by
    Docker alone."""

    hosts: frozenset[str]
    secrets: Mapping[str, str | None]


def stack_of(document: Mapping[str, Any], faults: list[Fault]) -> Stack:
    """What stands beside the services, and what they are called."""
    services = mapping(document.get("services"))
    root = Node(document, "stack", faults)
    secrets = {name: _file(one) for name, one in mapping(root.raw("secrets")).items()}
    return Stack(frozenset(host for name, one in services.items() for host in _hosts(name, mapping(one))), secrets)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _file(secret: Any) -> str | None:
    file = mapping(secret).get("file")
    return file if isinstance(file, str) else None


def _hosts(name: str, service: Mapping[str, Any]) -> list[str]:
    networks = mapping(service.get("networks")).values()
    aliases = [alias for network in networks for alias in sequence(mapping(network).get("aliases"))]
    return [name, f"tasks.{name}", *(alias for alias in aliases if isinstance(alias, str))]


def sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def service_of(name: str, value: Any, environment: Mapping[str, str], faults: list[Fault]) -> Service:
    """One service; a variable without a value is taken from `environment`, as Docker takes it from the shell."""
    node = Node(value, f"services.{name}", faults)
    deploy = node.child("deploy")
    resources = deploy.child("resources")
    limits, left_limits = _amounts(resources.child("limits"))
    requests, left_requests = _amounts(resources.child("reservations"))
    _ordered(resources, requests, limits)
    variables = _texts(node, "environment")
    return Service(
        name=name,
        image=_text(node, "image", node.raw("image")) or "",
        replicas=_replicas(deploy),
        requests=requests,
        limits=limits,
        environment={key: environment.get(key) if value is None else value for key, value in variables.items()},
        env_files=tuple(_env_files(node)),
        published=tuple(published for one in _list(node, "ports") if (published := _published(one))),
        secrets=tuple(_uses(node)),
        labels={key: value or "" for key, value in (_texts(node, "labels") | _texts(deploy, "labels")).items()},
        left=_left(node.path, value, deploy, (*left_limits, *left_requests)),
    )


def _left(path: str, value: Any, deploy: Node, amounts: tuple[str, ...]) -> tuple[str, ...]:
    own = [key for key in mapping(value) if key not in _KNOWN and not key.startswith("x-")]
    of_deploy = [f"deploy.{key}" for key in mapping(mapping(value).get("deploy")) if key not in _KNOWN_DEPLOY]
    return (*own, *of_deploy, *(one.removeprefix(f"{path}.") for one in amounts))


def _replicas(deploy: Node) -> int | None:
    mode = deploy.choice("mode", "replicated", ("replicated", GLOBAL))
    value = deploy.raw("replicas")
    if mode == GLOBAL:
        return None
    text = "1" if value is None else _as_text(value) or ""
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and int(text) <= MAX_REPLICAS):
        deploy.fault("replicas", f"must be a whole number from 0 to {MAX_REPLICAS}")
        return 1
    return int(text)


def _amounts(node: Node) -> tuple[dict[str, str], tuple[str, ...]]:
    """Quantities of the manifest, and the paths of what has none there."""
    made = {}
    for name, (ours, read, means) in _AMOUNTS.items():
        text = _text(node, name, node.raw(name))
        try:
            amount = read(text) if text is not None else ""
        except ValueError:
            node.fault(name, f"must be {means}")
            continue
        if amount:
            made[ours] = amount
    others = tuple(f"{node.path}.{name}" for name in ("pids", "generic_resources", "devices") if node.has(name))
    return made, others


def _ordered(resources: Node, requests: Mapping[str, str], limits: Mapping[str, str]) -> None:
    for name, (ours, _, _) in _AMOUNTS.items():
        if ours in requests and ours in limits and exceeds(requests[ours], limits[ours]):
            resources.fault(f"reservations.{name}", f"must not be more than limits.{name}")


def _texts(node: Node, name: str) -> dict[str, str | None]:
    child = node.child(name)
    return {key: _text(child, key, value) for key, value in mapping(node.raw(name)).items()}


def _text(node: Node, name: str, value: Any) -> str | None:
    text = _as_text(value)
    if text is None and value is not None:
        node.fault(name, "must be text")
    return text


def _as_text(value: Any) -> str | None:
    """Numbers and truth values as Docker writes them; None for nothing, and for what is no text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**18):
        return str(value)
    return None


def _list(node: Node, name: str) -> list[Any]:
    value = node.raw(name)
    if value is not None and not isinstance(value, list):
        node.fault(name, "must be a list")
    return sequence(value)


def _env_files(node: Node) -> list[str]:
    value = node.raw("env_file")
    listed = [value] if isinstance(value, str) else _list(node, "env_file")
    return [one for one in listed if isinstance(one, str)]


def _published(port: Any) -> str:
    """What a port is reached at from outside; empty where that is left to Docker."""
    if isinstance(port, Mapping):
        published = port.get("published")
        return str(published) if isinstance(published, str) or published in range(1, 65536) else ""
    parts = port.partition("/")[0].split(":") if isinstance(port, str) else []
    return parts[-2] if len(parts) > 1 else ""


def _uses(node: Node) -> list[SecretUse]:
    made = []
    for use in _list(node, "secrets"):
        source = use if isinstance(use, str) else mapping(use).get("source")
        target = mapping(use).get("target") or source
        if not isinstance(source, str) or not isinstance(target, str):
            node.fault("secrets", "must be a list of names, or of {source, target}")
            continue
        made.append(SecretUse(source, target if target.startswith("/") else f"/run/secrets/{target}"))
    return made
