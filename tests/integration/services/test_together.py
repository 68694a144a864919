"""Commands of many tasks in one pipeline, on a real Valkey."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import RedisError, ResponseError
from tests.support.servers import Valkey

from push_workloads.common.cache import cache
from push_workloads.common.config import RedisConfig
from push_workloads.common.together import MAX_COMMANDS, Together


async def test_each_gets_its_own_answer(valkey_server: Valkey) -> None:
    async with cache(RedisConfig(valkey_server.url, None, None)) as redis:
        together = Together(redis)
        many = range(MAX_COMMANDS * 2 + 1)
        await asyncio.gather(*(together.do("SET", f"k{number}", number) for number in many))
        assert await asyncio.gather(*(together.do("GET", f"k{number}") for number in many)) == [
            str(number).encode() for number in many
        ]
        assert await together.do("SET", "k1", "new", "NX", "PX", 1000, "GET", get=True) == b"1"
        assert (await redis.info("commandstats"))["cmdstat_set"]["calls"] == len(many) + 1


async def test_one_that_fails_fails_alone(valkey_server: Valkey) -> None:
    async with cache(RedisConfig(valkey_server.url, None, None)) as redis:
        together = Together(redis)
        await together.do("SET", "text", "a")
        right = asyncio.create_task(together.do("GET", "text"))
        with pytest.raises(ResponseError):
            await together.do("INCR", "text")
        assert await right == b"a"


async def test_nobody_waits_for_a_server_that_is_gone(valkey_server: Valkey) -> None:
    async with cache(RedisConfig(valkey_server.url, None, None)) as redis:
        together = Together(redis)
        await together.do("PING")
        await valkey_server.kill()
        ends = await asyncio.gather(*(together.do("GET", "k") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(end, RedisError | OSError) for end in ends)
        await valkey_server.start()
        assert await together.do("GET", "k") is None


async def test_who_gave_up_changes_nothing_for_the_others(valkey_server: Valkey) -> None:
    async with cache(RedisConfig(valkey_server.url, None, None)) as redis:
        together = Together(redis)
        first = asyncio.create_task(together.do("SET", "a", "1"))
        second = asyncio.create_task(together.do("SET", "b", "2"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second
