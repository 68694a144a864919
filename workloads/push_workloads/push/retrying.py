"""When a send that could not be carried now is tried again. Pure."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from push_workloads.push.carrier import Later
from push_workloads.push.sends import Send

MAX_ATTEMPTS: Final = 12  # with the pauses below about an hour and a half, if the provider does not say otherwise
FIRST_MS, LAST_MS = 2_000, 1_800_000


def next_try(answer: Later, attempt: int, now_ms: int, expires_ms: int, draw: float, kept_back: int = 0) -> int | None:
    """Unix milliseconds; None: it was tried often enough, or would come too late.

    `attempt` and `kept_back`: as in Send; only its time ends what the provider is not asked about. `draw`: 0 to 1, at
    random. The pause is drawn from nothing up to a bound that doubles (full jitter), on top of what the provider asks
    for: all that it turned away must not come at once.
    """
    if answer.asked and attempt + 1 >= MAX_ATTEMPTS:
        return None
    bound = min(LAST_MS, FIRST_MS * 2 ** (attempt + kept_back))
    at = now_ms + round(max(0.0, answer.after_s or 0.0) * 1000) + round(draw * bound)
    return at if at < expires_ms else None


def counted(send: Send, answer: Later) -> Send:
    """The send after that answer."""
    if answer.asked:
        return replace(send, attempt=send.attempt + 1)
    return replace(send, kept_back=send.kept_back + 1)
