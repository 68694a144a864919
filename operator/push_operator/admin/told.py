"""What was said lately, so that a fault that lasts is one line in the log and not one a tick."""

from __future__ import annotations

from typing import Final

AGAIN_SECONDS: Final = 3600.0
MOST: Final = 2000  # faults remembered; beyond, the one told first may be told again


class Told:
    """Remembers (who, what) pairs; memory is bounded."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], float] = {}

    def anew(self, who: str, what: str, now: float) -> bool:
        """Is it worth a line: was it not told within the last AGAIN_SECONDS? Remembers that it is told now."""
        last = self._at.get((who, what))
        if last is not None and now - last < AGAIN_SECONDS:
            return False
        self._at.pop((who, what), None)
        self._at[who, what] = now
        if len(self._at) > MOST:
            del self._at[next(iter(self._at))]
        return True
