"""Work that goes on, whatever comes of it, and says so once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import pytest

from push_workloads.common.errors import Unavailable
from push_workloads.common.looking import Trouble, look_again


async def _run(*outcomes: BaseException | None) -> None:
    """One look after the other."""
    left: Iterable[BaseException | None] = iter(outcomes)

    async def look() -> None:
        outcome = next(iter(left))
        if outcome is not None:
            raise outcome

    await look_again(look, lambda: asyncio.sleep(0), Trouble(logging.getLogger("some"), "it fails"))


async def test_each_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    away = Unavailable("the store is away", retry_after_ms=1)
    with pytest.raises(asyncio.CancelledError):
        await _run(TimeoutError(), TimeoutError(), None, away, away, None, asyncio.CancelledError())
    assert [record.getMessage() for record in caplog.records] == [
        "it fails: TimeoutError", "it fails: the store is away",
    ]  # fmt: skip


async def test_what_nobody_expects_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        await _run(None, ZeroDivisionError())
