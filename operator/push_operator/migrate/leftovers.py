"""What of a stack has no place in a PushCluster, each with the reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from push_operator.migrate import store
from push_operator.migrate.kinds import BACKING, names
from push_operator.migrate.old import Old
from push_operator.migrate.servers import SERVERS
from push_operator.migrate.stack import Service, mapping
from push_operator.migrate.tokens import KEY_NAMES, LIFE_NAMES
from push_operator.migrate.ways_in import ORIGINS, TRAEFIK

_PROGRAM: Final = "belongs to the old program"
_ROLLOUT: Final = (
    "rollouts are the operator's: gateways of the new revision start beside the old ones, which go when they are ready"
)
_PRIVILEGES: Final = "pods run as an unprivileged user with a read-only root"
_PLACES: Final = "nodes are chosen by Kubernetes: names and labels of Swarm's nodes mean nothing to it"
_REASONS: Final[Mapping[str, str]] = {
    "healthcheck": "the operator makes probes of its own",
    "networks": "services find each other by what the operator makes, NetworkPolicies included",
    "volumes": "what must be kept is in volumes that the operator makes; the old ones stay where they are",
    "configs": _PROGRAM, "command": _PROGRAM, "entrypoint": _PROGRAM, "working_dir": _PROGRAM, "build": _PROGRAM,
    "depends_on": "each service waits for its servers by itself",
    "logging": "the log is the container's: `push logs COMPONENT`, or what your cluster collects",
    "stop_grace_period": "the operator knows how long each needs to send its clients away",
    "stop_signal": _PROGRAM, "init": _PROGRAM, "user": _PRIVILEGES, "cap_add": _PRIVILEGES, "cap_drop": _PRIVILEGES,
    "read_only": _PRIVILEGES, "ulimits": _PRIVILEGES, "sysctls": _PRIVILEGES,
    "deploy.update_config": _ROLLOUT, "deploy.rollback_config": _ROLLOUT,
    "deploy.restart_policy": "a container that ends is always started again, with growing pauses",
    "deploy.placement": _PLACES,
    "deploy.endpoint_mode": "Services balance",
}  # fmt: skip
_FCM_KEYS: Final = ("FCM_API_KEY", "FCM_SERVER_KEY")
_FCM: Final = (
    "is a key of FCM's legacy API, which Google has shut down: put the JSON key of a service account (FCM HTTP v1) into"
    " a Secret under FCM_SERVICE_ACCOUNT, and name that in spec.notifications.fcm.serviceAccountSecret"
)
_NO_PLACE: Final = "has no place in a PushCluster"
_READ: Final = frozenset(
    name
    for names_of in (
        KEY_NAMES, LIFE_NAMES, ORIGINS, store.POINTS, store.PORT, store.KEYSPACE, store.DATACENTER, store.REPLICATION,
        store.USER, store.PASSWORD,
        *(
            (*one.names, *one.host_names, *one.port_names, *one.user_names, *one.password_names)
            for one in SERVERS.values()
        ),
    )
    for name in names_of
)  # fmt: skip


def tell(old: Old, document: Mapping[str, Any]) -> None:
    """Adds to the report what nothing else reads."""
    for service in old.services.values():
        _service(service, old)
    _backing(old)
    _others(old, document)
    _beside(old, document)


def _service(service: Service, old: Old) -> None:
    report = old.report
    if service.image:
        report.left(f"{service.path}.image", "is the old program; ours is set where the operator is installed, and its "
                    "tag is spec.version")  # fmt: skip
    for name in service.left:
        report.left(f"{service.path}.{name}", _REASONS.get(name, _NO_PLACE))
    unread = []
    for name in service.environment:
        if name.removesuffix("_FILE") in _FCM_KEYS:
            report.todo(f"{service.path}.environment.{name}", _FCM)
        elif name.removesuffix("_FILE") not in _READ:
            unread.append(name)
    if unread:
        report.left(f"{service.path}.environment", f"{names(unread)}: not settings of ours")
    for label in service.labels:
        if not label.startswith(TRAEFIK):
            report.left(f"{service.path}.labels", "labels of the old containers")
    _env_files(service, old)


def _env_files(service: Service, old: Old) -> None:
    for file in service.env_files:
        old.report.todo(f"{service.path}.env_file", f"{file} was not read: what it says of JWT_SECRET and of servers "
                        "must be under `environment` to be seen here")  # fmt: skip


def _backing(old: Old) -> None:
    for kind in BACKING:
        for name in old.backing.get(kind, ()):
            old.report.left(f"services.{name}", "its settings, replicas, limits and data: the operator has its own, "
                            "and what is in the old volumes stays there")  # fmt: skip


def _others(old: Old, document: Mapping[str, Any]) -> None:
    ours = {one.name for one in old.services.values()} | {name for some in old.backing.values() for name in some}
    for name in mapping(document.get("services")):
        if name not in ours:
            old.report.left(f"services.{name}", "is no part of the platform: bring it over by itself, if you need it")


def _beside(old: Old, document: Mapping[str, Any]) -> None:
    used = {use.source for one in old.services.values() for use in one.secrets}
    for name in mapping(document.get("secrets")):
        taken = any(note.path.endswith(f".secrets.{name}") for note in old.report.notes)
        if not taken:
            where = "is used by an old service, for nothing that ours know" if name in used else _NO_PLACE
            old.report.left(f"secrets.{name}", where)
    for part, reason in (("volumes", _REASONS["volumes"]), ("networks", _REASONS["networks"]), ("configs", _PROGRAM)):
        for name in mapping(document.get(part)):
            old.report.left(f"{part}.{name}", reason)
