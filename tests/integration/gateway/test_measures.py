"""What a gateway and the message service tell of a message's way: how long it took, what failed, and nobody's name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from tests.support.chat import Plane, data_plane
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess, own_process
from tests.support.waiting import eventually

from push_workloads.common.latency import BOUNDS_SECONDS


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
async def message(plane: Plane) -> InProcess:
    """It makes the log."""
    return await plane.message()


def _below(gateway: InProcess, family: str, seconds: float) -> float:
    return gateway.metric(f"push_gateway_{family}_seconds_bucket", le=str(seconds))


async def test_an_ack_and_each_delivery_are_timed_where_they_happen(plane: Plane) -> None:
    here, there = await plane.gateway(), await plane.gateway()
    ann = await plane.client(here, "ann")
    readers = [await plane.client(there, "bob") for _ in range(3)]
    for number in range(4):
        await ann.send(type="send_message", id=str(number), recipient_id="bob", content=number)
        await ann.expect("ack", id=str(number))
        for bob in readers:
            await bob.expect("message")

    longest = BOUNDS_SECONDS[-1]
    assert _below(here, "ack", longest) == here.metric("push_gateway_ack_seconds_count") == 4
    assert 0 < here.metric("push_gateway_ack_seconds_sum") < longest
    assert here.metric("push_gateway_delivery_seconds_count") == 4  # her own copies, which the acks stand for
    assert _below(there, "delivery", longest) == there.metric("push_gateway_delivery_seconds_count") == 12
    assert there.metric("push_gateway_ack_seconds_count") == 0


async def test_what_a_device_reads_on_its_return_is_no_late_delivery(plane: Plane) -> None:
    gateway = await plane.gateway()
    ann = await plane.client(gateway, "ann")
    await ann.send(type="send_message", recipient_id="bob", content="while you were away")
    await ann.expect("ack")
    counted = gateway.metric("push_gateway_delivery_seconds_count")
    bob = await plane.client(gateway, "bob")
    await bob.send(type="resume", channels={"user:bob": {"epoch": bob.welcome["inbox"]["epoch"], "seq": 0}})
    await bob.expect("message", replayed=True)
    assert gateway.metric("push_gateway_delivery_seconds_count") == counted


async def test_error_frames_are_counted_by_code_and_unavailable_is_there_from_the_start(plane: Plane) -> None:
    gateway = await plane.gateway()
    assert gateway.process.registry.get_sample_value("push_gateway_errors_total", {"code": "unavailable"}) == 0
    assert gateway.process.registry.get_sample_value("push_gateway_refused_total", {"status": "503"}) == 0
    ann = await plane.client(gateway, "ann")
    await ann.send(type="dance", id="1")
    await ann.expect("error", id="1")
    assert gateway.metric("push_gateway_errors_total", code="unknown_type") == 1


async def test_a_question_over_the_bus_is_counted_by_its_subject(plane: Plane, message: InProcess) -> None:
    gateway = await plane.gateway()
    await plane.client(gateway, "ann")
    asked = {"question": "svc.message.memberships"}
    await eventually(lambda: message.metric("push_questions_total", outcome="done", **asked))
    assert message.metric("push_question_seconds_count", **asked) >= 1


async def test_nothing_that_a_client_says_becomes_a_label(plane: Plane, message: InProcess) -> None:
    gateway = await plane.gateway()
    ann = await plane.client(gateway, "ann-the-user")
    await ann.send(type="send_message", id="1", recipient_id="bob-the-user", content="hi")
    await ann.expect("ack")
    await ann.send(type="x-ann-the-user", id="2")
    await ann.expect("error")
    await eventually(lambda: message.metric("push_consumer_handled_total", stream="LOG_0") == 2)
    for process in (gateway, message):
        labels = {
            value for family in process.process.registry.collect() for one in family.samples
            for value in one.labels.values()
        }  # fmt: skip
        assert not [value for value in labels if "-the-user" in value]


async def test_a_process_says_by_a_number_what_it_waits_for(
    plane: Plane, message: InProcess, operators_nats_server: Nats, http: ClientSession, tmp_path: Path
) -> None:
    async with own_process("gateway", plane.gateway_environ(), tmp_path / "gateway.log") as gateway:

        async def told() -> dict[str, float]:
            async with http.get(f"{gateway.admin_url}/metrics") as answer:
                lines = [
                    line.rpartition(" ") for line in (await answer.text()).splitlines() if not line.startswith("#")
                ]
                return {name: float(value) for name, _, value in lines}

        await gateway.ready(http)
        ready = await told()
        assert ready["push_ready"] == 1
        assert ready["process_resident_memory_bytes"] > 0
        assert {name: value for name, value in ready.items() if name.startswith("push_waiting")} == {
            f'push_waiting{{check="{check}"}}': 0
            for check in ("drain", "keys", "log", "nats", "presence", "revocations", "start")
        }
        await operators_nats_server.kill()

        async def lost() -> bool:
            now = await told()
            return now["push_ready"] == 0 and now['push_waiting{check="nats"}'] == 1

        await eventually(lost)
        await operators_nats_server.start()
        await gateway.ready(http)
        await message.ready()
