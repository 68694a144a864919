"""`push trace` against a real message and a real push service, reached as on Kubernetes: by a kubectl that forwards."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.support.calls import call, say
from tests.support.chat import data_plane
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, environ_for, in_process
from tests.support.waiting import eventually

from push_workloads.push.deliveries import Delivery, State
from push_workloads.push.stores import sqlite_stores

KEY = "a service key, long enough to be one"
Push = Callable[..., Awaitable[tuple[int, str, str]]]
KUBECTL = """#!/bin/sh
case "$*" in
  "get pushclusters.pushcluster.io/chat "*) echo '{cluster}';;
  "get secrets chat-credentials "*) echo '{secret}';;
  "get pods "*component=message*) echo '{message_pods}';;
  "get pods "*component=push*) echo '{push_pods}';;
  "port-forward --address=127.0.0.1 pod/chat-message-0 :8082 "*)
    echo "Forwarding from 127.0.0.1:{message} -> 8082"; exec sleep 60;;
  "port-forward --address=127.0.0.1 pod/chat-push-0 :8084 "*)
    echo "Forwarding from 127.0.0.1:{push} -> 8084"; exec sleep 60;;
  *) echo "error: not expected: $*" >&2; exit 1;;
esac
"""
CLUSTER = {
    "apiVersion": "pushcluster.io/v1alpha1", "kind": "PushCluster", "metadata": {"name": "chat"},
    "spec": {"gateway": {"replicas": 1}},
}  # fmt: skip


def _pods(component: str, *, ready: bool = True) -> str:
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": "chat"}
    pod = {"metadata": {"name": f"chat-{component}-0", "labels": labels}, "spec": {},
           "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}  # fmt: skip
    return json.dumps({"items": [pod]})


@pytest.fixture
async def chat(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[InProcess]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as plane:
        yield await plane.message(SERVICE_KEY=KEY)


@pytest.fixture
async def notifying(
    chat: InProcess, operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path
) -> AsyncIterator[InProcess]:
    where = {"SQLITE_PATH": str(tmp_path / "devices.db"), "REDIS_URL": valkey_server.url, "SERVICE_KEY": KEY}
    async with in_process("push", environ_for(**where, **operators_nats_server.environ_of("push"))) as service:
        await service.ready()
        yield service


def kubectl(tmp_path: Path, chat: InProcess, notifying: InProcess, *, push_ready: bool = True) -> None:
    secret = {"data": {"SERVICE_KEY": base64.b64encode(KEY.encode()).decode()}}
    text = KUBECTL.format(
        cluster=json.dumps(CLUSTER), secret=json.dumps(secret), message_pods=_pods("message"),
        push_pods=_pods("push", ready=push_ready), message=chat.port, push=notifying.port,
    )  # fmt: skip
    (tmp_path / "bin").mkdir(exist_ok=True)
    (tmp_path / "bin" / "kubectl").write_text(text)
    (tmp_path / "bin" / "kubectl").chmod(0o755)


@pytest.fixture
async def push(chat: InProcess, notifying: InProcess, tmp_path: Path) -> Push:
    """Runs `push trace …`: exit code, standard output, standard error."""
    kubectl(tmp_path, chat, notifying)

    async def run(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "push_operator.cli.main", "trace", *arguments, "-n", "live", "--name", "chat"]
        environ = os.environ | {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        done = await asyncio.to_thread(
            subprocess.run, command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return run


async def decided(tmp_path: Path, *deliveries: Delivery) -> None:
    """As the push service's workers record it."""
    async with sqlite_stores(str(tmp_path / "devices.db"), lambda: 0) as kept:
        await kept.deliveries.record(deliveries)


async def written(push: Push, message_id: str) -> None:
    async def there() -> bool:
        return (await push(message_id))[0] == 0

    await eventually(there, within=20)


async def test_a_message_to_a_group(
    push: Push, chat: InProcess, notifying: InProcess, http: ClientSession, tmp_path: Path
) -> None:
    members = [f"user {number:03}" for number in range(12)]
    _, group = await call(http, chat, "ann", "POST", "/groups", {"name": "All", "members": members})
    said = await say(http, chat, "ann", channel=group["channel"], content="a secret")
    sent_at, message_id = said["sent_at"], said["message_id"]
    await written(push, message_id)
    await decided(
        tmp_path,
        *(Delivery(message_id, user, "phone", "apns", State.SENT, None, sent_at + 3000, 1, "id") for user in members),
        Delivery(message_id, members[0], "web", "webpush", State.CANCELLED, "received", sent_at + 3001),
    )
    code, out, err = await push(message_id)
    assert (code, err) == (0, "")
    assert "secret" not in out
    assert KEY not in out
    lines = out.splitlines()
    assert [line.split()[-8:-5] for line in lines if "phone" in line] == [["phone", "apns", "sent"]] * 12
    assert sum("received   +3.001 s" in line for line in lines) == 1

    code, out, _ = await push(message_id, "--limit", "5", "-o", "json")
    way = json.loads(out)
    assert code == 0
    assert [one["user_id"] for one in way["recipients"]] == members[:5]
    assert [len(one["devices"]) for one in way["recipients"]] == [2, 1, 1, 1, 1]
    assert way["notes"] == ["these are the first 5 recipients: --limit shows more"]
    assert way["log"][0]["channel"] == group["channel"]


async def test_what_is_known_is_shown(
    push: Push, chat: InProcess, notifying: InProcess, http: ClientSession, tmp_path: Path
) -> None:
    code, out, err = await push("unknown")
    assert (code, out) == (1, "")
    assert err.startswith("push: history has no message unknown: the id is wrong, or")
    assert err.count("\n") == 1
    code, _, err = await push("no id at all?*")
    assert (code, "message_id: the id of a message" in err) == (1, True)

    await decided(tmp_path, Delivery("broadcast-1", "eve", "phone", "fcm", State.FAILED, "ambiguous: cut", 1000, 1))
    code, out, _ = await push("broadcast-1")
    assert code == 0
    assert "ambiguous: cut" in out
    assert "history has no message broadcast-1" in out

    said = await say(http, chat, "ann", recipient_id="bob", content=1)
    await written(push, said["message_id"])
    kubectl(tmp_path, chat, notifying, push_ready=False)
    code, out, _ = await push(said["message_id"])
    assert code == 0
    assert "to           user:bob" in out
    assert out.splitlines()[-1].startswith("no pushes are shown: no push of chat is ready")
