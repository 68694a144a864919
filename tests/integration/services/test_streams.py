"""The log and its epoch: who finds the log shorter than history, alone or with others, comes to the same new epoch. And
the queue of push jobs beside it: made, and made anew of an older one."""

from __future__ import annotations

import asyncio

import nats
from nats.aio.client import Client
from tests.support.servers import STORAGE_MIB, Nats
from tests.support.services import NO_REDIS, environ_for

from push_workloads.common.bus import connected
from push_workloads.message.config import MessageConfig
from push_workloads.message.store import LogState, MemoryStore
from push_workloads.message.streams import ensure_log, ensure_push_queue


def config_of(server: Nats, log_mib: int) -> MessageConfig:
    environ = environ_for(SQLITE_PATH="unused", REDIS_URL=NO_REDIS, **server.environ_of("message"))
    return MessageConfig.parse(environ | {"LOG_MAX_BYTES": str(log_mib * 1024**2)})


async def test_replicas_agree_on_the_epoch_of_a_log_that_lost_its_end(operators_nats_server: Nats) -> None:
    config = config_of(operators_nats_server, 64)
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
    config = config_of(operators_nats_server, 64)
    login = operators_nats_server.environ_of("gateway")
    async with connected(config.nats, "message") as bus:
        first = await ensure_log(bus, MemoryStore(), config, 0)
        publisher = await nats.connect(
            login["NATS_URL"], user="gateway", password=login["NATS_PASSWORD"], inbox_prefix="_INBOX_gateway"
        )
        assert [await ensure_log(bus, BusyStore(publisher), config, 0) for _ in range(3)] == [first] * 3
        await publisher.close()


OLD_PUSH = {"subjects": ["push.jobs.>"], "retention": "workqueue", "storage": "file", "discard": "old"}


async def test_a_queue_of_an_older_version_is_made_the_new_one_with_what_is_in_it(operators_nats_server: Nats) -> None:
    """While its consumer holds an entry that it has not acknowledged."""
    config = config_of(operators_nats_server, 64)
    old = {**OLD_PUSH, "name": "PUSH", "max_age": 7 * 86_400 * 10**9, "max_bytes": config.log_max_bytes // 10}
    async with connected(config.nats, "message") as bus:
        assert "error" not in await bus.ask("$JS.API.STREAM.CREATE.PUSH", old)
        js = bus.client.jetstream()
        for number in range(3):
            await js.publish("push.jobs.ann", b"%d" % number, headers={"Nats-Msg-Id": f"m{number}"})
        jobs = await js.pull_subscribe("push.jobs.>", "push", "PUSH")
        (held,) = await jobs.fetch(1)
        for _ in range(2):
            await ensure_push_queue(bus, config)
        await held.ack_sync()
        assert [one.data for one in await jobs.fetch(2)] == [b"1", b"2"]
        assert (await js.publish("push.jobs.ann", b"again", headers={"Nats-Msg-Id": "m2"})).duplicate
        timer = {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": "push.groups.team"}
        groups = await js.pull_subscribe("push.groups.>", "push-groups", "PUSH")
        await js.publish("push.timer.one", b"due", headers=timer)
        assert [one.data for one in await groups.fetch(1)] == [b"due"]
        await js.publish("push.dead.jobs.ann", b"poison", stream="PUSH_DEAD")


async def test_on_a_full_disk_there_is_room_for_the_queue_and_the_dead(operators_nats_server: Nats) -> None:
    """The log has four fifths of the disk, which the server sets aside: the others are made all the same, and again."""
    config = config_of(operators_nats_server, STORAGE_MIB * 4 // 5)
    async with connected(config.nats, "message") as bus:
        for _ in range(2):
            await ensure_log(bus, MemoryStore(), config, 0)
            await ensure_push_queue(bus, config)
