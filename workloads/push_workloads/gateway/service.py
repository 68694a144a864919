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
        _follow(bus, client, gateway, process)
        process.background(presence.run(), "presence")
        process.background(cursors.run(), "cursors")
        process.background(gateway.tick(), "tick")
        try:
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


def _follow(bus: Bus, client: DirectClient, gateway: Gateway, process: Process) -> None:
    """Keeps the log's epoch known, and looks after every channel when the connection was away."""
    look = asyncio.Event()
    look.set()

    def lost() -> None:
        client.drop_unsent()
        gateway.log.forget_unanswered()
        gateway.bus_lost()

    async def follow() -> None:
        back = False
        while True:
            pause = EPOCH_CHECK_SECONDS
            if look.is_set():
                look.clear()
                back = True
            try:
                epoch = await gateway.log.epoch()
                if epoch is not None:
                    gateway.hub.set_epoch(epoch)
                    if back:
                        await gateway.hub.recheck()
                        back = False
                else:
                    pause = 0.2
            except Unavailable:
                pause = random.uniform(0.2, 1.0)  # noqa: S311 - spreads retries
            await _wait(look, pause)

    bus.on_lost(lost)
    bus.on_back(look.set)
    process.background(follow(), "epoch")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
