"""What a connection's end means, and how long to wait before the next one. Pure."""

from __future__ import annotations

from typing import Final

from push_client.errors import Displaced, Ended, Misused, Stopped

TOKEN_EXPIRED: Final = 4401  # get a new token first
MISUSED: Final = 4400  # too many bad frames: this client is at fault
ENDED: Final = 4403  # by the user, from another device
DISPLACED: Final = 4409  # the same device connected elsewhere

MIN_SECONDS: Final = 0.5
MAX_SECONDS: Final = 30.0
STABLE_SECONDS: Final = 5.0  # a connection that lived this long starts the backoff anew
MAX_NEW_TOKENS: Final = 3  # refused one after the other: the next one would be refused as well


def backoff_seconds(attempt: int, jitter: float) -> float:
    """Full jitter between 0.5 s and a ceiling that doubles with every attempt, up to 30 s. `jitter` is in [0, 1)."""
    ceiling = min(MAX_SECONDS, 2 * MIN_SECONDS * 2.0 ** min(attempt, 10))
    return MIN_SECONDS + jitter * (ceiling - MIN_SECONDS)


def final(code: int) -> Stopped | None:
    """Why not to connect again after this close code; None when to do so."""
    if code == DISPLACED:
        return Displaced("the same device connected elsewhere: give each program a device_id of its own")
    if code == ENDED:
        return Ended("this session was ended from another device")
    if code == MISUSED:
        return Misused("the gateway closed the connection for too many bad frames")
    return None


class Attempts:
    """Counts what failed in a row."""

    def __init__(self) -> None:
        self._failed = 0
        self._tokens_refused = 0

    def welcome(self) -> None:
        self._tokens_refused = 0

    def wait(self, lived: float, jitter: float, told: float | None = None) -> float:
        """Seconds until the next attempt, after a connection that `lived` that long. `told`: what the other side asked
        for; after it everybody comes back, so a refusal that repeats itself is waited out longer."""
        if lived >= STABLE_SECONDS:
            self._failed = 0
        mine = backoff_seconds(self._failed, jitter)
        self._failed += 1
        return mine if told is None else told + jitter * min(mine, told)

    def token_refused(self) -> bool:
        """True when asking for yet another token is of no use."""
        self._tokens_refused += 1
        return self._tokens_refused > MAX_NEW_TOKENS
