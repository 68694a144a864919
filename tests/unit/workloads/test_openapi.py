"""The document of each service: every reference leads somewhere, every answer is described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.web_urldispatcher import UrlDispatcher
from tests.support.routes import TABLES

from push_workloads.common.http import Route, openapi, patterned


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


def test_a_parameter_is_no_word_that_another_path_has_there() -> None:
    paths = ["/push", "/push/templates", "/push/topics", "/push/{push_id}", "/push/topics/{topic}", "/a/{b}/c"]
    pattern = patterned("/push/{push_id}", paths)
    url = UrlDispatcher().add_resource(pattern)
    assert url.canonical == "/push/{push_id}"
    taken = [one for one in ("p1", "templates", "topics", "templates2", "a b", "x/y") if url._match(f"/push/{one}")]
    assert taken == ["p1", "templates2", "a b"]
    assert [path for path in paths if patterned(path, paths) != path] == ["/push/{push_id}"]
