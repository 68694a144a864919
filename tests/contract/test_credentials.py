"""What `push credentials` offers is what the services know."""

from __future__ import annotations

from tests.support.routes import TABLES

from push_operator.cli.credentials import SCOPES as OFFERED
from push_workloads.common.credentials import SCOPES


def test_the_command_offers_the_scopes_that_there_are() -> None:
    assert tuple(SCOPES) == OFFERED


def test_each_scope_opens_something() -> None:
    assert {route.scope for routes in TABLES.values() for route in routes if route.scope} == set(SCOPES)
