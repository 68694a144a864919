"""Attempts are counted in Redis as they are in memory; there also when they come all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.servers import Valkey

from push_workloads.auth.attempts import ACCOUNT, ADDRESS, MemoryCounts, RedisCounts
from push_workloads.common.cache import cache
from push_workloads.common.config import RedisConfig
from push_workloads.common.errors import RateLimited

ADA, HOME, ELSEWHERE = "ada@example.com", "192.0.2.1", "2001:db8::1"
Counts = MemoryCounts | RedisCounts


@pytest.fixture(params=["memory", "redis"])
async def counts(request: pytest.FixtureRequest, valkey_server: Valkey) -> AsyncIterator[Counts]:
    if request.param == "memory":
        yield MemoryCounts(lambda: 1_000_000)
    else:
        async with cache(RedisConfig(valkey_server.url, None, None)) as redis:
            yield RedisCounts(redis)


async def _outcomes(counts: Counts, number: int, email: str = ADA, address: str = ELSEWHERE) -> tuple[int, list[int]]:
    """How many of so many at once were let through, and the waits of the others."""
    told = await asyncio.gather(*(counts.begin(email, address) for _ in range(number)), return_exceptions=True)
    waits = [one.retry_after_ms or 0 for one in told if isinstance(one, RateLimited)]
    assert len(waits) == sum(isinstance(one, BaseException) for one in told)
    return number - len(waits), waits


async def test_of_many_at_once_no_more_are_let_through(counts: Counts) -> None:
    let, waits = await _outcomes(counts, 50)
    assert let == ACCOUNT.free
    assert all(0 < wait <= 1000 for wait in waits)
    let, waits = await _outcomes(counts, 5)
    assert let == 0
    assert all(0 < wait <= 1000 for wait in waits)


async def test_a_good_one_begins_anew_and_makes_its_address_known(counts: Counts) -> None:
    for _ in range(3):
        await counts.begin(ADA, HOME)
    await counts.end(await counts.begin(ADA, HOME), good=True)
    assert (await _outcomes(counts, 50))[0] == ACCOUNT.free  # from elsewhere
    attempt = await counts.begin(ADA, HOME)
    await counts.end(attempt, good=False)  # not found out
    assert (await _outcomes(counts, 50, address=HOME))[0] == ACCOUNT.free


async def test_an_address_waits_for_what_it_did_to_many(counts: Counts) -> None:
    for number in range(ADDRESS.free - 2):
        await counts.begin(f"user{number}@example.com", HOME)
    for _ in range(3):
        await counts.end(await counts.begin("eve@example.com", HOME), good=True)
    for _ in range(2):
        await counts.begin("last@example.com", HOME)
    let, (wait, *_) = await _outcomes(counts, 2, "other@example.com", HOME)
    assert let == 0
    assert 0 < wait <= 1000
    assert (await _outcomes(counts, 1, "other@example.com"))[0] == 1
