"""Waiting for conditions, so that no test sleeps for luck."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

POLL_SECONDS = 0.01


async def eventually(condition: Callable[[], Any | Awaitable[Any]], *, within: float = 30.0) -> Any:
    """The first truthy value of `condition`, asked again and again; AssertionError after `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        value = condition()
        value = await value if isawaitable(value) else value
        if value:
            return value
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"not within {within:g} s: {condition}; last value {value!r}")
        await asyncio.sleep(POLL_SECONDS)


def within(seconds: float, holds: Callable[[], object]) -> None:
    """The same for tests without a loop."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {holds}"
        time.sleep(0.05)
