"""Work that looks at Redis, or at a store, again and again for as long as a process lives."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from redis.exceptions import RedisError

from push_workloads.common.errors import Unavailable

FAILURES: Final = (RedisError, OSError, TimeoutError, Unavailable, msgspec.DecodeError)


class Trouble:
    """Says that something fails, once until it is over. `text` completes "…: the cause"."""

    def __init__(self, log: logging.Logger, text: str) -> None:
        self._log = log
        self._text = text
        self._told = False

    def is_there(self, error: Exception) -> None:
        if not self._told:
            self._log.warning("%s: %s", self._text, str(error) or type(error).__name__)
        self._told = True

    def is_over(self) -> None:
        self._told = False


async def look_again(
    look: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]], trouble: Trouble
) -> None:
    """Until cancelled: looks, pauses, and looks again, whatever came of it."""
    while True:
        try:
            await look()
            trouble.is_over()
        except FAILURES as error:
            trouble.is_there(error)
        await pause()
