"""Password hashes: argon2id, off the event loop, two at a time (64 MiB and 0.2 CPU seconds each)."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from prometheus_client import CollectorRegistry, Histogram

from push_workloads.common.errors import Unavailable

AT_ONCE: Final = 2
MAX_WAITING: Final = 100  # some ten seconds of work; over it, callers would have given up before their turn
NICENESS: Final = 10
Result = TypeVar("Result")


class Passwords:
    """`prepare` once before `verify`: an unknown user costs the check of a made-up hash, as long as any other."""

    def __init__(self, registry: CollectorRegistry, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, "argon2", _be_nice)
        self._waiting = 0
        self._nobodys = ""
        self._seconds = Histogram("push_auth_argon2_seconds", "One hash or check, without its wait", registry=registry)

    async def prepare(self) -> None:
        self._nobodys = await self.hash(b"nobody has this password")

    async def hash(self, password: bytes) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: bytes, hashed: str | None) -> bool:
        """Whether this is the password; always False, in the same time, when there is no hash."""
        known = await self._run(lambda: self._matches(password, hashed or self._nobodys))
        return known and hashed is not None

    def outdated(self, hashed: str) -> bool:
        """The hash was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(hashed)

    def _matches(self, password: bytes, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= MAX_WAITING:
            raise Unavailable("too many people are signing in just now; try again", retry_after_ms=5000)
        self._waiting += 1
        try:
            async with self._turn:
                with self._seconds.time():
                    return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _be_nice() -> None:
    """A hash takes several threads for some tenths of a second; the event loop's goes before them. On Linux alone this
    is a thread's own, and those that it starts have it as well."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
