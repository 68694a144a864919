"""How clients came in: the hosts in Traefik's labels, published ports, and the web pages that were allowed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from push_operator.expose import expose_of
from push_operator.migrate.commands import Command
from push_operator.migrate.old import Old, Spec, is_taken
from push_operator.migrate.stack import Service
from push_operator.model import ORIGIN

ORIGINS: Final = ("ALLOWED_ORIGINS", "CORS_ALLOWED_ORIGINS", "CORS_ORIGINS", "CORS_ORIGIN")
MAX_ORIGINS: Final = 50
TRAEFIK: Final = "traefik."
_RULE: Final = re.compile(r"traefik\.(http\.routers\.[^.]+\.rule|(?:[^.]+\.)?frontend\.rule)")
_HOSTS: Final = re.compile(r"\bHost\(([^)]*)\)|\bHost:([^;\s]*)", re.IGNORECASE)  # of Traefik 2 and 3, and of 1
_TLS: Final = re.compile(r"traefik\.http\.routers\.[^.]+\.(tls(\..*)?|entrypoints)")


@dataclass(frozen=True, slots=True)
class _Host:
    path: str
    name: str


def expose(old: Old) -> Spec:
    """`spec.expose`, where the stack says a host."""
    hosts = [host for service in old.services.values() for host in _hosts(service)]
    taken = [one for one in hosts if is_taken(expose_of, ingress={"host": one.name})]
    for one in hosts:
        if one not in taken:
            old.report.left(one.path, "has a host that no Ingress takes")
    _ports(old)
    if not taken:
        old.report.todo("", "say how clients come in: spec.expose with your host, or forward a port to look at it "
                        "first (docs/kubernetes.md)")  # fmt: skip
        return {}
    return {"expose": {"ingress": _ingress(old, taken)}}


def _ingress(old: Old, hosts: list[_Host]) -> Spec:
    first = hosts[0]
    old.report.taken(first.path, f"spec.expose.ingress.host is {first.name}: all services under it, by their paths "
                     "(docs/operator.md); className says which controller, the default one unless given")  # fmt: skip
    for other in hosts:
        if other.name != first.name:
            old.report.todo(other.path, f"clients that come to {other.name} must come to {first.name}")
    if not any(_has_tls(service.labels) for service in old.services.values()):
        return {"host": first.name}
    return {"host": first.name, "tlsSecret": _certificate(old)}


def _certificate(old: Old) -> str:
    name = old.secret("tls")
    namespace = f" -n {old.namespace}" if old.namespace else ""
    command = Command(f"kubectl{namespace} create secret tls {name} --cert=FULLCHAIN.pem --key=KEY.pem")
    old.report.todo("", f"spec.expose.ingress.tlsSecret is {name}: let cert-manager make it (its annotation goes into "
                    "spec.expose.ingress.annotations), or make it of the files that you have", command)  # fmt: skip
    return name


def _hosts(service: Service) -> Iterator[_Host]:
    for label, rule in service.labels.items():
        if _RULE.fullmatch(label):
            for found in _HOSTS.finditer(rule):
                for name in (found[1] or found[2]).split(","):
                    yield _Host(f"{service.path}.labels.{label}", name.strip(" `'\"").lower())


def _has_tls(labels: Mapping[str, str]) -> bool:
    return any(
        _TLS.fullmatch(label) and value != "false" and ("entrypoints" not in label or "websecure" in value)
        for label, value in labels.items()
    )


def _ports(old: Old) -> None:
    """Nothing in a manifest publishes a port: said, so that nobody looks for it in vain."""
    for service in old.services.values():
        for port in service.published:
            if re.fullmatch("[0-9-]{1,11}", port):
                old.report.left(f"{service.path}.ports", f"port {port} of every node: pods are behind Services")


def origins(old: Old) -> Spec:
    """`spec.allowedOrigins`."""
    made: dict[str, None] = {}
    for one in old.settings(*ORIGINS):
        given = list(filter(None, (word.strip() for word in (one.value or "").split(","))))
        good = [origin for origin in given if re.fullmatch(ORIGIN, origin)]
        made |= dict.fromkeys(good)
        if good:
            old.report.taken(one.path, "spec.allowedOrigins has the web pages in it")
        if good != given:
            old.report.left(one.path, "has an entry that is no origin such as https://chat.example.com: each page must "
                            "be named in full")  # fmt: skip
    if len(made) > MAX_ORIGINS:
        old.report.left("", f"only the first {MAX_ORIGINS} web pages are in spec.allowedOrigins")
    return {"allowedOrigins": list(made)[:MAX_ORIGINS]} if made else {}
