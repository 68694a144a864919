"""The token that FCM wants to see: from google-auth, which is synchronous, in a thread; one for all sends, renewed
before it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from push_workloads.common.looking import Trouble
from push_workloads.common.tasks import Spawner

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
RENEW_SECONDS: Final = 600.0  # before its end, with the old one good meanwhile
REQUEST_SECONDS: Final = 10.0
FETCH_SECONDS: Final = 15.0  # google-auth may ask three times
RETRY_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class NoToken(Exception):
    """There is none, and none can be had now."""


class Token(NamedTuple):
    """`until`: on the monotonic clock."""

    text: str
    until: float


class Source(Protocol):
    """Where tokens come from; it blocks. Raises OSError or ValueError, with no secret in the text."""

    def fetch(self) -> Token: ...


class AccessToken:
    """Asks for a token when somebody needs one, and for the next one ahead of time; one request at a time, and after a
    failure not at once again."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._token: Token | None = None
        self._asked_again_at = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._spawner = Spawner()
        self._trouble = Trouble(_log, "no token for FCM can be had")

    async def get(self) -> str:
        """Raises NoToken within FETCH_SECONDS."""
        now = self._clock()
        if self._token is None or now >= self._token.until - RENEW_SECONDS:
            fetching = self._renewal(now)
            if fetching is not None and (self._token is None or now >= self._token.until):
                await asyncio.shield(fetching)
        if self._token is None or self._clock() >= self._token.until:
            raise NoToken
        return self._token.text

    def refused(self, text: str) -> None:
        """FCM does not take this token: the next send asks for another one."""
        if self._token is not None and self._token.text == text:
            self._token = None

    def _renewal(self, now: float) -> asyncio.Task[None] | None:
        """The request that is under way, or a new one; None when the last one has just failed."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if now < self._asked_again_at:
            return None
        self._asked_again_at = now + RETRY_SECONDS
        self._fetching = self._spawner.spawn(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._token = await asyncio.to_thread(self._source.fetch)
            self._trouble.is_over()
        except (OSError, ValueError, TimeoutError) as error:
            self._trouble.is_there(error)

    async def close(self) -> None:
        await self._spawner.close()
