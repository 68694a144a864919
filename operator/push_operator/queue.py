"""A keyed work queue: a key waits at most once, is worked on by one worker at a time, and backs off when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BACKOFF_FIRST, BACKOFF_LAST = 0.2, 30.0


class KeyQueue:
    """`add` never blocks and never duplicates; a key added while it is being worked on is worked on once more.

    The clock and the randomness of the backoff are the caller's: `jitter` returns a factor around 1.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._waiting: dict[str, float] = {}  # since when, by the loop's clock
        self._working: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._some = asyncio.Event()

    def add(self, key: str) -> None:
        self._cancel_timer(key)
        self._waiting.setdefault(key, asyncio.get_running_loop().time())
        self._some.set()

    def oldest_seconds(self) -> float:
        """How long the first of the waiting keys has waited, 0 when none does."""
        now = asyncio.get_running_loop().time()
        return now - min(self._waiting.values(), default=now)

    def add_after(self, key: str, seconds: float) -> None:
        """Adds later, unless it is added before; a sooner time replaces a later one."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if key in self._waiting or (timer is not None and timer.when() <= loop.time() + seconds):
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self.add, key)

    async def take(self) -> str:
        """The next key; the caller must give it back with `done` or `failed`."""
        while True:
            for key in self._waiting:
                if key not in self._working:
                    del self._waiting[key]
                    self._working.add(key)
                    return key
            self._some.clear()
            await self._some.wait()

    def done(self, key: str, again_after: float) -> None:
        self._failures.pop(key, None)
        self._give_back(key)
        self.add_after(key, again_after)

    def failed(self, key: str) -> float:
        """Puts the key back after a growing, jittered pause; returns that pause in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(BACKOFF_LAST, BACKOFF_FIRST * 2.0 ** min(failures, 16)) * self._jitter()
        self._give_back(key)
        self.add_after(key, pause)
        return pause

    def close(self) -> None:
        for key in tuple(self._timers):
            self._cancel_timer(key)

    def _give_back(self, key: str) -> None:
        self._working.discard(key)
        self._some.set()

    def _cancel_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
