"""Those who send over HTTP, each with a token bucket as a socket has one, and the time of the last message. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from push_workloads.common.bucket import BYTES_PER_TOKEN, drawn

REMEMBERED: Final = 20_000  # a bucket that was not touched for burst / rate seconds is full: to forget it is no gift


class _Caller(Struct, gc=False):
    tokens: float
    at: float
    sent_at: int = 0


class Callers:
    """Each replica counts for itself, as each socket does: a user has `per_second` here for every replica."""

    def __init__(self, per_second: int, burst: int, remembered: int = REMEMBERED) -> None:
        self._per_second = per_second
        self._burst = burst
        self._remembered = remembered
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    def wait_ms(self, user_id: str, now: float, content_bytes: int, recipients: int) -> int:
        """0 when the caller may send this to so many, else in how many milliseconds to ask again."""
        caller = self._known(user_id, now)
        wanted = recipients * (1 + content_bytes // BYTES_PER_TOKEN)
        left, wait = drawn(caller.tokens, now - caller.at, wanted, rate=self._per_second, burst=self._burst)
        # More than a full bucket is a debt: a large message to a hundred users is waited for afterwards.
        caller.tokens = left if wait else left - max(0, wanted - self._burst)
        caller.at = now
        return wait

    def sent_at(self, user_id: str, now: float, wall_ms: int) -> int:
        """The time of a message: conversations are ordered by it, so two of one caller never share a millisecond."""
        caller = self._known(user_id, now)
        caller.sent_at = max(caller.sent_at + 1, wall_ms)
        return caller.sent_at

    def _known(self, user_id: str, now: float) -> _Caller:
        caller = self._callers.setdefault(user_id, _Caller(self._burst, now))
        self._callers.move_to_end(user_id)
        while len(self._callers) > self._remembered:
            self._callers.popitem(last=False)
        return caller
