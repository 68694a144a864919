"""The document of each service: every reference leads somewhere, every answer is described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import prometheus_client
import pytest

from push_workloads.auth import api as auth
from push_workloads.common.http import Route, openapi
from push_workloads.message import api as message
from push_workloads.presence import api as presence
from push_workloads.push import api as push

NOTHING = cast(Any, None)  # what a table of routes is made of is not touched until a route is called
TABLES = {
    "auth": auth.routes(NOTHING, 60, prometheus_client.CollectorRegistry()),
    "message": message.routes(NOTHING, NOTHING, 65_536),
    "presence": presence.routes(NOTHING),
    "push": push.routes(NOTHING, lambda: 0),
}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _references(one)


@pytest.fixture(params=TABLES)
def routes(request: pytest.FixtureRequest) -> list[Route]:
    return list(TABLES[request.param])


def test_every_reference_leads_somewhere(routes: list[Route]) -> None:
    document = openapi("a title", routes)
    for reference in _references(document):
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        assert target


def test_every_route_is_an_operation_of_its_own(routes: list[Route]) -> None:
    document = openapi("a title", routes)
    assert document["openapi"] == "3.1.0"
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len(operations) == len(routes)
    assert len({one["operationId"] for one in operations}) == len(routes)


def test_what_needs_a_token_says_so(routes: list[Route]) -> None:
    document = openapi("a title", routes)
    for route in routes:
        operation = document["paths"][route.path][route.method.lower()]
        assert ("security" in operation) == route.auth
        assert all(answer["description"] for answer in operation["responses"].values())
        assert (str(route.status) if route.answer else "204") in operation["responses"]
