"""When a send that could not be carried now is tried again. Pure."""

from __future__ import annotations

from typing import Final

from push_workloads.push.carrier import Later

MAX_ATTEMPTS: Final = 12  # with the pauses below about an hour and a half, if the provider does not say otherwise
FIRST_MS, LAST_MS = 2_000, 1_800_000


def next_try(answer: Later, attempt: int, now_ms: int, expires_ms: int, draw: float) -> int | None:
    """Unix milliseconds; None: it was tried often enough, or would come too late.

    `attempt`: how often it was tried before, `draw`: 0 to 1, at random. The pause is drawn from nothing up to a bound
    that doubles (full jitter), on top of what the provider asks for: all that it turned away must not come at once.
    """
    if attempt + 1 >= MAX_ATTEMPTS:
        return None
    at = now_ms + round(max(0.0, answer.after_s or 0.0) * 1000) + round(draw * min(LAST_MS, FIRST_MS * 2**attempt))
    return at if at < expires_ms else None
