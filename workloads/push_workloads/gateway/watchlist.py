"""What one session watches, and what it says of its own user. Pure.

A session watches so many users at most, and asks for so many a second: each costs the message service a look at its
rights. Its own status is told at most once in two seconds, the last word counts: every change goes to all gateways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from push_workloads.common.bucket import drawn
from push_workloads.common.questions import MAX_WATCHED

USERS_PER_SECOND: Final = 50
USERS_BURST: Final = 2 * MAX_WATCHED
STATUS_SECONDS: Final = 2.0


class Watchlist:
    """Times are monotonic seconds."""

    __slots__ = ("_status_at", "_tokens", "_tokens_at", "_wanted", "users")

    def __init__(self, now: float) -> None:
        self.users: set[str] = set()
        self._tokens = float(USERS_BURST)
        self._tokens_at = now
        self._status_at = now - STATUS_SECONDS
        self._wanted: bool | None = None  # away or not, to be told when its time has come

    def wait_ms(self, asked: int, now: float) -> int:
        """0 when so many users may be asked for now."""
        elapsed, self._tokens_at = now - self._tokens_at, now
        self._tokens, wait = drawn(self._tokens, elapsed, asked, rate=USERS_PER_SECOND, burst=USERS_BURST)
        return wait

    def has_room(self, user_ids: Sequence[str]) -> bool:
        return len(self.users.union(user_ids)) <= MAX_WATCHED

    def say(self, away: bool, is_away: bool) -> None:
        """The client says so, where `is_away` was told last."""
        self._wanted = away if away != is_away else None

    def due(self, now: float) -> bool | None:
        """What is to be told now, if anything: away or not. Then it has been told."""
        if self._wanted is None or now - self._status_at < STATUS_SECONDS:
            return None
        wanted, self._wanted, self._status_at = self._wanted, None, now
        return wanted
