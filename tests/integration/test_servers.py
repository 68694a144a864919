"""The test servers themselves: what the other integration tests stand on."""

from __future__ import annotations

import nats
from redis.asyncio import Redis
from tests.support.servers import Nats, Valkey


async def test_nats_keeps_its_log_over_a_crash(nats_server: Nats) -> None:
    client = await nats.connect(nats_server.url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.jetstream().publish("kept", b"1")
    await client.close()
    await nats_server.kill()
    await nats_server.start()
    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().stream_info("KEPT")).state.messages == 1
    await client.close()


async def test_valkey_keeps_its_data_over_a_restart(valkey_server: Valkey) -> None:
    async with Redis.from_url(valkey_server.url) as client:
        await client.set("kept", "1")
    await valkey_server.stop()
    await valkey_server.start()
    async with Redis.from_url(valkey_server.url) as client:
        assert await client.get("kept") == b"1"
