"""How many clients are asked to come back elsewhere by when. Pure; `departures.py` asks them."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Final

SHORTEST_SECONDS: Final = 0.005  # between two looks: above 200 a second several are asked at once


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate` clients a second from `since` (monotonic seconds) on; by then `credit` may have been asked, so that the
    first need not wait. `ends`: by then everybody has been asked, whatever the rate."""

    rate: float
    since: float
    credit: float = 1.0
    ends: float | None = None

    def due(self, asked: int, waiting: int, now: float) -> int:
        """How many of those who wait are to be asked now, when so many have been already."""
        if self.ends is not None and now >= self.ends:
            return waiting
        return max(0, min(waiting, floor(self._allowed(now)) - asked))

    def pause(self, asked: int, now: float, spread: float) -> float:
        """Seconds until the next look. `spread`, from 0 to 1, is by how much of the time of one client it comes late:
        who leaves at even steps arrives at even steps, together with those of other gateways."""
        due_at = self.since + (asked + 1 + spread - self.credit) / self.rate
        seconds = max(SHORTEST_SECONDS, due_at - now)
        return seconds if self.ends is None else max(0.0, min(seconds, self.ends - now))

    def at_rate(self, rate: float, asked: int, now: float) -> Pace:
        """The same at another rate, which with an end is no lower one. What was saved up is lost, and a repeat brings
        nobody's turn nearer."""
        credit = min(self._allowed(now), asked + 1.0)
        return Pace(max(rate, self.rate) if self.ends is not None else rate, now, credit, self.ends)

    def to_end(self, seconds: float, rate: float, asked: int, waiting: int, now: float) -> Pace:
        """The same, so that all who wait have been asked after `seconds`; no slower than it was, or than `rate`."""
        needed = waiting / seconds if seconds > 0 else rate
        faster = self.at_rate(max(self.rate, rate, needed), asked, now)
        return Pace(faster.rate, faster.since, faster.credit, now + seconds)

    def _allowed(self, now: float) -> float:
        return self.credit + self.rate * max(0.0, now - self.since)
