"""The push service put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from push_workloads.common.bus import connected
from push_workloads.common.cache import cache
from push_workloads.common.config import SqliteConfig, StoreConfig
from push_workloads.common.erasing import Erasing
from push_workloads.common.fetching import fetching
from push_workloads.common.http import application, serving
from push_workloads.common.measures import Consumed
from push_workloads.common.revocations import Unrevoked
from push_workloads.common.revoking import Revoked
from push_workloads.common.service import Process
from push_workloads.common.tasks import beside
from push_workloads.common.tokens import Tokens
from push_workloads.push.api import routes
from push_workloads.push.carriers import carriers
from push_workloads.push.claims import RedisClaims
from push_workloads.push.config import PushConfig
from push_workloads.push.dead import JetStreamDeadLetters
from push_workloads.push.dead_api import DeadOffice
from push_workloads.push.facts import LiveFacts
from push_workloads.push.measures import PushMetrics
from push_workloads.push.ports import Ports
from push_workloads.push.queue import JetStreamQueue
from push_workloads.push.records import records
from push_workloads.push.rendering import Plain
from push_workloads.push.sqlite import sqlite_devices
from push_workloads.push.store import DeviceStore
from push_workloads.push.workers import waiting, workers

parse = PushConfig.parse


@asynccontextmanager
async def serve(config: PushConfig, process: Process) -> AsyncIterator[None]:
    """Takes registrations at once, and jobs as soon as the queue is there."""
    stores = _store(config.store, process), records(config.store, process)
    async with stores[0] as store, stores[1] as (deliveries, preferences), cache(config.redis) as redis:
        revoked = Revoked(redis)
        process.checks["revocations"] = revoked.waiting
        tokens = Tokens(config.tokens)
        process.checks["keys"] = tokens.waiting
        verifier = Unrevoked(tokens, revoked.known)
        office = DeadOffice(config.admin_token)
        process.admin_routes = office.routes()
        app = application("push", routes(store, _now_ms), verifier, config.common.origins, process.registry)
        process.checks["nats"] = lambda: "not connected to NATS"
        public = serving(app, config.common.public)
        erasing = Erasing(redis, partial(_forget, store))
        heard, keys = beside(revoked.run(), erasing.run()), fetching(tokens.sources)
        async with heard, keys, public, carriers(config) as carried, connected(config.nats, "push") as bus:
            dead, queue = JetStreamDeadLetters(bus), JetStreamQueue(bus.client)
            office.open(dead)
            facts, metrics = LiveFacts(redis, bus, config.per_user_per_minute), PushMetrics(process.registry)
            claims = RedisClaims(redis)
            ports = Ports(store, facts, preferences, deliveries, claims, queue, metrics, _now_ms)
            consumed = Consumed(process.registry)
            consumers = workers(bus, ports, dead, Plain(), carried, config.hold_off_seconds, consumed)
            process.checks |= {"nats": bus.waiting, "queue": partial(waiting, consumers)}
            async with beside(*(consumer.run() for consumer in consumers)):
                yield


async def _forget(store: DeviceStore, user_id: str) -> None:
    """All devices of somebody whose account has ended: nothing more is sent to them."""
    for device in await store.of_user(user_id):
        await store.remove(user_id, device.device_id)


def _store(config: StoreConfig, process: Process) -> AbstractAsyncContextManager[DeviceStore]:
    if isinstance(config, SqliteConfig):
        return sqlite_devices(config.path)
    # Here: its driver costs memory and start-up time, and brings threads.
    from push_workloads.push.cassandra import cassandra_devices

    return cassandra_devices(config, process.checks)


def _now_ms() -> int:
    return int(time.time() * 1000)
