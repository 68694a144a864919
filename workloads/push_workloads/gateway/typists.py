"""Who is told that this user types, until when. Pure.

A client repeats `start` while its user types; told are the first, one every few seconds, and the end: by `stop`, or six
seconds after the last `start`. A client that starts and stops in turn has a bucket of starts to be told, for all its
targets: what is over it is told to nobody, and so is its end.
"""

from __future__ import annotations

from typing import Final

from push_workloads.common.bucket import drawn

TYPING_SECONDS: Final = 6.0
REPEAT_SECONDS: Final = 2.0
MAX_TARGETS: Final = 16
STARTS_PER_SECOND, STARTS_BURST = 1.0, 16
START: Final = "start"
STOP: Final = "stop"


class Typists:
    """By target: the channel, or the recipient's inbox."""

    __slots__ = ("_drawn_at", "_starts", "_told", "_until")

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._told: dict[str, float] = {}  # when it was told of a start last; without one it hears of no end
        self._starts, self._drawn_at = float(STARTS_BURST), 0.0

    def start(self, target: str, now: float) -> bool:
        """Whether to tell it."""
        if target not in self._until and len(self._until) >= MAX_TARGETS:
            return False
        self._until[target] = now + TYPING_SECONDS
        if now - self._told.get(target, -REPEAT_SECONDS) < REPEAT_SECONDS or not self._may_tell(now):
            return False
        self._told[target] = now
        return True

    def _may_tell(self, now: float) -> bool:
        elapsed, self._drawn_at = now - self._drawn_at, now
        self._starts, wait_ms = drawn(self._starts, elapsed, 1, rate=STARTS_PER_SECOND, burst=STARTS_BURST)
        return not wait_ms

    def stop(self, target: str) -> bool:
        """Whether it was told that the user types."""
        self._until.pop(target, None)
        return self._told.pop(target, None) is not None

    def ended(self, now: float) -> list[str]:
        """Those to be told that it has ended by itself; with `now` infinite: all."""
        return [target for target, until in list(self._until.items()) if until <= now and self.stop(target)]
