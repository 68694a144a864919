"""The push service put together."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from push_workloads.common.bus import connected
from push_workloads.common.cache import cache
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
from push_workloads.push.broadcast.api import admin_routes, broadcast_routes
from push_workloads.push.broadcast.audience import Audience, TopicRightsOnTheBus
from push_workloads.push.broadcast.desk import BroadcastDesk
from push_workloads.push.broadcast.runner import BroadcastMetrics, RedisLease, Runner, RunnerPorts
from push_workloads.push.broadcast.tally import Tally
from push_workloads.push.broadcast.topics_api import topic_routes, unfollow_all
from push_workloads.push.cancels import RedisCancels
from push_workloads.push.carriers import carriers
from push_workloads.push.claims import RedisClaims
from push_workloads.push.config import PushConfig
from push_workloads.push.dead import JetStreamDeadLetters
from push_workloads.push.dead_api import DeadOffice
from push_workloads.push.delivery_api import delivery_route
from push_workloads.push.facts import LiveFacts
from push_workloads.push.measures import PushMetrics
from push_workloads.push.office import PushOffice
from push_workloads.push.outbox import JetStreamOutbox
from push_workloads.push.ports import Ports
from push_workloads.push.preference_api import preference_routes
from push_workloads.push.queue import Queue
from push_workloads.push.rendering import Plain
from push_workloads.push.requests_api import push_routes
from push_workloads.push.stores import Stores, stores
from push_workloads.push.templated import TemplateBook, Templated
from push_workloads.push.templates_api import template_routes
from push_workloads.push.webpush.api import key_routes
from push_workloads.push.workers import waiting, workers

parse = PushConfig.parse


@asynccontextmanager
async def serve(config: PushConfig, process: Process) -> AsyncIterator[None]:
    """Takes registrations at once, and jobs as soon as the queue is there."""
    async with (
        stores(config.store, process, _now_ms) as kept,
        cache(config.redis) as redis,
        carriers(config) as carried,
    ):
        revoked = Revoked(redis)
        process.checks["revocations"] = revoked.waiting
        tokens = Tokens(config.tokens)
        process.checks["keys"] = tokens.waiting
        credentials = Following(redis)
        verifier = Credentialed(Unrevoked(tokens, revoked.known), credentials.known)
        outbox, cancels = JetStreamOutbox(), RedisCancels(redis)
        office = PushOffice(kept.books, outbox, cancels, kept.deliveries, _now_ms, secrets.token_bytes)
        tally, topics = Tally(kept.deliveries, time.monotonic), TopicRightsOnTheBus(time.monotonic)
        desk = BroadcastDesk(kept.broadcasts, kept.books, tally, outbox, cancels, _now_ms, secrets.token_bytes)
        book = TemplateBook(kept.books)
        renderer, letters = Templated(Plain(), book, _now_ms), DeadOffice(config.admin_token)
        runner = Runner(
            RunnerPorts(
                kept.broadcasts, Audience(kept.devices, kept.broadcasts, topics), kept.preferences, kept.deliveries,
                tally, outbox, cancels, renderer, partial(RedisLease, redis), carried.keys(), _now_ms,
            ),
            BroadcastMetrics(process.registry),
        )  # fmt: skip
        process.admin_routes = {**admin_routes(desk, config.admin_token), **letters.routes()}
        api = [
            *routes(kept.devices, _now_ms),
            *preference_routes(kept.preferences, _now_ms),
            delivery_route(kept.deliveries),
            *key_routes(config.webpush.public_key if config.webpush else None),
            *template_routes(kept.books),
            *topic_routes(kept.broadcasts, topics),
            *push_routes(office),
            *broadcast_routes(desk),
        ]
        app = application("push", api, verifier, config.common.origins, process.registry)
        process.checks["nats"] = lambda: "not connected to NATS"
        public = serving(app, config.common.public)
        erasing = Erasing(redis, partial(_forget, kept))
        heard, keys = beside(revoked.run(), erasing.run(), credentials.run()), fetching(tokens.sources)
        metrics, consumed = PushMetrics(process.registry), Consumed(process.registry)
        async with heard, keys, public, connected(config.nats, "push") as bus:
            dead = JetStreamDeadLetters(bus)
            outbox.open(bus)
            topics.open(bus)
            letters.open(dead)
            ports = Ports(
                kept.devices, LiveFacts(redis, bus, config.per_user_per_minute), kept.preferences, kept.deliveries,
                RedisClaims(redis), Queue(outbox), cancels, metrics, _now_ms,
            )  # fmt: skip
            consumers = workers(bus, ports, dead, renderer, carried, config.hold_off_seconds, consumed)
            process.checks |= {"nats": bus.waiting, "queue": partial(waiting, consumers)}
            async with beside(*(one.run() for one in consumers), book.run(), runner.run()):
                yield


async def _forget(kept: Stores, user_id: str) -> None:
    """What is kept of somebody whose account has ended: nothing more is sent to them. Deliveries are kept by message
    and name nobody but by id: they end by themselves, KEEP_DAYS after they were written."""
    for device in await kept.devices.of_user(user_id):
        await kept.devices.remove(user_id, device.device_id)
    await kept.preferences.forget(user_id)
    await unfollow_all(kept.broadcasts, user_id)


def _now_ms() -> int:
    return int(time.time() * 1000)
