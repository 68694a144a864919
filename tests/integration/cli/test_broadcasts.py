"""`push broadcast` against a real push service."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import urlsplit

import pytest
from tests.support.servers import Nats, Valkey
from tests.support.services import environ_for, in_process

from push_operator.cli import broadcasts as command
from push_operator.cli.arguments import PUSH, parser
from push_operator.cli.asking import NoAnswer, ask
from push_operator.cli.target import AdminPort, Target
from push_operator.errors import ClusterError
from push_workloads.common.bus import connected
from push_workloads.message.config import MessageConfig
from push_workloads.message.streams import ensure_push_queue

ADMIN = "an admin token, long enough to be one"
Push = Callable[..., Awaitable[str]]


class Here:
    """A Target whose one admin port is that of the service under test."""

    def __init__(self, port: int) -> None:
        self._port = port

    @contextmanager
    def admin(self, component: str) -> Iterator[AdminPort]:
        assert component == "push"
        yield AdminPort("127.0.0.1", self._port, ADMIN)


@pytest.fixture
async def push(
    operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Push]:
    """Runs `push broadcast …`: what it prints."""
    where = {"SQLITE_PATH": str(tmp_path / "devices.db"), "REDIS_URL": valkey_server.url}
    of_message = environ_for(**where, **operators_nats_server.environ_of("message"), LOG_MAX_BYTES=str(64 * 1024**2))
    config = MessageConfig.parse(of_message)
    async with connected(config.nats, "message") as bus:
        await ensure_push_queue(bus, config)
    own = environ_for(**where, **operators_nats_server.environ_of("push"), ADMIN_TOKEN=ADMIN)
    async with in_process("push", own) as service:
        await service.ready()
        here = cast(Target, Here(urlsplit(service.admin_url).port or 0))

        async def run(*words: str) -> str:
            capsys.readouterr()
            await asyncio.to_thread(command.broadcasts, here, parser(PUSH).parse_args(["broadcast", *words]))
            return capsys.readouterr().out

        yield run


async def test_one_is_sent_followed_and_listed(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LOOK_SECONDS", 0.02)
    assert (await push("list")).startswith("there are no broadcasts")
    made: dict[str, Any] = json.loads(await push("send", "--all", "--title", "News", "-o", "json"))
    assert (made["stage"], made["title"]) == ("running", "News")
    lines = (await push("status", made["broadcast_id"], "--watch")).splitlines()
    assert lines[-1] == "done: 0 seen, 0 queued, 0 sent, 0 failed, 0 cancelled, 0 waiting"
    assert len(set(lines)) == len(lines)
    _, row = (await push("list")).splitlines()
    assert row.split()[:3] == [made["broadcast_id"], "done", "all"]


async def test_one_is_stopped(push: Push) -> None:
    shown = await push("send", "--platform", "fcm", "--title", "News", "--at", "2020-01-01T00:00Z", "--ttl", "60")
    broadcast_id, _, stage = shown.splitlines()[0].partition(": ")
    assert stage == "running"
    assert (await push("stop", broadcast_id)).split()[1] in ("stopped", "done")
    assert [one["broadcast_id"] for one in json.loads(await push("list", "-o", "json"))] == [broadcast_id]


async def test_one_whose_answer_was_lost_is_sent_once(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("send", "--all", "--title", "News")

    def lost(*order: Any) -> NoReturn:
        ask(*order)
        raise NoAnswer("the push service does not answer: timed out")

    with monkeypatch.context() as while_it_is_lost:
        while_it_is_lost.setattr(command, "ask", lost)
        with pytest.raises(NoAnswer, match="timed out; it may have been sent: run it again with --dedup-id") as raised:
            await push(*words)
    (dedup_id,) = re.findall("--dedup-id ([0-9a-f]{32}),", str(raised.value))
    shown = await push(*words, "--dedup-id", dedup_id)
    assert "it had been sent before" in shown.splitlines()[0]
    assert len(json.loads(await push("list", "-o", "json"))) == 1
    await push(*words)
    assert len(json.loads(await push("list", "-o", "json"))) == 2


async def test_the_services_words_are_told(push: Push) -> None:
    with pytest.raises(ClusterError, match="there is no such broadcast"):
        await push("status", "other")
    with pytest.raises(ClusterError, match="template: there is no 'none'"):
        await push("send", "--all", "--template", "none")
