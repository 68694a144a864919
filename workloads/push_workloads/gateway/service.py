"""The gateway put together."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from push_workloads.common.bus import Bus, DirectClient, connected
from push_workloads.common.cache import cache
from push_workloads.common.errors import Unavailable
from push_workloads.common.service import Process
from push_workloads.common.tasks import beside, wait
from push_workloads.common.tokens import Tokens
from push_workloads.gateway.config import GatewayConfig
from push_workloads.gateway.cursors import CursorWriter
from push_workloads.gateway.handshake import Door
from push_workloads.gateway.hub import Hub
from push_workloads.gateway.log import Log
from push_workloads.gateway.metrics import GatewayCollector
from push_workloads.gateway.presence import PresenceWriter
from push_workloads.gateway.server import Gateway, accepting, new_who

EPOCH_CHECK_SECONDS = 30.0
NO_LOG_SECONDS = 0.2
_log = logging.getLogger(__name__)
parse = GatewayConfig.parse


@asynccontextmanager
async def serve(config: GatewayConfig, process: Process) -> AsyncIterator[None]:
    """Connects to the log and to Redis, then accepts; on the way out stops accepting, sends everyone away, closes."""
    client = DirectClient(lambda subject, payload, headers: arrived(subject, payload, headers))
    process.checks["nats"] = lambda: None if client.is_connected else "not connected to NATS"
    process.checks["log"] = lambda: None if hub is not None and hub.epoch else "waiting for the log"
    hub: Hub | None = None
    async with connected(config.nats, "gateway", client) as bus, cache(config.redis) as redis:
        log = Log(bus, client, config.nats.shards, secrets.token_hex(8))
        presence = PresenceWriter(redis, config.common.instance, lambda: gateway.sessions())
        cursors = CursorWriter(redis)
        hub = Hub(client, log, lambda work: gateway.spawn(work))
        gateway = Gateway(config, hub, log, presence, cursors)
        arrived = _dispatch(hub, log)
        door = Door(Tokens(config.tokens), config.common.origins, _full(gateway, process), new_who)
        process.registry.register(GatewayCollector(gateway, door))
        process.checks["presence"] = presence.waiting
        log.open()
        work = (presence.run(), cursors.run(), gateway.tick(), _follow(bus, client, gateway))
        try:
            async with beside(*work):
                async with accepting(gateway, door, config.common.public):
                    yield
                await gateway.drain()
        finally:
            await gateway.close()
            await cursors.flush()
            await presence.close()


def _dispatch(hub: Hub, log: Log) -> Callable[[bytes, bytes, bytes], None]:
    """Deliveries and answers to publishes come by the same callback; the first letter tells them apart."""

    def arrived(subject: bytes, payload: bytes, headers: bytes) -> None:
        if subject[:1] == b"d":
            hub.arrived(subject, payload, headers)
        else:
            log.answered(subject, payload)

    return arrived


def _full(gateway: Gateway, process: Process) -> Callable[[], str | None]:
    def full() -> str | None:
        if gateway.draining or process.stopping.is_set():
            return "this gateway is going away: connect again"
        if len(gateway.sockets) >= gateway.config.max_connections:
            return "this gateway is full: connect again"
        if process.waiting_for().keys() - {"presence"}:  # messages flow without presence
            return "this gateway is not ready: connect again"
        return None

    return full


async def _follow(bus: Bus, client: DirectClient, gateway: Gateway) -> None:
    """Keeps the log's epoch known, and looks after every channel when the connection was away."""
    back = asyncio.Event()

    def lost() -> None:
        client.drop_unsent()
        gateway.log.forget_unanswered()
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
    """Reads the epoch, and every channel's head when something may have been missed. Seconds until the next look."""
    try:
        epoch = await gateway.log.epoch()
        if epoch is None:
            return NO_LOG_SECONDS
        gateway.hub.set_epoch(epoch)
        if missed:
            await gateway.hub.recheck()
    except Unavailable:
        return random.uniform(NO_LOG_SECONDS, 1.0)  # noqa: S311 - spreads retries
    return EPOCH_CHECK_SECONDS
