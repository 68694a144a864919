"""`push dlq` against a real push service, reached as on Kubernetes: by a kubectl that forwards to its port."""

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
from tests.support.pushing import Stage, stage
from tests.support.servers import Nats, Valkey
from tests.support.services import environ_for, in_process
from tests.support.waiting import eventually

ADMIN = "an admin token, long enough to be one"
Push = Callable[..., Any]
KUBECTL = """#!/bin/sh
case "$*" in
  "get secrets chat-credentials "*) echo '{secret}';;
  "get pods "*) echo '{pods}';;
  "port-forward --address=127.0.0.1 pod/chat-push-0 :9090 "*)
    echo "Forwarding from 127.0.0.1:{port} -> 9090"; exec sleep 60;;
  *) echo "error: not expected: $*" >&2; exit 1;;
esac
"""
POD = {
    "metadata": {
        "name": "chat-push-0",
        "labels": {"app.kubernetes.io/component": "push", "app.kubernetes.io/instance": "chat"},
    },
    "spec": {},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


@pytest.fixture
async def pipe(operators_nats_server: Nats, valkey_server: Valkey) -> AsyncIterator[Stage]:
    async with stage(operators_nats_server, valkey_server) as made:
        yield made


@pytest.fixture
async def push(pipe: Stage, operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Push]:
    """Runs `push dlq …`: exit code, standard output, standard error."""
    environ = environ_for(
        REDIS_URL=valkey_server.url, SQLITE_PATH=str(tmp_path / "devices.db"), ADMIN_TOKEN=ADMIN,
        **operators_nats_server.environ_of("push"),
    )  # fmt: skip
    programs = tmp_path / "bin"
    programs.mkdir()
    async with in_process("push", environ) as service:
        await service.ready()
        secret = {"data": {"ADMIN_TOKEN": base64.b64encode(ADMIN.encode()).decode()}}
        port = urlsplit(service.admin_url).port
        text = KUBECTL.format(secret=json.dumps(secret), pods=json.dumps({"items": [POD]}), port=port)
        (programs / "kubectl").write_text(text)
        (programs / "kubectl").chmod(0o755)

        async def run(*arguments: str) -> tuple[int, str, str]:
            command = [
                sys.executable,
                "-m",
                "push_operator.cli.main",
                "dlq",
                *arguments,
                "-n",
                "live",
                "--name",
                "chat",
            ]
            environ = os.environ | {"PATH": f"{programs}:/usr/bin:/bin"}
            done = await asyncio.to_thread(
                subprocess.run, command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=30,
                check=False,
            )  # fmt: skip
            return done.returncode, done.stdout, done.stderr

        yield run


async def test_dead_letters_are_listed_put_back_and_dropped(push: Push, pipe: Stage) -> None:
    assert (await push("list"))[:2] == (0, "there are no dead letters\n")
    for number in range(3):
        await pipe.put_raw("push.jobs.ann", b"{}", f"bad-{number}")
    await eventually(pipe.is_empty)
    code, out, told = await push("list")
    assert (code, told) == (0, "")
    header, *rows = out.splitlines()
    assert header.split() == ["SEQ", "QUEUE", "REASON", "ATTEMPTS", "AGE", "BYTES"]
    assert [row.split()[:3] for row in rows] == [[str(seq), "push.jobs.ann", "undecodable:"] for seq in (1, 2, 3)]
    listed = json.loads((await push("list", "--limit", "2", "-o", "json"))[1])
    assert [one["seq"] for one in listed] == [1, 2]
    assert (await push("drop", "1"))[:2] == (0, "1 dead letter dropped\n")
    assert (await push("drop", "1"))[0::2] == (1, "push: there is no dead letter 1: list them\n")
    assert (await push("retry", "--all"))[:2] == (0, "2 dead letters put back into the queue\n")
    again = await eventually(lambda: pipe.dead.page(3, 10))
    assert {one.subject for one in again} == {"push.jobs.ann"}  # they cannot be read this time either


@pytest.mark.parametrize("words", [("retry",), ("drop", "0"), ("drop", "--all", "1"), ("bury",)])
async def test_wrong_words_are_told(words: tuple[str, ...], push: Push) -> None:
    assert (await push(*words))[0] == 2
