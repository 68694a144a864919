"""How long a provider wants to be left alone: the header Retry-After (RFC 9110 §10.2.3). Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 3600.0  # seconds: what is asked for beyond that is asked again then


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds from `now` (Unix) on, at most LONGEST; None when it says nothing that can be understood."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return min(LONGEST, float(text[:9]))
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(LONGEST, max(0.0, seconds))
