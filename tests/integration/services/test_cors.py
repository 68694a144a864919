"""What a browser is told when a page of another origin calls a service: before the call, and with the answer."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from tests.support.routes import NOTHING, TABLES

from push_workloads.common.http import SECURITY_HEADERS, application

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


@pytest.mark.parametrize(
    "origin",
    ["null", f"{ORIGIN}.evil.example", f"{ORIGIN}:444", "http://chat.example.com", ORIGIN.upper(), f"{ORIGIN}/", "*"],
)
async def test_what_is_like_an_allowed_origin_is_another(origin: str) -> None:
    async with _client() as client, client.get("/nowhere", headers={"Origin": origin}) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_pages_send_no_cookies_and_may_read_when_to_come_again() -> None:
    """Tokens are in a header, which a page has to have: what browsers add by themselves opens nothing."""
    async with _client() as client, client.get("/nowhere", headers={"Origin": ORIGIN}) as answer:
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/openapi.json", "/nowhere", "/groups"])
async def test_every_answer_is_data_and_nothing_to_run_or_keep(path: str) -> None:
    async with _client() as client, client.get(path) as answer:
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS


async def test_a_refusal_can_be_read_too() -> None:
    async with _client() as client, client.delete("/nowhere", headers={"Origin": ORIGIN}) as answer:
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (404, ORIGIN)
