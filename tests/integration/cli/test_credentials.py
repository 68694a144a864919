"""`push credentials` against a real auth service, reached as on Kubernetes: by a kubectl that forwards to its port."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.support.servers import Valkey
from tests.support.services import environ_for, in_process

ADMIN = "an admin token, long enough to be one"
Push = Callable[..., Any]
KUBECTL = """#!/bin/sh
case "$*" in
  "get secrets chat-credentials "*) echo '{secret}';;
  "get pods "*) echo '{pods}';;
  "port-forward --address=127.0.0.1 pod/chat-auth-1 :9090 "*)
    echo "Forwarding from 127.0.0.1:{port} -> 9090"; echo $$ > '{pid}'; exec sleep 60;;
  *) echo "error: not expected: $*" >&2; exit 1;;
esac
"""


def _pod(name: str, *, ready: bool) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": "auth", "app.kubernetes.io/instance": "chat"}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"conditions": conditions}}


@pytest.fixture
async def push(valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Push]:
    """Runs `push credentials …`: exit code, standard output, standard error."""
    accounts = environ_for(REDIS_URL=valkey_server.url, SQLITE_PATH=str(tmp_path / "accounts.db"), ADMIN_TOKEN=ADMIN)
    programs = tmp_path / "bin"
    programs.mkdir()
    async with in_process("auth", accounts) as auth:
        pods = {"items": [_pod("chat-auth-0", ready=False), _pod("chat-auth-1", ready=True)]}
        secret = {"data": {"ADMIN_TOKEN": base64.b64encode(ADMIN.encode()).decode()}}
        port = urlsplit(auth.admin_url).port
        text = KUBECTL.format(secret=json.dumps(secret), pods=json.dumps(pods), port=port, pid=tmp_path / "forwarding")
        (programs / "kubectl").write_text(text)
        (programs / "kubectl").chmod(0o755)

        async def run(*arguments: str) -> tuple[int, str, str]:
            command = [sys.executable, "-m", "push_operator.cli.main", "credentials", *arguments]
            where = ["-n", "live", "--name", "chat"]
            environ = os.environ | {"PATH": f"{programs}:/usr/bin:/bin"}
            done = await asyncio.to_thread(
                subprocess.run, [*command, *where], env=environ, cwd=tmp_path, capture_output=True, text=True,
                timeout=30, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout, done.stderr

        yield run


async def test_one_is_made_listed_and_revoked(push: Push, tmp_path: Path) -> None:
    code, out, told = await push("create", "the shop", "--scope", "publish", "--scope", "groups")
    assert (code, told) == (0, "")
    text, _, words = out.splitlines()
    credential_id = text.split("_")[1]
    assert text.startswith("pcs_")
    assert words == f"Keep it now: it is not shown again. Its id is {credential_id}."
    code, out, _ = await push("list")
    header, row = out.splitlines()
    assert header.split() == ["ID", "NAME", "SCOPES", "AGE"]
    assert row.split()[:4] == [credential_id, "the", "shop", "groups,publish"]
    assert text not in out
    code, out, _ = await push("list", "-o", "json")
    assert [one["id"] for one in json.loads(out)] == [credential_id]
    assert (await push("revoke", credential_id))[0] == 0
    assert (await push("list"))[1].startswith("there are no credentials: make one with")
    code, _, told = await push("revoke", credential_id)
    assert (code, told) == (1, f"push: there is no credential {credential_id}: list them\n")
    pid = int((tmp_path / "forwarding").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)  # nothing is forwarded any more


async def test_wrong_words_are_told(push: Push) -> None:
    code, _, told = await push("create", "shop", "--scope", "everything")
    assert code == 2
    assert "publish" in told
    assert (await push("create", "shop"))[0] == 2
    code, _, told = await push("create", "a\nb", "--scope", "publish")
    assert (code, told.count("\n")) == (1, 1)
    assert ADMIN not in told
