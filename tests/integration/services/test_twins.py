"""A direct message whose sender's copy is missing gets it, whoever saw what, and whenever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from nats.aio.client import Client
from tests.support.calls import on_the_bus
from tests.support.chat import data_plane
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

from push_workloads.common.outgoing import Outgoing
from push_workloads.common.sending import TO_RECIPIENT, TO_SENDER, Send, begin, headers
from push_workloads.common.subjects import inbox_subject, log_subject, shard_of, stream_name

Start = Callable[..., Any]


@pytest.fixture
async def start(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a message service; all on one history."""
    async with AsyncExitStack() as stack:

        async def one(**environ: str) -> InProcess:
            plane = await stack.enter_async_context(data_plane(operators_nats_server, valkey_server, tmp_path))
            return await plane.message(**environ)

        yield one


@pytest.fixture
async def log(operators_nats_server: Nats) -> AsyncIterator[Client]:
    async with on_the_bus(operators_nats_server, "message") as client:
        yield client


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("push_workloads.message.twins.WAIT_SECONDS", 0.3)
    monkeypatch.setattr("push_workloads.message.completer.LOOK_SECONDS", 0.1)


def sending(number: int, recipient_id: str = "bob") -> Send:
    frame = Outgoing(recipient_id=recipient_id, content=Raw(msgspec.json.encode({"n": number})))
    return begin("ann", inbox_subject("ann"), frame, 0.0, 1_790_000_000_000 + number, bytes([number] * 10))


async def publish(log: Client, send: Send, shards: int = 1) -> None:
    """The copy that is due."""
    due = send.publication()
    await log.jetstream().publish(log_subject(due.subject, shards), due.payload, headers=headers(due))


async def written(service: InProcess, count: int) -> None:
    await eventually(lambda: service.metric("push_message_written_total") >= count)


def twins(service: InProcess, outcome: str) -> float:
    return service.metric("push_message_twins_total", outcome=outcome)


async def copies(log: Client, channel: str, shards: int = 1) -> list[dict[str, Any]]:
    """All that a channel has."""
    subject, stream = log_subject(channel, shards), stream_name(shard_of(channel, shards))
    subscription = await log.jetstream().pull_subscribe(subject, stream=stream)
    try:
        messages = await subscription.fetch(100, timeout=0.2)
    except TimeoutError:
        return []
    return [json.loads(message.data) for message in messages]


async def test_a_half_is_completed_and_a_whole_is_left_alone(start: Start, log: Client, soon: None) -> None:
    service = await start()
    half, whole = sending(1), sending(2)
    await publish(log, half)
    await publish(log, whole)
    whole.stage = TO_SENDER
    await publish(log, whole)
    await eventually(lambda: twins(service, "completed") == 1)
    made = await copies(log, "u.ann")
    assert [one["content"] for one in made] == [{"n": 2}, {"n": 1}]
    assert (made[1]["message_id"], made[1]["conversation"]) == (half.message_id, "bob")
    await written(service, 4)
    assert twins(service, "there") == 0
    half.stage = TO_SENDER
    await publish(log, half)  # its sender comes back: it is the same copy
    assert len(await copies(log, "u.ann")) == 2


async def test_what_was_seen_before_a_restart_is_not_forgotten(
    start: Start, log: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start()
    for number in range(3):
        await publish(log, sending(number))
    whole = sending(1)
    whole.stage = TO_SENDER
    await publish(log, whole)
    await written(first, 4)
    monkeypatch.setattr("push_workloads.message.twins.WAIT_SECONDS", 0.3)
    monkeypatch.setattr("push_workloads.message.completer.LOOK_SECONDS", 0.1)
    monkeypatch.setattr("push_workloads.message.completer.Completer.saw", _nothing)
    second = await start()  # it sees nothing live, so what it knows it has read again
    await eventually(lambda: twins(second, "completed") == 2)
    assert sorted(one["content"]["n"] for one in await copies(log, "u.ann")) == [0, 1, 2]


async def test_two_replicas_tell_each_other_what_they_saw(start: Start, log: Client, soon: None) -> None:
    services = [await start() for _ in range(2)]
    for number in range(20):
        send = sending(number)
        await publish(log, send)
        send.stage = TO_SENDER
        await publish(log, send)
    await eventually(lambda: sum(one.metric("push_message_written_total") for one in services) >= 40)
    await asyncio.gather(*(until_looked(log, one, number) for number, one in enumerate(services, start=100)))
    assert len(await copies(log, "u.ann")) == 22  # 20, and the two that ended the wait
    assert sum(twins(one, "there") for one in services) == 0


async def until_looked(log: Client, service: InProcess, number: int) -> None:
    """Whatever was due before is done: one more half was completed."""
    send = sending(number)
    await publish(log, send)
    await eventually(lambda: len_of(log, send.message_id))


async def len_of(log: Client, message_id: str) -> bool:
    return message_id in [one["message_id"] for one in await copies(log, "u.ann")]


@pytest.mark.parametrize("dropped_seconds", [100.0, -1.0], ids=["the log drops it", "it is looked for"])
async def test_a_copy_that_nobody_saw_is_not_written_again(
    start: Start, log: Client, soon: None, monkeypatch: pytest.MonkeyPatch, dropped_seconds: float
) -> None:
    monkeypatch.setattr("push_workloads.message.completer.DROPPED_SECONDS", dropped_seconds)
    monkeypatch.setattr("push_workloads.message.twins.Twins.senders", lambda *_: True)
    service = await start()
    send = sending(1)
    await publish(log, send)
    send.stage = TO_SENDER
    await publish(log, send)
    await eventually(lambda: twins(service, "there") == 1)
    assert len(await copies(log, "u.ann")) == 1
    assert twins(service, "completed") == 0


async def _nothing(*_: object) -> None:
    return None


async def test_the_copies_may_be_in_logs_of_their_own(start: Start, log: Client, soon: None) -> None:
    """And be seen in any order."""
    shards = 4
    service = await start(LOG_SHARDS=str(shards))
    halves, wholes = [sending(n, f"user {n}") for n in range(8)], [sending(n, f"user {n}") for n in range(8, 16)]
    for send in wholes:
        send.stage = TO_SENDER
        await publish(log, send, shards)
    for send in halves + wholes:
        send.stage = TO_RECIPIENT
        await publish(log, send, shards)
    await eventually(lambda: twins(service, "completed") == len(halves))
    made = await copies(log, "u.ann", shards)
    assert sorted(one["content"]["n"] for one in made) == list(range(16))
    assert twins(service, "there") == 0
