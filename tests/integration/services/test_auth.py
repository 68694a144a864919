"""The auth service over HTTP, with a real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from tests.support.servers import Valkey
from tests.support.services import InProcess, environ_for, in_process, own_process
from tests.support.waiting import eventually

ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}
Answer = tuple[int, dict[str, Any]]


def _environ(valkey: Valkey, folder: Path, **more: str) -> dict[str, str]:
    return environ_for(REDIS_URL=valkey.url, SQLITE_PATH=str(folder / "accounts.db"), **more)


@pytest.fixture
async def auth(valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[InProcess]:
    async with in_process("auth", _environ(valkey_server, tmp_path)) as service:
        yield service


async def _post(http: ClientSession, service: InProcess, path: str, body: Any) -> Answer:
    async with http.post(service.url + path, json=body) as answer:
        return answer.status, await answer.json()


async def _register(http: ClientSession, service: InProcess, number: int) -> Answer:
    return await _post(http, service, "/auth/register", {**ADA, "email": f"user{number}@example.com"})


async def test_register_log_in_and_ask_who_i_am(auth: InProcess, http: ClientSession) -> None:
    status, made = await _post(http, auth, "/auth/register", ADA)
    assert status == 201
    assert made.keys() == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert made["user"].keys() == {"id", "email", "name", "created_at"}
    assert (made["user"]["email"], made["user"]["name"]) == ("ada@example.com", "Ada")
    assert (made["token_type"], made["expires_in"]) == ("Bearer", 86_400)

    status, again = await _post(http, auth, "/auth/login", {"email": " ADA@example.com", "password": ADA["password"]})
    assert status == 200
    assert again["user"] == made["user"]
    assert again["refresh_token"] != made["refresh_token"]

    for token in (made["access_token"], again["access_token"]):
        async with http.get(f"{auth.url}/auth/me", headers={"Authorization": f"Bearer {token}"}) as answer:
            assert answer.status == 200
            assert await answer.json() == {"user": made["user"]}
    assert auth.metric("push_auth_registrations_total", outcome="ok") == 1
    assert auth.metric("push_auth_logins_total", outcome="ok") == 1
    assert auth.metric("push_auth_argon2_seconds_count") == 3  # the made-up one, the registration, the login


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x.y.z", "Basic YTpi"])
async def test_without_a_good_token_nobody_is_told_anything(
    auth: InProcess, http: ClientSession, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with http.get(f"{auth.url}/auth/me", headers=headers) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == "unauthorized"


async def test_unknown_user_and_wrong_password_get_one_answer(auth: InProcess, http: ClientSession) -> None:
    await _post(http, auth, "/auth/register", ADA)
    wrong = await _post(http, auth, "/auth/login", {"email": ADA["email"], "password": "wrong"})
    unknown = await _post(http, auth, "/auth/login", {"email": "eve@example.com", "password": "wrong"})
    assert wrong == unknown
    assert (wrong[0], wrong[1]["error"]["code"]) == (401, "bad_credentials")
    assert auth.metric("push_auth_logins_total", outcome="bad_credentials") == 2


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (5, "object"),
        ([], "object"),
        ({}, "email"),
        ({**ADA, "email": 5}, "$.email"),
        ({**ADA, "email": "ada"}, "email: "),
        ({**ADA, "password": "short"}, "password: "),
        ({**ADA, "password": "x" * 1025}, "password: "),
        ({**ADA, "name": "x" * 101}, "name: "),
    ],
)
async def test_a_bad_registration_is_told_its_fault(
    auth: InProcess, http: ClientSession, body: Any, names: str
) -> None:
    status, answer = await _post(http, auth, "/auth/register", body)
    assert (status, answer["error"]["code"]) == (400, "bad_request")
    assert names in answer["error"]["message"]


async def test_bodies_that_are_none(auth: InProcess, http: ClientSession) -> None:
    for raw, status in (
        (b"", 400),
        (b"{", 400),
        (b'{"email": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b" " * 300_000, 413),
    ):
        async with http.post(f"{auth.url}/auth/register", data=raw) as answer:
            assert (answer.status, "error" in await answer.json()) == (status, True)


async def test_of_fifty_at_once_with_one_email_one_is_made(auth: InProcess, http: ClientSession) -> None:
    answers = await asyncio.gather(*(_post(http, auth, "/auth/register", ADA) for _ in range(50)))
    assert sorted(status for status, _ in answers) == [201] + [409] * 49
    assert {answer["error"]["code"] for status, answer in answers if status == 409} == {"conflict"}


async def test_registrations_of_an_address_are_limited(
    valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> None:
    async with in_process("auth", _environ(valkey_server, tmp_path, REGISTRATIONS_PER_HOUR="2")) as service:
        assert [(await _register(http, service, number))[0] for number in range(3)] == [201, 201, 429]
        async with http.post(f"{service.url}/auth/register", json=ADA) as answer:
            assert answer.status == 429
            assert 3500 < int(answer.headers["Retry-After"]) <= 3600
        login = {"email": "user0@example.com", "password": ADA["password"]}
        assert (await _post(http, service, "/auth/login", login))[0] == 200
    # The count is everyone's: a replica, or this one started again, goes on with it.
    async with in_process("auth", _environ(valkey_server, tmp_path, REGISTRATIONS_PER_HOUR="2")) as service:
        assert (await _register(http, service, 4))[0] == 429


async def test_without_a_limit_redis_is_not_asked(valkey_server: Valkey, tmp_path: Path, http: ClientSession) -> None:
    await valkey_server.kill()
    async with in_process("auth", _environ(valkey_server, tmp_path, REGISTRATIONS_PER_HOUR="0")) as service:
        assert (await _register(http, service, 1))[0] == 201


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_without_redis_nobody_registers_and_everybody_logs_in(
    auth: InProcess, http: ClientSession, valkey_server: Valkey, how: str
) -> None:
    assert (await _register(http, auth, 1))[0] == 201
    if how == "killed":
        await valkey_server.kill()
    else:
        valkey_server.pause()
    started = time.monotonic()
    status, answer = await _register(http, auth, 2)
    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert time.monotonic() - started < 3
    login = {"email": "user1@example.com", "password": ADA["password"]}
    assert (await _post(http, auth, "/auth/login", login))[0] == 200
    if how == "killed":
        await valkey_server.start()
    else:
        valkey_server.resume()

    async def registers() -> bool:
        return (await _register(http, auth, 3))[0] in (201, 409)

    await eventually(registers)


async def test_the_document_is_served(auth: InProcess, http: ClientSession) -> None:
    for path in ("/openapi.json", "/openapi/auth.json"):
        async with http.get(f"{auth.url}{path}") as answer:
            document = await answer.json()
        accounts = {"/auth/register", "/auth/login", "/auth/me"}
        sessions = {"/auth/refresh", "/auth/logout", "/auth/sessions", "/auth/sessions/{session_id}"}
        upkeep = {"/auth/password", "/auth/password/forgot", "/auth/password/reset", "/auth/delete"}
        oauth = {"/oauth", "/auth/oauth", "/oauth/{provider}", "/oauth/{provider}/callback"}
        identities = {"/auth/identities", "/auth/identities/{provider}/{subject}"}
        keys = {"/.well-known/jwks.json"}
        assert document["paths"].keys() == accounts | upkeep | sessions | oauth | identities | keys


async def test_as_its_own_process(valkey_server: Valkey, tmp_path: Path, http: ClientSession) -> None:
    log = tmp_path / "auth.log"
    environ = _environ(valkey_server, tmp_path, LOG_LEVEL="debug")
    async with own_process("auth", environ, log) as service:
        await service.ready(http)
        async with http.post(f"{service.url}/auth/register", json=ADA) as answer:
            assert answer.status == 201
            made = await answer.json()
        async with http.get(f"{service.admin_url}/metrics") as answer:
            assert 'push_auth_registrations_total{outcome="ok"} 1.0' in await answer.text()
        assert await service.stop() == 0
    text = log.read_text()
    assert '"msg":"stopped"' in text
    for secret in (ADA["email"], ADA["password"], made["access_token"], made["refresh_token"], "$argon2"):
        assert secret not in text


async def test_a_process_that_cannot_be_configured_says_why(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    async with own_process("auth", {"JWT_SECRET": "short"}, log) as service:
        assert await asyncio.to_thread(service.child.wait, 20) == 78
    text = log.read_text()
    assert "push_workloads auth: JWT_SECRET has 5 bytes and needs at least 32" in text
    assert "push_workloads auth: REDIS_URL is required" in text
