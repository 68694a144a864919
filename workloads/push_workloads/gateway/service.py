"""The gateway put together."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from push_workloads.common import announcements
from push_workloads.common.announcements import Announcer
from push_workloads.common.bus import Bus, DirectClient, connected
from push_workloads.common.cache import cache
from push_workloads.common.collector import tracing
from push_workloads.common.errors import Unavailable
from push_workloads.common.fetching import fetching
from push_workloads.common.revocations import Unrevoked
from push_workloads.common.revoking import Revoked
from push_workloads.common.service import Process
from push_workloads.common.tasks import Spawner, beside, wait
from push_workloads.common.tokens import Tokens
from push_workloads.gateway.admin import Admin
from push_workloads.gateway.config import GatewayConfig
from push_workloads.gateway.cursors import CursorWriter
from push_workloads.gateway.departures import Departures
from push_workloads.gateway.devices import Devices
from push_workloads.gateway.gateway import Gateway
from push_workloads.gateway.handshake import Door
from push_workloads.gateway.hub import Hub
from push_workloads.gateway.log import Log
from push_workloads.gateway.metrics import GatewayCollector
from push_workloads.gateway.presence import PresenceWriter
from push_workloads.gateway.receipts import ReceiptWriter
from push_workloads.gateway.rights import Rights
from push_workloads.gateway.server import accepting, new_who
from push_workloads.gateway.sse import streaming
from push_workloads.gateway.stats import Stats
from push_workloads.gateway.traces import Traces
from push_workloads.gateway.watching import Watching

EPOCH_CHECK_SECONDS = 30.0
NO_LOG_SECONDS = 0.2
_log = logging.getLogger(__name__)
parse = GatewayConfig.parse


@asynccontextmanager
async def serve(config: GatewayConfig, process: Process) -> AsyncIterator[None]:
    """Connects to the log and to Redis, then accepts; on the way out sends everyone away, closes."""
    traced = tracing(config.tracing, "gateway", config.common.instance)
    async with traced as tracer, cache(config.redis) as redis:
        client, spawner = DirectClient(), Spawner()
        instance = secrets.token_hex(8)
        log = Log(client, config.nats.shards, instance)
        hub = Hub(client, log, spawner, config.nats.shards)
        announcer, cursors = Announcer(client), CursorWriter(redis)
        presence = PresenceWriter(redis, config.common.instance, config.grace_ms, announcer.announce)
        devices = Devices(redis, cursors, client, spawner, instance)
        rights, receipts = Rights(client, spawner), ReceiptWriter(client)
        watching = Watching(redis, rights, spawner, lambda user_id: gateway.sockets_of(user_id))
        traces = Traces(tracer, config.tracing) if tracer is not None else None
        revoked = Revoked(redis, lambda one: gateway.revoked(one))
        tokens = Tokens(config.tokens)
        unrevoked = Unrevoked(tokens, revoked.known)
        gateway = Gateway(
            config, hub, log, presence, cursors, devices, rights, receipts, spawner, unrevoked, watching, traces
        )
        door = Door(unrevoked, config.common.origins, _full(gateway, process), new_who)
        process.registry.register(GatewayCollector(gateway, door))
        process.checks |= {"nats": lambda: None if client.is_connected else "not connected to NATS"}
        process.checks |= {"log": log.waiting, "presence": presence.waiting, "revocations": revoked.waiting}
        process.checks["keys"] = tokens.waiting
        process.checks |= {"drain": lambda: "draining" if gateway.draining else None}
        departures = Departures(gateway)
        stats = Stats(gateway, door, departures, lambda: client.is_connected)
        process.admin_routes = Admin(departures, stats, config.admin_token).routes()
        client.deliver = _dispatch(hub, log, watching, traces)
        async with connected(config.nats, "gateway", client, config.common.instance) as bus:
            log.open()
            await devices.listen(gateway.displace)
            await rights.listen(gateway.topics_changed, watching.rights_changed)
            client.watch(announcements.ALL)
            bus.on_back(announcer.back)
            bus.on_back(watching.back)
            writers = (presence.run(gateway.sessions, gateway.end), cursors.run(), devices.run(), receipts.run())
            try:
                followers = (gateway.groups.run(), gateway.tick(), hub.patrol(), _follow(bus, gateway), revoked.run())
                pace = (gateway.ingress.run(), departures.run(), watching.run())
                streams = streaming(gateway, door, config.sse, config.common.origins)
                sockets = accepting(gateway, door, config.common.public)
                work = beside(*writers, *followers, *pace)
                async with work, fetching(tokens.sources), streams as for_streams, sockets as for_sockets:
                    await departures.look_after(for_streams, for_sockets)
                    yield
                    await departures.stop()
            finally:
                await spawner.close()
                await devices.flush()
                await cursors.flush()
                await receipts.flush()
                await presence.close()


def _dispatch(hub: Hub, log: Log, watching: Watching, traces: Traces | None) -> Callable[[bytes, bytes, bytes], None]:
    """Deliveries, what is not stored, presence, and answers to publishes come by one callback: told apart by the first
    letter."""
    delivery = hub.arrived if traces is None else traces.delivering(hub)

    def arrived(subject: bytes, payload: bytes, headers: bytes) -> None:
        if subject[:1] == b"d":
            delivery(subject, payload, headers)
        elif subject[:1] == b"e":
            hub.passed_by(subject, payload)
        elif subject[:1] == b"p":
            watching.announced(payload)
        else:
            log.answered(subject, payload, headers)

    return arrived


def _full(gateway: Gateway, process: Process) -> Callable[[], str | None]:
    def full() -> str | None:
        if gateway.draining or process.stopping.is_set():
            return "this gateway is going away: connect again"
        if len(gateway.clients) >= gateway.config.max_connections:
            return "this gateway is full: connect again"
        if reason := gateway.ingress.full():
            return reason
        if process.waiting_for().keys() - {"presence"}:  # messages flow without presence
            return "this gateway is not ready: connect again"
        return None

    return full


async def _follow(bus: Bus, gateway: Gateway) -> None:
    """Keeps the log's epoch known, and looks after every channel when the connection was away."""
    back = asyncio.Event()

    def lost() -> None:
        gateway.log.lost()
        gateway.bus_lost()

    bus.on_lost(lost)
    bus.on_back(back.set)
    missed = False
    while True:
        missed = missed or back.is_set()
        back.clear()
        pause = await _look(gateway, missed)
        missed = missed and pause != EPOCH_CHECK_SECONDS
        await wait(back, pause)


async def _look(gateway: Gateway, missed: bool) -> float:
    """Reads the log's state, and every channel's head and every device's newest connection when something may have been
    missed. Seconds until the next look."""
    try:
        for shard in range(gateway.config.nats.shards):
            state = await gateway.log.state(shard)
            if state is None:
                return NO_LOG_SECONDS
            gateway.hub.set_state(shard, state)
        if missed:
            await gateway.hub.recheck()
            gateway.topics_changed()  # a word of it may have been missed
            gateway.spawner.spawn(gateway.devices.verify(gateway.connections, gateway.displace))
    except Unavailable:
        return random.uniform(NO_LOG_SECONDS, 1.0)  # noqa: S311 - spreads retries
    return EPOCH_CHECK_SECONDS
