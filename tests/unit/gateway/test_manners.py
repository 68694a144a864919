"""What one client may send, and what is forgiven of it."""

from __future__ import annotations

from push_workloads.gateway.actions import Limits
from push_workloads.gateway.manners import Manners

LIMITS = Limits(frames_per_second=50, burst=100)


def _passed(manners: Manners, now: float, frames: int) -> int:
    return sum(manners.wait_ms(LIMITS, now, 100) == 0 for _ in range(frames))


def test_a_burst_and_what_comes_in_later() -> None:
    manners = Manners(100, 0.0)
    assert _passed(manners, 0.0, 500) == 100
    assert _passed(manners, 1.0, 500) == 50
    assert _passed(manners, 100.0, 500) == 100


def test_what_came_late_because_we_did_not_read_passes_once() -> None:
    manners = Manners(100, 0.0)
    manners.unread(LIMITS, 4.0)
    manners.unread(LIMITS, 6.0)
    assert _passed(manners, 10.0, 2000) == 100 + 10 * 50
    assert _passed(manners, 11.0, 500) == 50


def test_large_frames_cost_more_of_it() -> None:
    manners = Manners(100, 0.0)
    assert _passed(manners, 0.0, 100) == 100
    manners.unread(LIMITS, 1.0)
    assert manners.wait_ms(LIMITS, 0.0, 40_960) == 0  # 11
    assert _passed(manners, 0.0, 100) == 39
