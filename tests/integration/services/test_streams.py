"""The log and its epoch: who finds the log shorter than history, alone or with others, comes to the same new epoch."""

from __future__ import annotations

import asyncio

import nats
from nats.aio.client import Client
from tests.support.servers import Nats
from tests.support.services import NO_REDIS, environ_for

from push_workloads.common.bus import connected
from push_workloads.message.config import MessageConfig
from push_workloads.message.store import LogState, MemoryStore
from push_workloads.message.streams import ensure_log


async def test_replicas_agree_on_the_epoch_of_a_log_that_lost_its_end(operators_nats_server: Nats) -> None:
    environ = environ_for(SQLITE_PATH="unused", REDIS_URL=NO_REDIS, **operators_nats_server.environ_of("message"))
    config = MessageConfig.parse(environ | {"LOG_MAX_BYTES": str(64 * 1024**2)})
    store = MemoryStore()
    async with connected(config.nats, "message") as one, connected(config.nats, "message") as other:

        async def ensured() -> str:
            epochs = await asyncio.gather(*(ensure_log(bus, store, config, 0) for bus in (one, other, one, other)))
            assert len(set(epochs)) == 1
            return epochs[0]

        first = await ensured()
        assert await ensured() == first
        await store.append(0, LogState(first, 100), [])
        second = await ensured()
        assert second != first
        assert await ensured() == second
        await store.append(0, LogState(second, 7), [])
        assert await ensured() not in (first, second)


class BusyStore(MemoryStore):
    """Others publish and write history at the very moment when it is asked how far it is written."""

    def __init__(self, publisher: Client) -> None:
        super().__init__()
        self._publisher = publisher

    async def log_state(self, shard: int, epoch: str) -> LogState | None:
        stored = await self._publisher.jetstream().publish("log.0.u.ann", b"{}")
        await self.append(shard, LogState(epoch, stored.seq), [])
        return await super().log_state(shard, epoch)


async def test_a_log_that_grows_while_it_is_looked_at_keeps_its_epoch(operators_nats_server: Nats) -> None:
    environ = environ_for(SQLITE_PATH="unused", REDIS_URL=NO_REDIS, **operators_nats_server.environ_of("message"))
    config = MessageConfig.parse(environ | {"LOG_MAX_BYTES": str(64 * 1024**2)})
    login = operators_nats_server.environ_of("gateway")
    async with connected(config.nats, "message") as bus:
        first = await ensure_log(bus, MemoryStore(), config, 0)
        publisher = await nats.connect(
            login["NATS_URL"], user="gateway", password=login["NATS_PASSWORD"], inbox_prefix="_INBOX_gateway"
        )
        assert [await ensure_log(bus, BusyStore(publisher), config, 0) for _ in range(3)] == [first] * 3
        await publisher.close()
