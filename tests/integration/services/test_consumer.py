"""The durable consumer against a real stream: one message that cannot be handled stops nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats
from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry
from tests.support.servers import Nats
from tests.support.waiting import eventually

from push_workloads.common.consumer import Consumer, Source
from push_workloads.common.errors import Unavailable
from push_workloads.common.flow import Flow
from push_workloads.common.measures import Consumed
from push_workloads.common.tasks import beside


async def test_a_poisonous_message_stays_and_the_others_are_handled(nats_server: Nats) -> None:
    async with await nats.connect(nats_server.url) as client:
        js = client.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        for word in (b"one", b"poison", b"two", b"three"):
            await js.publish("s.x", word)
        handled: list[bytes] = []

        async def handle(batch: Sequence[Msg]) -> None:
            if any(message.data == b"poison" for message in batch):
                raise RecursionError
            handled.extend(message.data for message in batch)
            for message in batch:
                await message.ack()

        registry = CollectorRegistry()
        consumer = Consumer(client, Source("S", "s.>", "d", batch=10), handle, Consumed(registry))
        async with beside(consumer.run()):
            await eventually(lambda: len(handled) == 3)
            await js.publish("s.x", b"four")
            await eventually(lambda: handled == [b"one", b"two", b"three", b"four"])
            assert consumer.waiting() is None
        assert (await js.consumer_info("S", "d")).num_ack_pending == 1
        assert registry.get_sample_value("push_consumer_handled_total", {"stream": "S"}) == 4
        assert registry.get_sample_value("push_consumer_failed_total", {"stream": "S"}) == 1
        assert registry.get_sample_value("push_consumer_redelivered_total", {"stream": "S"}) == 0


async def test_a_batch_that_fails_whole_is_counted_as_failed_and_then_as_come_again(nats_server: Nats) -> None:
    async with await nats.connect(nats_server.url) as client:
        js = client.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        for word in (b"one", b"two", b"three"):
            await js.publish("s.x", word)
        away = [True]

        async def handle(batch: Sequence[Msg]) -> None:
            if away:
                away.clear()
                for message in batch:
                    await message.nak()
                raise Unavailable("the store is away")
            for message in batch:
                await message.ack()

        registry = CollectorRegistry()

        def count(what: str) -> float | None:
            return registry.get_sample_value(f"push_consumer_{what}", {"stream": "S"})

        consumer = Consumer(client, Source("S", "s.>", "d", batch=2), handle, Consumed(registry))
        assert (count("handled_total"), count("failed_total")) == (0, 0)
        async with beside(consumer.run()):
            await eventually(lambda: count("handled_total") == 3)
        assert (count("failed_total"), count("redelivered_total"), count("pending")) == (2, 2, 0)


async def test_in_a_flow_who_is_slow_keeps_one_place_and_ends_with_it(nats_server: Nats) -> None:
    async with await nats.connect(nats_server.url) as client:
        js = client.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        handled, slow, ended = set[bytes](), asyncio.Event(), asyncio.Event()

        async def handle(batch: Sequence[Msg]) -> None:
            (message,) = batch
            if message.data == b"slow":
                slow.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.set()
            handled.add(message.data)
            await message.ack()

        registry = CollectorRegistry()
        flow = Flow(client, Source("S", "s.>", "d", batch=4), handle, Consumed(registry), places=8)
        async with beside(flow.run()):
            await js.publish("s.x", b"slow")
            await slow.wait()
            for number in range(40):
                await js.publish("s.x", b"%d" % number)
            await eventually(lambda: len(handled) == 40)
            assert not ended.is_set()
            assert registry.get_sample_value("push_consumer_handled_total", {"stream": "S"}) == 40
        assert ended.is_set()


async def test_a_flow_takes_no_more_than_it_has_places(nats_server: Nats) -> None:
    async with await nats.connect(nats_server.url) as client:
        js = client.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        for number in range(30):
            await js.publish("s.x", b"%d" % number)
        begun, most, go_on = 0, 0, asyncio.Semaphore(0)

        async def handle(batch: Sequence[Msg]) -> None:
            nonlocal begun, most
            begun += 1
            most = max(most, begun)
            await go_on.acquire()
            begun -= 1
            await batch[0].ack()

        flow = Flow(client, Source("S", "s.>", "d", batch=4), handle, Consumed(CollectorRegistry()), places=8)

        async def left() -> int:
            info = await js.consumer_info("S", "d")
            return (info.num_pending or 0) + (info.num_ack_pending or 0)

        async with beside(flow.run()):
            await eventually(lambda: begun == 8)
            for _ in range(30):
                go_on.release()
            while await left():
                pass
        assert most == 8


async def test_a_flow_pauses_when_all_fail(nats_server: Nats) -> None:
    async with await nats.connect(nats_server.url) as client:
        js = client.jetstream()
        await js.add_stream(name="S", subjects=["s.>"])
        for number in range(4):
            await js.publish("s.x", b"%d" % number)
        asked, handled = 0, 0

        async def handle(batch: Sequence[Msg]) -> None:
            nonlocal asked, handled
            asked += 1
            if asked <= 4:
                await batch[0].nak()
                raise Unavailable("the store is away")
            handled += 1
            await batch[0].ack()

        registry = CollectorRegistry()
        flow = Flow(client, Source("S", "s.>", "d", batch=4), handle, Consumed(registry), places=4)
        async with beside(flow.run()):
            await eventually(lambda: handled == 4)
        assert registry.get_sample_value("push_consumer_redelivered_total", {"stream": "S"}) == 4
