"""Passwords that are changed, lost and guessed at, and accounts that end: over HTTP, with a real Valkey and mails."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from redis.asyncio import Redis
from tests.integration.services.test_identity import ADA, NOWHERE, World, world
from tests.support.chat import token_for
from tests.support.servers import Valkey
from tests.support.services import InProcess, environ_for, in_process, own_process
from tests.support.smtp import MailServer, mail_server
from tests.support.waiting import eventually

from push_workloads.auth.attempts import ACCOUNT
from push_workloads.common import erasing
from push_workloads.gateway import codes
from push_workloads.push.stores import sqlite_stores

__all__ = ["world"]  # a fixture

EMAIL, NEW = ADA["email"], "battery staple"
Answer = tuple[int, dict[str, Any], Any]


def _environ(valkey: Valkey, folder: Path, mails: MailServer, **more: str) -> dict[str, str]:
    mail = {"MAIL_URL": mails.url, "MAIL_FROM": "push@example.com", "MAIL_RESET_URL": "https://chat.example.com/reset"}
    return environ_for(REDIS_URL=valkey.url, SQLITE_PATH=str(folder / "accounts.db"), **mail, **more)


@pytest.fixture
async def mails() -> AsyncIterator[MailServer]:
    async with mail_server() as server:
        yield server


@pytest.fixture
async def auth(valkey_server: Valkey, tmp_path: Path, mails: MailServer) -> AsyncIterator[InProcess]:
    async with in_process("auth", _environ(valkey_server, tmp_path, mails)) as service:
        await service.ready()
        yield service


async def _post(http: ClientSession, url: str, path: str, body: Any, token: str = "") -> Answer:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.post(url + path, json=body, headers=headers) as answer:
        return answer.status, (await answer.json()) if answer.status != 204 else {}, answer.headers


async def _token(mails: MailServer, number: int = 1) -> str:
    mail = await mails.mail(number)
    assert (mail["To"], mail["From"], mail["Auto-Submitted"]) == (EMAIL, "push@example.com", "auto-generated")
    found = re.search(r"https://chat\.example\.com/reset#reset_token=(\S+)", mail.get_content())
    assert found is not None
    return found[1]


async def test_a_lost_password_is_set_anew_by_mail(auth: InProcess, http: ClientSession, mails: MailServer) -> None:
    await _post(http, auth.url, "/auth/register", ADA)
    mails.refusals = 1
    asked = [await _post(http, auth.url, "/auth/password/forgot", {"email": one}) for one in (EMAIL, "no@example.com")]
    assert [(status, body) for status, body, _ in asked] == [(204, {})] * 2
    token = await _token(mails)
    wanted = {"token": token, "new_password": NEW}
    status, signed, headers = await _post(http, auth.url, "/auth/password/reset", wanted)
    assert status == 200
    assert signed.keys() == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
    assert headers["Cache-Control"] == "no-store"
    assert (await _post(http, auth.url, "/auth/password/reset", wanted))[0] == 401
    assert (await _post(http, auth.url, "/auth/login", ADA))[0] == 401
    assert (await _post(http, auth.url, "/auth/login", ADA | {"password": NEW}))[0] == 200
    assert len(mails.mails) == 1
    assert auth.metric("push_auth_mails_total", outcome="ok") == 1


async def test_no_password_goes_to_a_mail_server_without_tls(
    valkey_server: Valkey, tmp_path: Path, http: ClientSession, mails: MailServer
) -> None:
    login = {"MAIL_USER": "push", "MAIL_PASSWORD": "secret"}
    async with in_process("auth", _environ(valkey_server, tmp_path, mails, **login)) as service:
        await service.ready()
        await _post(http, service.url, "/auth/register", ADA)
        assert (await _post(http, service.url, "/auth/password/forgot", {"email": EMAIL}))[0] == 204
    assert (mails.mails, mails.asked_to_log_in) == ([], 0)


async def test_guesses_wait_and_are_told_how_long(auth: InProcess, http: ClientSession) -> None:
    await _post(http, auth.url, "/auth/register", ADA)
    wrong = [_post(http, auth.url, "/auth/login", {"email": EMAIL, "password": f"guess {n}"}) for n in range(20)]
    told = await asyncio.gather(*wrong)
    assert sorted(status for status, _, _ in told) == [401] * ACCOUNT.free + [429] * (20 - ACCOUNT.free)
    assert {headers["Retry-After"] for status, _, headers in told if status == 429} == {"1"}
    nobody = [_post(http, auth.url, "/auth/login", {"email": "no@example.com", "password": "x"}) for _ in range(20)]
    again = await asyncio.gather(*nobody)
    assert sorted(status for status, _, _ in again) == sorted(status for status, _, _ in told)
    assert {body["error"]["message"] for _, body, _ in again} == {body["error"]["message"] for _, body, _ in told}


async def test_behind_a_proxy_each_client_counts_for_itself(
    valkey_server: Valkey, tmp_path: Path, http: ClientSession, mails: MailServer
) -> None:
    proxied = {"TRUSTED_PROXIES": "127.0.0.0/8", "REGISTRATIONS_PER_HOUR": "1"}
    async with in_process("auth", _environ(valkey_server, tmp_path, mails, **proxied)) as service:
        await service.ready()
        told = []
        for number, said in enumerate(["192.0.2.1", "198.51.100.7, 192.0.2.1", "192.0.2.2", "192.0.2.2, 127.0.0.9"]):
            body = ADA | {"email": f"user{number}@example.com"}
            headers = {"X-Forwarded-For": said}
            async with http.post(f"{service.url}/auth/register", json=body, headers=headers) as answer:
                told.append(answer.status)
    assert told == [201, 429, 201, 429]


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_guesses_wait_without_redis_too(
    auth: InProcess, http: ClientSession, valkey_server: Valkey, how: str
) -> None:
    await _post(http, auth.url, "/auth/register", ADA)
    if how == "killed":
        await valkey_server.kill()
    else:
        valkey_server.pause()
    wrong = [_post(http, auth.url, "/auth/login", {"email": EMAIL, "password": f"guess {n}"}) for n in range(15)]
    told = [status for status, _, _ in await asyncio.gather(*wrong)]
    assert sorted(told) == [401] * ACCOUNT.free + [429] * (15 - ACCOUNT.free)
    if how == "frozen":
        valkey_server.resume()


async def test_another_password_closes_every_socket_in_a_moment(world: World) -> None:
    made, laptop = await world.register(), await world.login("laptop")
    sockets = [
        await world.plane.client(world.services[name], "", token=one["access_token"])
        for name, one in (("gateway", made), ("other", laptop))
    ]
    body = {"password": ADA["password"], "new_password": NEW}
    began = time.monotonic()
    status, again = await world.ask("POST", "/auth/password", body, token=made["access_token"])
    assert status == 200
    assert [await one.closed() for one in sockets] == [codes.TOKEN_EXPIRED] * 2
    assert time.monotonic() - began < 2  # two hashes among it
    assert [await world.verdicts(one["access_token"]) for one in (made, laptop)] == [NOWHERE] * 2
    assert set((await world.verdicts(again["access_token"])).values()) == {200, 101}


async def test_an_account_that_ends_is_nowhere_any_more(world: World) -> None:
    made = await world.register()
    socket = await world.plane.client(world.services["other"], "", token=made["access_token"])
    token = made["access_token"]
    assert (await world.ask("POST", "/auth/delete", {"password": "wrong horse"}, token=token))[0] == 403
    began = time.monotonic()
    assert (await world.ask("POST", "/auth/delete", {}, token=token))[0] == 204
    assert await socket.closed() == codes.TOKEN_EXPIRED
    assert time.monotonic() - began < 1
    assert await world.verdicts(token) == NOWHERE
    assert (await world.refresh(made["refresh_token"]))[0] == 401
    assert (await world.ask("POST", "/auth/login", ADA))[0] == 401
    again = await world.register()
    assert again["user"]["id"] != made["user"]["id"]


async def test_the_devices_and_preferences_of_who_has_gone_are_forgotten(
    world: World, valkey_server: Valkey, tmp_path: Path
) -> None:
    made = await world.register()
    user_id, token = made["user"]["id"], made["access_token"]
    device = {"device_id": "phone", "platform": "fcm", "token": "t" * 20}
    push = world.services["push"].url
    assert (await _post(world.http, push, "/devices", device, token))[0] == 201
    eves = token_for("eve")
    assert (await _post(world.http, push, "/devices", device | {"token": "e" * 20}, eves))[0] == 201
    for shown in (token, eves):
        headers, mute = {"Authorization": f"Bearer {shown}"}, {"until": 0}
        async with world.http.put(f"{push}/preferences/mutes/*", json=mute, headers=headers) as answer:
            assert answer.status == 200
    assert (await world.ask("POST", "/auth/delete", {}, token=token))[0] == 204

    async def left() -> set[str]:
        async with sqlite_stores(str(tmp_path / "devices.db"), lambda: 0) as stores:
            users = (user_id, "eve")
            having = {one.user_id for user in users for one in await stores.devices.of_user(user)}
            return having | {user for user in users if (await stores.preferences.held(user)).version is not None}

    async def is_gone() -> bool:
        return await left() == {"eve"}

    await eventually(is_gone)
    async with Redis.from_url(valkey_server.url) as redis:
        await redis.flushall()

        async def is_told() -> bool:
            return await redis.zscore(erasing.KEY, user_id) is not None

        await eventually(is_told)  # to whoever was away


async def test_nothing_secret_is_in_the_log(
    valkey_server: Valkey, tmp_path: Path, http: ClientSession, mails: MailServer
) -> None:
    log = tmp_path / "auth.log"
    mails.refusals = 1
    environ = _environ(valkey_server, tmp_path, mails, LOG_LEVEL="debug")
    async with own_process("auth", environ, log) as service:
        await service.ready(http)
        _, made, _ = await _post(http, service.url, "/auth/register", ADA)
        await _post(http, service.url, "/auth/password/forgot", {"email": EMAIL})
        token = await _token(mails)
        body = {"token": token, "new_password": NEW}
        _, signed, _ = await _post(http, service.url, "/auth/password/reset", body)
        assert await service.stop() == 0
    text = log.read_text()
    assert "the mail server does not take a mail" in text
    for secret in (EMAIL, ADA["password"], NEW, token, made["refresh_token"], signed["access_token"], "$argon2"):
        assert secret not in text
