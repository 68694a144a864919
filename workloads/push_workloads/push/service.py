"""The push service put together."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from push_workloads.common.bus import connected
from push_workloads.common.cache import cache
from push_workloads.common.config import SqliteConfig, StoreConfig
from push_workloads.common.consumer import Consumer
from push_workloads.common.credentials import Credentialed
from push_workloads.common.erasing import Erasing
from push_workloads.common.fetching import fetching
from push_workloads.common.following import Following
from push_workloads.common.http import application, serving
from push_workloads.common.measures import Consumed
from push_workloads.common.revocations import Unrevoked
from push_workloads.common.revoking import Revoked
from push_workloads.common.service import Process
from push_workloads.common.tasks import beside
from push_workloads.common.tokens import Tokens
from push_workloads.push.api import routes
from push_workloads.push.books.ports import Books
from push_workloads.push.books.sqlite import sqlite_books
from push_workloads.push.cancels import Cancels
from push_workloads.push.config import PushConfig
from push_workloads.push.deliveries import MemoryDeliveries
from push_workloads.push.office import PushOffice
from push_workloads.push.outbox import Outbox
from push_workloads.push.requests_api import push_routes
from push_workloads.push.sqlite import sqlite_devices
from push_workloads.push.store import DeviceStore
from push_workloads.push.templates_api import template_routes
from push_workloads.push.worker import SOURCE, PushMetrics, Worker

BOOKS_FILE: Final = "pushes.db"  # beside the file of devices
parse = PushConfig.parse


@asynccontextmanager
async def serve(config: PushConfig, process: Process) -> AsyncIterator[None]:
    """Takes registrations at once, and jobs as soon as the queue is there."""
    stores = _store(config.store, process), _books(config.store, process)
    async with stores[0] as store, stores[1] as books, cache(config.redis) as redis:
        revoked = Revoked(redis)
        process.checks["revocations"] = revoked.waiting
        tokens = Tokens(config.tokens)
        process.checks["keys"] = tokens.waiting
        credentials = Following(redis)
        verifier = Credentialed(Unrevoked(tokens, revoked.known), credentials.known)
        outbox = Outbox()
        office = PushOffice(books, outbox, Cancels(redis), MemoryDeliveries(), _now_ms, secrets.token_bytes)
        api = [*routes(store, _now_ms), *template_routes(books), *push_routes(office)]
        app = application("push", api, verifier, config.common.origins, process.registry)
        process.checks["nats"] = lambda: "not connected to NATS"
        public = serving(app, config.common.public)
        erasing = Erasing(redis, partial(_forget, store))
        heard, keys = beside(revoked.run(), credentials.run(), erasing.run()), fetching(tokens.sources)
        async with heard, keys, public, connected(config.nats, "push") as bus:
            outbox.open(bus)
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


def _books(config: StoreConfig, process: Process) -> AbstractAsyncContextManager[Books]:
    if isinstance(config, SqliteConfig):
        return sqlite_books(str(Path(config.path).with_name(BOOKS_FILE)))
    from push_workloads.push.books.cassandra import cassandra_books

    return cassandra_books(config, process.checks)


def _now_ms() -> int:
    return int(time.time() * 1000)
