"""Who is told that this user types, until when. Pure.

A client repeats `start` while its user types; told are the first, one every few seconds, and the end: by `stop`, or six
seconds after the last `start`. Whoever starts and stops in turn is told no more often: a target hears of one start, and
the end of it, in so many seconds, and no more than MAX_TARGETS of them do.
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

    __slots__ = ("_shown", "_told", "_until")

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._told: dict[str, float] = {}  # when a start was told there last, also of what has ended
        self._shown: set[str] = set()

    def start(self, target: str, now: float) -> bool:
        """Whether to tell it."""
        if target not in self._until and len(self._until) >= MAX_TARGETS:
            return False
        self._until[target] = now + TYPING_SECONDS
        self._told = {one: at for one, at in self._told.items() if now - at < REPEAT_SECONDS}
        if target in self._told or len(self._told) >= MAX_TARGETS:
            return False
        self._told[target] = now
        self._shown.add(target)
        return True

    def stop(self, target: str) -> bool:
        """Whether it was told that the user types."""
        self._until.pop(target, None)
        shown = target in self._shown
        self._shown.discard(target)
        return shown

    def ended(self, now: float) -> list[str]:
        """Those to be told that it has ended by itself; with `now` infinite: all."""
        return [target for target, until in list(self._until.items()) if until <= now and self.stop(target)]
