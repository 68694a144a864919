"""Background work ends before what it uses, whatever swallows a cancellation on the way."""

from __future__ import annotations

import asyncio

import pytest

from push_workloads.common.tasks import beside


async def stubborn(times: int, ended: list[str]) -> None:
    """Swallows so many cancellations, as libraries do."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    try:
        await asyncio.sleep(60)
    finally:
        ended.append("stubborn")


@pytest.mark.parametrize("times", [0, 1, 2, 5])
async def test_work_within_work_ends_although_it_swallows_cancellations(times: int) -> None:
    ended: list[str] = []

    async def outer() -> None:
        async with beside(stubborn(times, ended)):
            await asyncio.sleep(60)

    async with asyncio.timeout(20):
        async with beside(outer()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert ended == ["stubborn"]
