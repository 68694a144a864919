"""The served document is true: schemathesis makes requests from it, good and bad, and every answer is one it names.

Left out is its check that whatever fits the document is accepted: JSON Schema cannot say all that the services ask for,
such as that an id has at most 128 bytes, or that one of two fields is there.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest
from aiohttp import ClientSession
from tests.support.servers import Nats, Valkey
from tests.support.services import OwnProcess, environ_for, own_process

# Whom nobody asks: the browser is sent there.
GITHUB: Final = {
    "OAUTH_GITHUB_CLIENT_ID": "client", "OAUTH_GITHUB_CLIENT_SECRET": "secret",
    "OAUTH_GITHUB_REDIRECT_URL": "http://localhost:1/oauth/github/callback",
    "OAUTH_GITHUB_URL": "http://localhost:1", "OAUTH_GITHUB_API_URL": "http://localhost:1",
    "OAUTH_RETURN_URLS": "http://localhost:1/",
}  # fmt: skip
# So that what it sends reaches more than "there is no such provider".
KNOWN: Final = """
[[operations]]
include-path = "/oauth/{provider}"
parameters = { provider = "github" }
"""
SECONDS: Final = 180.0
SERVICES: Final = ("auth", "message", "presence", "push")
ON_THE_BUS: Final = ("message", "presence", "push")
GENERATION: Final = ("--generation-deterministic", "--max-examples", "50")


@pytest.fixture
async def services(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path, http: ClientSession
) -> AsyncIterator[dict[str, OwnProcess]]:
    """All four, ready."""
    async with AsyncExitStack() as stack:
        started = {}
        for name in SERVICES:
            environ = environ_for(
                REDIS_URL=valkey_server.url,
                SQLITE_PATH=str(tmp_path / f"{name}.db"),
                LOG_MAX_BYTES=str(64 * 1024**2),
                REGISTRATIONS_PER_HOUR="0",
                **(GITHUB if name == "auth" else {}),
                **(operators_nats_server.environ_of(name) if name in ON_THE_BUS else {}),
            )
            started[name] = await stack.enter_async_context(own_process(name, environ, tmp_path / f"{name}.log"))
        for service in started.values():
            await service.ready(http)
        yield started


@pytest.mark.parametrize("name", SERVICES)
async def test_every_answer_is_documented_and_none_is_a_fault(
    name: str, services: dict[str, OwnProcess], tmp_path: Path, http: ClientSession
) -> None:
    (tmp_path / "schemathesis.toml").write_text(KNOWN)
    code, out = await _checked(services[name].url, await _token(http, services["auth"]), tmp_path)
    assert code == 0, out
    assert " passed" in out, out


async def _token(http: ClientSession, auth: OwnProcess) -> str:
    body = {"email": f"{secrets.token_hex(8)}@example.com", "password": "a long enough password"}
    async with http.post(f"{auth.url}/auth/register", json=body) as answer:
        token: str = (await answer.json())["access_token"]
    return token


async def _checked(url: str, token: str, folder: Path) -> tuple[int | None, str]:
    command = ("run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {token}", *GENERATION)
    checks = ("--exclude-checks", "positive_data_acceptance", "--continue-on-failure", "--no-color")
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", *command, *checks, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            out, _ = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
    return program.returncode, out.decode()
