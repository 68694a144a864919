"""Histograms that a hot path can afford: to count is one step of an integer in a list. Pure.

Buckets are powers of two of a millisecond, so the bucket of a value is the length of its binary form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

LARGEST: Final = 15  # 2^15 ms, 32.8 s: beyond it is beyond all bounds
BOUNDS_SECONDS: Final = tuple(2**power / 1000 for power in range(LARGEST + 1))
_SENT_AT: Final = slice(-14, -1)  # 13 digits of Unix milliseconds and a brace end every message of the log
_NS_IN_MS: Final = 1_000_000


class Latencies:
    """How long something took, how often. Each bucket holds what is below its bound, and the last what is not below
    any."""

    __slots__ = ("buckets", "total_ms")

    def __init__(self) -> None:
        self.buckets = [0] * (LARGEST + 2)
        self.total_ms = 0

    def add(self, ms: int, times: int = 1) -> None:
        """What took `ms`, so many times. Clocks of two machines differ: less than nothing counts as nothing."""
        if ms < 0:
            ms = 0
        at = ms.bit_length()
        self.buckets[at if at <= LARGEST else LARGEST + 1] += times
        self.total_ms += ms * times

    def cumulated(self) -> list[tuple[str, int]]:
        """As Prometheus has it: for each bound in seconds, how many were below it."""
        bounds = [*map(str, BOUNDS_SECONDS), "+Inf"]
        sums = [sum(self.buckets[: place + 1]) for place in range(len(self.buckets))]
        return list(zip(bounds, sums, strict=True))


class Deliveries(Latencies):
    """From the moment that a message names as its own (`sent_at`) to its write to sockets. `wall_ns`: the clock on the
    wall."""

    __slots__ = ("_wall_ns",)

    def __init__(self, wall_ns: Callable[[], int]) -> None:
        super().__init__()
        self._wall_ns = wall_ns

    def passed(self, payload: bytes, sockets: int) -> None:
        """A payload of the log was written to so many sockets. One that does not end with its `sent_at`, as changes of
        groups do not, is not counted. `add` stands here once more: a call costs as much as its three lines."""
        try:
            ms = self._wall_ns() // _NS_IN_MS - int(payload[_SENT_AT])
        except ValueError:
            return
        if ms < 0:
            ms = 0
        at = ms.bit_length()
        self.buckets[at if at <= LARGEST else LARGEST + 1] += sockets
        self.total_ms += ms * sockets
