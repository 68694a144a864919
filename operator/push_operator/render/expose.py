"""The way in from outside: one Ingress, or one HTTPRoute, for all services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Final

from push_operator.expose import ByGateway, ByIngress, Parent
from push_operator.plan.expose import EVENTS_PATH, RULES, SOCKET_PATH, Rule
from push_operator.plan.workload import Plan
from push_operator.render.objects import Object, Owner, made

GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
_LASTING: Final = frozenset({SOCKET_PATH, EVENTS_PATH})
IDLE_SECONDS: Final = (
    3600  # sockets are pinged every 25 s, but a busy client must not be cut off for a lost ping either
)
# Settings without which a controller cuts WebSockets, or turns bodies away that the services take (256 KiB: the proxy's
# limit is higher, so that it is the service that refuses, in words). Each controller passes over the others' names.
_SAFE: Final[Mapping[str, str]] = {
    "nginx.ingress.kubernetes.io/proxy-read-timeout": f"{IDLE_SECONDS}",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": f"{IDLE_SECONDS}",
    "nginx.ingress.kubernetes.io/proxy-body-size": "512k",
    "haproxy.org/timeout-tunnel": f"{IDLE_SECONDS}s",
    "haproxy-ingress.github.io/timeout-tunnel": f"{IDLE_SECONDS}s",
}


def expose_objects(owner: Owner, plan: Plan) -> list[Object]:
    match plan.expose:
        case ByIngress() as wanted:
            return [_ingress(owner, plan, wanted)]
        case ByGateway() as wanted:
            return [_http_route(owner, plan, wanted)]
        case None:
            return []


def _name(owner: Owner) -> str:
    return f"{owner.name}-public"


def _backend(plan: Plan, service: str, port: str) -> tuple[str, int]:
    """The Service's name and the number of its port."""
    workload = plan.workload(service)
    if workload is None:
        raise ValueError(f"the plan has no {service}")
    return workload.name, next(one.number for one in workload.ports if one.name == port)


def _ingress(owner: Owner, plan: Plan, wanted: ByIngress) -> Object:
    paths = [_ingress_path(rule, *_backend(plan, *_target(rule))) for rule in RULES]
    spec: Object = {"rules": [{"host": wanted.host, "http": {"paths": paths}}]}
    if wanted.class_name is not None:
        spec["ingressClassName"] = wanted.class_name
    if wanted.tls_secret is not None:
        spec["tls"] = [{"hosts": [wanted.host], "secretName": wanted.tls_secret}]
    ingress = made(owner, "networking.k8s.io/v1", "Ingress", _name(owner), None, spec=spec)
    ingress["metadata"]["annotations"] = {**_SAFE, **wanted.annotations}
    return ingress


def _ingress_path(rule: Rule, name: str, port: int) -> Object:
    backend = {"service": {"name": name, "port": {"number": port}}}
    return {"path": rule.path, "pathType": "Exact" if rule.exact else "Prefix", "backend": backend}


def _http_route(owner: Owner, plan: Plan, wanted: ByGateway) -> Object:
    spec: Object = {
        "parentRefs": [_parent_ref(parent) for parent in wanted.parents],
        "rules": [
            _route_rule(tuple(rules), *_backend(plan, *target))
            for target, rules in groupby(sorted(RULES, key=_target), key=_target)
        ],
    }
    if wanted.hostnames:
        spec["hostnames"] = list(wanted.hostnames)
    return made(owner, GATEWAY_API, "HTTPRoute", _name(owner), None, spec=spec)


def _target(rule: Rule) -> tuple[str, str]:
    return rule.service, rule.port


def _parent_ref(parent: Parent) -> Object:
    return {
        "name": parent.name,
        **({"namespace": parent.namespace} if parent.namespace else {}),
        **({"sectionName": parent.section_name} if parent.section_name else {}),
    }


def _route_rule(rules: tuple[Rule, ...], name: str, port: int) -> Object:
    matches = [{"path": {"type": "Exact" if rule.exact else "PathPrefix", "value": rule.path}} for rule in rules]
    # 0s is no limit: a socket is one request that lasts for days, and so is a stream of events.
    lasting = {"timeouts": {"request": "0s"}} if any(rule.path in _LASTING for rule in rules) else {}
    return {"matches": matches, "backendRefs": [{"name": name, "port": port}], **lasting}


def url_of(objects: Iterable[Object]) -> str:
    """Where clients open their socket, by the Ingress or the HTTPRoute that is there; empty when that says no host."""
    for one in objects:
        host, secure = _host(one)
        if host:
            return f"{'wss' if secure else 'ws'}://{host}{SOCKET_PATH}"
    return ""


def _host(live: Object) -> tuple[str, bool]:
    spec = live["spec"]
    if live["kind"] == "Ingress":
        return next((rule.get("host", "") for rule in spec.get("rules") or ()), ""), bool(spec.get("tls"))
    # Whether its Gateway ends TLS stands in the Gateway, which is not ours to read; it does wherever tokens matter.
    return next((one for one in spec.get("hostnames") or () if not one.startswith("*")), ""), True
