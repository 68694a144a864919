"""What a manifest may ask for and one machine does not do, in words for the status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from push_operator import __version__
from push_operator.model import SERVICES


def ignored_fields(body: Mapping[str, Any]) -> tuple[str, ...]:
    """One sentence for each field that is given and has no effect here; the manifest may be any shape."""
    spec = _mapping(body.get("spec"))
    told = [
        f"spec.{service}.resources: processes run without limits"
        for service in SERVICES
        if _mapping(spec.get(service)).get("resources")
    ]
    told += [
        f"spec.{service}.podTemplate: there are no pods on one machine"
        for service in SERVICES
        if _mapping(spec.get(service)).get("podTemplate")
    ]
    # That of NATS has its effect: it is the limit of the log.
    if _mapping(_mapping(spec.get("redis")).get("managed")).get("storage"):
        told.append("spec.redis.managed.storage: the machine's disk is the limit")
    for managed in ("nats.managed", "redis.managed", "cassandra.embedded"):
        service, _, kind = managed.partition(".")
        if _mapping(_mapping(spec.get(service)).get(kind)).get("retain") is False:
            told.append(f"spec.{managed}.retain: the state folder keeps its data until you remove it")
    if spec.get("expose"):
        told.append(
            "spec.expose: there is no Ingress and no Gateway on one machine; clients use the services' own ports"
        )
    if any(_mapping(spec.get("monitoring")).values()):
        told.append("spec.monitoring: nobody looks for it on one machine; each process's admin port has /metrics")
    if spec.get("image"):
        told.append("spec.image: what is installed runs, and no image")
    if spec.get("version") not in (None, __version__):
        told.append(f"spec.version: what is installed runs, {__version__}")
    return tuple(told)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
