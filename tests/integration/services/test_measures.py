"""What each service tells of its requests: by its routes, and never by what was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from tests.support.routes import NOTHING

from push_workloads.common.errors import NotFound
from push_workloads.common.http import Call, Route, application


async def _missing(_: Call) -> None:
    raise NotFound("there is none")


async def _broken(_: Call) -> None:
    raise ZeroDivisionError


async def _fine(_: Call) -> None:
    return None


ROUTES = [
    Route("GET", f"/{name}/{{id}}", cast(Callable[[Call], Awaitable[None]], handler), name, None, auth=False)
    for name, handler in (("fine", _fine), ("missing", _missing), ("broken", _broken))
]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def client(registry: CollectorRegistry) -> AsyncIterator[TestClient]:  # type: ignore[type-arg]
    async with TestClient(TestServer(application("some", ROUTES, NOTHING, (), registry))) as client:
        yield client


async def test_a_request_is_counted_by_its_template_and_the_class_of_its_answer(
    client: TestClient, registry: CollectorRegistry  # type: ignore[type-arg]
) -> None:  # fmt: skip
    for path in ("/fine/ann", "/fine/bob", "/missing/ann", "/broken/ann", "/ann", "/.git/config"):
        await client.get(path)
    await client.request("PROPFIND", "/fine/ann")
    counted = {
        (one.labels["method"], one.labels["route"], one.labels["status"]): one.value
        for family in registry.collect()
        for one in family.samples
        if one.name == "push_http_requests_total"
    }
    assert counted == {
        ("GET", "/fine/{id}", "2xx"): 2,
        ("GET", "/missing/{id}", "4xx"): 1,
        ("GET", "/broken/{id}", "5xx"): 1,
        ("GET", "none", "4xx"): 2,
        ("other", "none", "4xx"): 1,
    }
    timed = {"method": "GET", "route": "/fine/{id}"}
    assert registry.get_sample_value("push_http_request_seconds_count", timed) == 2
