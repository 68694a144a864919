"""A notification made to fit what a provider takes: the body is cut, the structure never. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from push_workloads.push.notification import Notification

CUT: Final = "…"


class TooLarge(Exception):
    """It would not fit without any body."""


def fitted(notification: Notification, written: Callable[[Notification], bytes], limit: int) -> bytes:
    """What `written` makes of the notification, at most `limit` bytes; the body is as long as fits. Raises TooLarge."""
    whole = written(notification)
    if len(whole) <= limit:
        return whole
    body = notification.body or ""
    fits, over = -1, len(body)  # so many characters of it are known to fit, and not to
    best = b""
    while over - fits > 1:
        middle = (fits + over) // 2
        tried = written(replace(notification, body=_cut(body, middle)))
        if len(tried) <= limit:
            fits, best = middle, tried
        else:
            over = middle
    if fits < 0:
        raise TooLarge
    return best


def _cut(body: str, length: int) -> str | None:
    return body[:length].rstrip() + CUT if length else None
