"""What one client may do, counted: a token bucket for its frames, and what is forgiven of its faults. Pure."""

from __future__ import annotations

from typing import Final

from push_workloads.common.bucket import BYTES_PER_TOKEN, drawn
from push_workloads.gateway.actions import Limits

FAULTS_TO_CLOSE: Final = 20.0
FAULTS_FORGIVEN_PER_SECOND: Final = 0.5
TOO_FAST_WEIGHT: Final = 0.1  # of a fault: a client that waits as it is told is never closed


class Manners:
    """Of one session. Times are monotonic seconds."""

    __slots__ = ("_faults", "_faults_at", "_late", "_tokens", "_tokens_at")

    def __init__(self, burst: int, now: float) -> None:
        self._tokens = float(burst)
        self._tokens_at = self._faults_at = now
        self._faults = self._late = 0.0

    def wait_ms(self, limits: Limits, now: float, frame_bytes: int) -> int:
        """0 when a frame may pass, else the milliseconds until a quarter of the burst may."""
        elapsed, self._tokens_at = now - self._tokens_at, now
        wanted, rate, burst = 1 + frame_bytes // BYTES_PER_TOKEN, limits.frames_per_second, limits.burst
        self._tokens, wait = drawn(self._tokens, elapsed, wanted, rate=rate, burst=burst)
        if wait and self._late >= wanted:
            self._late -= wanted
            return 0
        return wait

    def unread(self, limits: Limits, seconds: float) -> None:
        """For so long we did not read: what the client may have sent then comes at once, and is no fault of its."""
        self._late += seconds * limits.frames_per_second

    def blame(self, now: float, weight: float) -> bool:
        """Notes a fault; whether that was one too many."""
        forgiven = (now - self._faults_at) * FAULTS_FORGIVEN_PER_SECOND
        self._faults = max(0.0, self._faults - forgiven) + weight
        self._faults_at = now
        return self._faults > FAULTS_TO_CLOSE
