"""The durable consumer against a real stream: one message that cannot be handled stops nobody else."""

from __future__ import annotations

from collections.abc import Sequence

import nats
from nats.aio.msg import Msg
from tests.support.servers import Nats
from tests.support.waiting import eventually

from push_workloads.common.consumer import Consumer, Source
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

        consumer = Consumer(client, Source("S", "s.>", "d", batch=10), handle)
        async with beside(consumer.run()):
            await eventually(lambda: len(handled) == 3)
            await js.publish("s.x", b"four")
            await eventually(lambda: handled == [b"one", b"two", b"three", b"four"])
            assert consumer.waiting() is None
        assert (await js.consumer_info("S", "d")).num_ack_pending == 1
