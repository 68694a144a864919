"""The push service put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from push_workloads.common.bus import connected
from push_workloads.common.cache import cache
from push_workloads.common.config import SqliteConfig, StoreConfig
from push_workloads.common.consumer import Consumer
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
from push_workloads.push.config import PushConfig
from push_workloads.push.sqlite import sqlite_devices
from push_workloads.push.store import DeviceStore
from push_workloads.push.webpush.api import key_routes
from push_workloads.push.worker import SOURCE, PushMetrics, Worker

parse = PushConfig.parse


@asynccontextmanager
async def serve(config: PushConfig, process: Process) -> AsyncIterator[None]:
    """Takes registrations at once, and jobs as soon as the queue is there."""
    async with _store(config.store, process) as store, cache(config.redis) as redis:
        revoked = Revoked(redis)
        process.checks["revocations"] = revoked.waiting
        tokens = Tokens(config.tokens)
        process.checks["keys"] = tokens.waiting
        verifier = Unrevoked(tokens, revoked.known)
        table = [*routes(store, _now_ms), *key_routes(config.webpush.public_key if config.webpush else None)]
        app = application("push", table, verifier, config.common.origins, process.registry)
        process.checks["nats"] = lambda: "not connected to NATS"
        public = serving(app, config.common.public)
        erasing = Erasing(redis, partial(_forget, store))
        heard, keys = beside(revoked.run(), erasing.run()), fetching(tokens.sources)
        async with heard, keys, public, connected(config.nats, "push") as bus:
            worker = Worker(store, PushMetrics(process.registry), _now_ms)
            consumer = Consumer(bus.client, SOURCE, worker.handle, Consumed(process.registry))
            process.checks |= {"nats": bus.waiting, "queue": consumer.waiting}
            async with beside(consumer.run()):
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
