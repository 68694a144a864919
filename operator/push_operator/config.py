"""The operator's own settings, from a mapping that is passed in. All faults are told together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from push_operator.errors import OperatorError
from push_operator.render.objects import Images, names_registry

DEFAULT_IMAGES = Images(
    workload="pushcluster/workload", nats="nats:2.12-alpine", valkey="valkey/valkey:9.0-alpine",
    cassandra="cassandra:5.0",
)  # fmt: skip
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
# The chart refuses the same by templates/_checks.tpl; a test holds both to one table.
_WORDS: Final = "[a-z0-9]+([._-]+[a-z0-9]+)*"
_PATH: Final = rf"([a-z0-9]+([.-]+[a-z0-9]+)*(:[0-9]+)?/)?{_WORDS}(/{_WORDS})*"
_TAG: Final = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST: Final = "sha256:[0-9a-f]{64}"
_REPOSITORY: Final = re.compile(_PATH)
_REFERENCE: Final = re.compile(rf"{_PATH}(:{_TAG})?(@{_DIGEST})?")
_REGISTRY: Final = re.compile(rf"[a-z0-9]+([.-]+[a-z0-9]+)*(:[0-9]+)?(/{_WORDS})*")
_PINNED: Final = re.compile(rf"({_TAG})=({_DIGEST})")


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
    level = environ.get("LOG_LEVEL", "").upper() or "INFO"
    if level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        faults.append("LOG_LEVEL must be one of debug, info, warning, error")
    made = Config(
        identity=environ.get("POD_NAME") or identity,
        namespace=environ.get("POD_NAMESPACE") or namespace,
        lease=environ.get("LEASE_NAME") or "push-operator",
        kubeconfig=environ.get("KUBECONFIG") or None,
        namespaces=_names(environ, "WATCH_NAMESPACES", "namespaces", faults),
        images=_images(environ, faults),
        admin_host=environ.get("ADMIN_HOST") or "0.0.0.0",  # noqa: S104 - in a pod; probes come from the node
        admin_port=_number(environ, "ADMIN_PORT", 9090, (1, 65535), faults),
        resync_seconds=_number(environ, "RESYNC_SECONDS", 300, (1, 600), faults),
        check_reachability=_boolean(environ, "CHECK_REACHABILITY", True, faults),
        log_level=level,
    )
    if faults:
        raise ConfigError("\n".join(faults))
    return made


def _images(environ: Mapping[str, str], faults: list[str]) -> Images:
    workload = environ.get("WORKLOAD_IMAGE") or DEFAULT_IMAGES.workload
    if not _REPOSITORY.fullmatch(workload):
        fix = "an image's name without a tag, which is spec.version; such as registry.example/push/workload"
        faults.append(f"WORKLOAD_IMAGE must be {fix}; not {workload}")
    registry = environ.get("IMAGE_REGISTRY", "")
    if registry and not (_REGISTRY.fullmatch(registry) and names_registry(f"{registry}/")):
        fix = "a registry's host, with its port and a path if it has them, such as registry.example:5000/mirror"
        faults.append(f"IMAGE_REGISTRY must be {fix}; not {registry}")
    return Images(
        workload=workload,
        nats=_reference(environ, "NATS_IMAGE", DEFAULT_IMAGES.nats, faults),
        valkey=_reference(environ, "VALKEY_IMAGE", DEFAULT_IMAGES.valkey, faults),
        cassandra=_reference(environ, "CASSANDRA_IMAGE", DEFAULT_IMAGES.cassandra, faults),
        registry=registry,
        digests=_digests(environ, faults),
        pull_secrets=_names(environ, "WORKLOAD_PULL_SECRETS", "Secrets", faults),
    )


def _reference(environ: Mapping[str, str], name: str, default: str, faults: list[str]) -> str:
    image = environ.get(name) or default
    if not _REFERENCE.fullmatch(image):
        faults.append(f"{name} must be a whole reference, such as {default} or {default}@sha256:…; not {image}")
    return image


def _digests(environ: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    parts = _parts(environ, "WORKLOAD_DIGESTS")
    wrong = [part for part in parts if not _PINNED.fullmatch(part)]
    if wrong:
        form = "VERSION=sha256:… with commas between, each digest of 64 hexadecimal digits"
        faults.append(f"WORKLOAD_DIGESTS must be {form}; not so: {', '.join(wrong)}")
    return {found[1]: found[2] for part in parts if (found := _PINNED.fullmatch(part))}


def _names(environ: Mapping[str, str], name: str, of: str, faults: list[str]) -> tuple[str, ...]:
    names = _parts(environ, name)
    wrong = [one for one in names if not _NAME.fullmatch(one)]
    if wrong:
        faults.append(f"{name} must be names of {of} with commas between; not so: {', '.join(wrong)}")
    return names


def _parts(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in environ.get(name, "").split(","))))


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
