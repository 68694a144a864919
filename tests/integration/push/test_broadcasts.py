"""A broadcast on a real queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

import prometheus_client
import pytest
from tests.support.pushing import Stage, now_ms, opened_outbox, stage
from tests.support.servers import Nats, Valkey
from tests.support.waiting import eventually

from push_workloads.common import push_jobs
from push_workloads.push import sends
from push_workloads.push.broadcast import model
from push_workloads.push.broadcast.audience import Audience, TopicRightsOnTheBus
from push_workloads.push.broadcast.memory import MemoryBroadcasts
from push_workloads.push.broadcast.model import NewBroadcast
from push_workloads.push.broadcast.runner import MAX_BEHIND, BroadcastMetrics, RedisLease, Runner, RunnerPorts
from push_workloads.push.broadcast.segments import Segment
from push_workloads.push.broadcast.tally import Tally
from push_workloads.push.carrier import MemoryCarrier
from push_workloads.push.notification import Notification, Show
from push_workloads.push.outbox import Entry
from push_workloads.push.rendering import Plain
from push_workloads.push.sends import Send


@pytest.fixture
async def pipe(operators_nats_server: Nats, valkey_server: Valkey) -> AsyncIterator[Stage]:
    async with stage(operators_nats_server, valkey_server) as made:
        yield made


def _runner(pipe: Stage, store: MemoryBroadcasts) -> Runner:
    ports = RunnerPorts(
        store, Audience(pipe.devices, store, TopicRightsOnTheBus(time.monotonic)), pipe.preferences, pipe.deliveries,
        Tally(pipe.deliveries, time.monotonic), opened_outbox(pipe.bus), pipe.ports.cancels, Plain(),
        partial(RedisLease, pipe.redis), pipe.carriers.keys(), now_ms,
    )  # fmt: skip
    return Runner(ports, BroadcastMetrics(prometheus_client.CollectorRegistry()))


async def test_what_waits_for_a_provider_that_was_given_up_holds_up_no_broadcast(pipe: Stage) -> None:
    """FCM was in the manifest and is not any more: its consumer is there, and nobody works it off."""

    async def is_there() -> bool:
        consumer = f"{push_jobs.STREAM}.{sends.CONSUMER.format(platform='fcm')}"
        return "config" in await pipe.bus.ask(f"$JS.API.CONSUMER.INFO.{consumer}")

    async with pipe.working():
        await eventually(is_there)
    told = Notification("m1", Show.ALERT, now_ms() // 1000 + 60, "old")
    old = [Send(f"user {number}", "phone", "fcm", told) for number in range(MAX_BEHIND)]
    await opened_outbox(pipe.bus).put(Entry(sends.subject(one), sends.encode(one), sends.send_id(one)) for one in old)

    carrier, store = MemoryCarrier(), MemoryBroadcasts()
    pipe.carriers = {"webpush": carrier}
    await pipe.device("ann", "laptop", "webpush")
    made = model.broadcast_of(NewBroadcast(title="News", segment=Segment()), now_ms(), bytes(10))
    await store.add(made)
    async with pipe.working():
        await asyncio.wait_for(_runner(pipe, store).work(made.broadcast_id), 20)
        await eventually(lambda: len(carrier.sent) == 1)
