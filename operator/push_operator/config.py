"""The operator's own settings, from a mapping that is passed in. All faults are told together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from push_operator.errors import OperatorError
from push_operator.render.objects import Images

DEFAULT_IMAGES = Images(
    workload="pushcluster/workload", nats="nats:2.12-alpine", valkey="valkey/valkey:9.0-alpine",
    cassandra="cassandra:5.0",
)  # fmt: skip
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class ConfigError(OperatorError):
    """The environment is not usable."""


@dataclass(frozen=True, slots=True)
class Config:
    """`kubeconfig` None: the cluster that this pod runs in. `namespaces` empty: all of them. `check_reachability`:
    a new generation waits for the servers that it names."""

    identity: str
    namespace: str
    lease: str
    kubeconfig: str | None
    namespaces: tuple[str, ...]
    images: Images
    admin_host: str
    admin_port: int
    resync_seconds: int
    check_reachability: bool
    log_level: str


def read_config(environ: Mapping[str, str], identity: str, namespace: str) -> Config:
    """`identity` and `namespace`: of this process, where the environment does not say. Raises ConfigError."""
    faults: list[str] = []
    namespaces = tuple(filter(None, (part.strip() for part in environ.get("WATCH_NAMESPACES", "").split(","))))
    wrong = [name for name in namespaces if not _NAME.fullmatch(name)]
    if wrong:
        faults.append(f"WATCH_NAMESPACES must be names of namespaces with commas between; not so: {', '.join(wrong)}")
    level = environ.get("LOG_LEVEL", "").upper() or "INFO"
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        faults.append("LOG_LEVEL must be one of debug, info, warning, error")
    made = Config(
        identity=environ.get("POD_NAME") or identity,
        namespace=environ.get("POD_NAMESPACE") or namespace,
        lease=environ.get("LEASE_NAME") or "push-operator",
        kubeconfig=environ.get("KUBECONFIG") or None,
        namespaces=namespaces,
        images=Images(
            environ.get("WORKLOAD_IMAGE") or DEFAULT_IMAGES.workload,
            environ.get("NATS_IMAGE") or DEFAULT_IMAGES.nats,
            environ.get("VALKEY_IMAGE") or DEFAULT_IMAGES.valkey,
            environ.get("CASSANDRA_IMAGE") or DEFAULT_IMAGES.cassandra,
        ),
        admin_host=environ.get("ADMIN_HOST") or "0.0.0.0",  # noqa: S104 - in a pod; probes come from the node
        admin_port=_number(environ, "ADMIN_PORT", 9090, (1, 65535), faults),
        resync_seconds=_number(environ, "RESYNC_SECONDS", 300, (1, 600), faults),
        check_reachability=_boolean(environ, "CHECK_REACHABILITY", True, faults),
        log_level=level,
    )
    if faults:
        raise ConfigError("\n".join(faults))
    return made


def _number(environ: Mapping[str, str], name: str, default: int, bounds: tuple[int, int], faults: list[str]) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not bounds[0] <= int(text) <= bounds[1]:
        faults.append(f"{name} must be a whole number from {bounds[0]} to {bounds[1]}")
        return default
    return int(text)


def _boolean(environ: Mapping[str, str], name: str, default: bool, faults: list[str]) -> bool:
    text = environ.get(name) or str(default).lower()
    if text not in ("true", "false"):
        faults.append(f"{name} must be true or false")
    return text == "true"
