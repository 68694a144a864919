"""How long a provider wants to be left alone: the header Retry-After (RFC 9110 §10.2.3). Pure."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 86_400.0  # seconds, a day: longer a message is seldom worth telling


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds from `now` (Unix) on, at most LONGEST; None when it says nothing that can be understood."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return min(LONGEST, float(text[:9]))
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)  # `-0000`: UTC, and not the clock of this machine
        return min(LONGEST, max(0.0, at.timestamp() - now))
    except (ValueError, OverflowError):
        return None
