"""At the one host that clients use, each path of each service is reached, and by that service's rule alone."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry
from tests.support.routes import NOTHING, TABLES

from push_operator.model import SERVICES
from push_operator.plan.expose import RULES, SOCKET_PATH, Rule
from push_workloads.common.http import application
from push_workloads.gateway import handshake, sse

OWN_PORT_ONLY = "/openapi.json"  # four services have it: at a shared host it would be one's of them


def _paths(service: str) -> set[str]:
    """What the service's public port answers, with something in place of each parameter."""
    if service == "gateway":
        return {handshake.PATH, sse.PATH}
    app = application(service, TABLES[service], NOTHING, (), CollectorRegistry())
    return {re.sub(r"{\w+}", "some", resource.canonical) for resource in app.router.resources()}


PATHS = [(service, path) for service in SERVICES for path in sorted(_paths(service) - {OWN_PORT_ONLY})]


@pytest.mark.parametrize(("service", "path"), PATHS, ids=[path for _, path in PATHS])
def test_a_path_is_its_services_alone(service: str, path: str) -> None:
    assert [rule.service for rule in RULES if rule.takes(path)] == [service]


@pytest.mark.parametrize("rule", RULES, ids=[rule.path for rule in RULES])
def test_a_rule_leads_to_something(rule: Rule) -> None:
    assert any(rule.takes(path) for service, path in PATHS if service == rule.service)


@pytest.mark.parametrize(
    "path", [OWN_PORT_ONLY, "/", "/metrics", "/healthz", "/readyz", "/drain", "/authority", "/ws/x", "/openapi"]
)
def test_nothing_else_is_reached(path: str) -> None:
    assert not [rule for rule in RULES if rule.takes(path)]


def test_sockets_are_where_both_sides_say() -> None:
    assert handshake.PATH == SOCKET_PATH
