"""Who is told that this user types, until when. Pure.

A client repeats `start` while its user types; told are the first, one every few seconds, and the end: by `stop`, or six
seconds after the last `start`.
"""

from __future__ import annotations

from typing import Final

TYPING_SECONDS: Final = 6.0
REPEAT_SECONDS: Final = 2.0
MAX_TARGETS: Final = 16
START: Final = "start"
STOP: Final = "stop"


class Typists:
    """By target: the channel, or the recipient's inbox."""

    __slots__ = ("_told", "_until")

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._told: dict[str, float] = {}

    def start(self, target: str, now: float) -> bool:
        """Whether to tell it."""
        if target not in self._until and len(self._until) >= MAX_TARGETS:
            return False
        self._until[target] = now + TYPING_SECONDS
        if now - self._told.get(target, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._told[target] = now
        return True

    def stop(self, target: str) -> bool:
        """Whether it was told that the user types."""
        self._told.pop(target, None)
        return self._until.pop(target, None) is not None

    def ended(self, now: float) -> list[str]:
        """Those for whom it has ended by itself; with `now` infinite: all."""
        over = [target for target, until in self._until.items() if until <= now]
        for target in over:
            self.stop(target)
        return over
