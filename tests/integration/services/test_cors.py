"""What a browser is told when a page of another origin calls a service: before the call, and with the answer."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from tests.support.routes import NOTHING, TABLES

from push_workloads.common.http import application

ORIGIN = "https://chat.example.com"


def _client() -> TestClient:  # type: ignore[type-arg]
    return TestClient(TestServer(application("message", TABLES["message"], NOTHING, (ORIGIN,), CollectorRegistry())))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_is_allowed_to_an_allowed_origin(method: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": method,
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    async with _client() as client, client.options("/groups/some", headers=asked) as answer:
        told = answer.headers
        assert answer.status == 204
        assert told["Access-Control-Allow-Origin"] == ORIGIN
        assert method in told["Access-Control-Allow-Methods"].split(", ")
        assert {"authorization", "content-type"} <= set(told["Access-Control-Allow-Headers"].lower().split(", "))


async def test_another_origin_is_told_nothing() -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "DELETE"}
    async with _client() as client, client.options("/groups/some", headers=asked) as answer:
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]


async def test_a_refusal_can_be_read_too() -> None:
    async with _client() as client, client.delete("/nowhere", headers={"Origin": ORIGIN}) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (404, ORIGIN)
