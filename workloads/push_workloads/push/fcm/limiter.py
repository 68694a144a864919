"""How fast a project may send: evenly, as its quota says, and not at all for as long as FCM wants. Pure."""

from __future__ import annotations

from typing import Final

BURST_SECONDS: Final = 1.0  # of the rate may go out at once
MAX_WAIT: Final = 5.0  # seconds: a send that would wait for longer comes again later
HALT_SPREAD: Final = 0.25  # after a halt sends come back over so much of its length again


class Limiter:
    """Moments in seconds of any one clock. A bucket in the form of the moment at which it will be full again."""

    def __init__(self, per_minute: int) -> None:
        self._each = 60.0 / per_minute
        self._next = 0.0
        self._halted_until = 0.0

    def turn(self, now: float) -> float:
        """In how many seconds a send may go out, whose place is kept; over MAX_WAIT none was kept."""
        wait = max(self._halted_until - now, self._next - now - BURST_SECONDS, 0.0)
        if wait <= MAX_WAIT:
            self._next = max(self._next, now) + self._each
        return wait

    def halt(self, now: float, seconds: float, entropy: float) -> None:
        """Nobody sends for so long. `entropy`: in [0, 1), so that not all processes of a project begin at once."""
        self._halted_until = max(self._halted_until, now + seconds * (1 + HALT_SPREAD * entropy))
