"""A notification made to fit what a provider takes: the body is cut, the structure never. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from push_workloads.push.notification import Notification

CUT: Final = "…"
_JOINERS: Final = frozenset("\u200d\ufe0e\ufe0f") | {chr(skin) for skin in range(0x1F3FB, 0x1F400)}


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
    return body[: boundary(body, length)].rstrip() + CUT if length else None


def boundary(text: str, at: int) -> int:
    """The nearest place at or before `at` where no mark, joiner or skin tone belongs to what stands before it."""
    while 0 < at < len(text) and (_joins(text[at]) or text[at - 1] == "\u200d"):
        at -= 1
    return at


def _joins(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character).startswith("M")
