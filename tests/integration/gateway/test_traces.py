"""One trace from a client's frame to the socket that got it, over two gateways and a real log, at a real collector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from tests.support.chat import Plane, data_plane
from tests.support.collector import Collector, collecting
from tests.support.servers import Nats, Valkey
from tests.support.services import InProcess
from tests.support.waiting import eventually

DEDUP = "a-random-key-of-20-c"


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made


@pytest.fixture
async def plane(operators_nats_server: Nats, valkey_server: Valkey, tmp_path: Path) -> AsyncIterator[Plane]:
    async with data_plane(operators_nats_server, valkey_server, tmp_path) as made:
        yield made


async def _gateway(plane: Plane, collector: Collector, name: str, ratio: str = "1") -> InProcess:
    return await plane.gateway(TRACING_ENDPOINT=collector.url, TRACING_RATIO=ratio, INSTANCE=name)


async def test_a_message_is_one_trace_from_its_frame_to_the_socket(plane: Plane, collector: Collector) -> None:
    await plane.message(TRACING_ENDPOINT=collector.url, TRACING_RATIO="1", INSTANCE="history")
    here, there = await _gateway(plane, collector, "here"), await _gateway(plane, collector, "there")
    ann, bob = await plane.client(here, "ann"), await plane.client(there, "bob")

    await ann.send(type="send_message", recipient_id="bob", content="hi")
    ack = await ann.expect("ack")
    await bob.expect("message", message_id=ack["message_id"])

    # A frame, two copies into the log, each of them out of it to a gateway and to history.
    await eventually(lambda: len(collector.spans) == 7)
    assert len({one.trace for one in collector.spans}) == 1
    (root,) = collector.named("send")
    assert (root.service, root.instance, root.parent, root.failure) == ("push-gateway", "here", "", "")
    assert root.start_ns == ack["sent_at"] * 1_000_000
    assert root.attributes == {
        "messaging.system": "nats", "messaging.message.id": ack["message_id"], "push.channel": "u",
    }  # fmt: skip
    copies = collector.named("log publish")
    assert [one.parent for one in copies] == [root.span] * 2
    assert {one.instance for one in copies} == {"here"}
    deliveries = {one.instance: one for one in collector.named("deliver")}
    assert {one.parent for one in deliveries.values()} == {one.span for one in copies}
    assert deliveries.keys() == {"here", "there"}
    assert deliveries["there"].attributes == {"push.sockets": "1", "push.held": "0"}
    assert {one.parent for one in collector.named("history write")} == {one.span for one in copies}
    assert {one.instance for one in collector.named("history write")} == {"history"}
    assert root.start_ns <= deliveries["there"].start_ns <= deliveries["there"].end_ns
    assert not any("ann" in text or "bob" in text for one in collector.spans for text in one.attributes.values())


async def test_a_gateway_that_traces_nothing_itself_goes_on_with_what_others_have_begun(
    plane: Plane, collector: Collector
) -> None:
    await plane.message()
    here, there = await _gateway(plane, collector, "here"), await _gateway(plane, collector, "there", ratio="0")
    ann, bob = await plane.client(here, "ann"), await plane.client(there, "bob")
    await bob.send(type="send_message", recipient_id="ann", content="of no trace")
    await ann.expect("message")
    await ann.send(type="send_message", recipient_id="bob", content="of one")
    await bob.expect("message")
    await eventually(lambda: [one.instance for one in collector.named("deliver")].count("there") == 1)
    assert len({one.trace for one in collector.spans}) == 1


async def test_without_an_endpoint_no_header_goes_into_the_log(plane: Plane, operators_nats_server: Nats) -> None:
    await plane.message()
    ann = await plane.client(await plane.gateway(), "ann")
    await ann.send(type="send_message", recipient_id="ann", content="hi")
    ack = await ann.expect("ack")
    login = operators_nats_server.environ_of("message")
    user, password = login["NATS_USER"], login["NATS_PASSWORD"]
    async with await nats.connect(
        login["NATS_URL"], user=user, password=password, inbox_prefix=b"_INBOX_message"
    ) as bus:
        headers = (await bus.jetstream().get_msg("LOG_0", seq=ack["seq"])).headers
    assert headers is not None
    assert "traceparent" not in headers


async def test_what_the_log_does_not_take_ends_as_a_failure(
    plane: Plane, collector: Collector, operators_nats_server: Nats
) -> None:
    await plane.message()
    gateway = await _gateway(plane, collector, "here")
    ann = await plane.client(gateway, "ann")
    operators_nats_server.pause()
    await ann.send(type="send_message", id="1", recipient_id="bob", content="hi")
    await eventually(lambda: gateway.metric("push_gateway_publishes_in_flight") == 1)
    await operators_nats_server.kill()
    await ann.expect("error", id="1", code="unavailable", within=20)
    await operators_nats_server.start()
    await gateway.ready()
    await eventually(lambda: len(collector.named("send")) == 1)
    (root,) = collector.named("send")
    assert root.failure == "the log is away"
