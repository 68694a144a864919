"""What a push service and the page's service worker are told of a notification. Pure."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import msgspec

from push_workloads.push.fitting import fitted
from push_workloads.push.notification import Notification, Show
from push_workloads.push.webpush.encrypting import MAX_PLAIN

MAX_TTL: Final = 28 * 86400  # seconds; push services keep nothing for longer
TOPIC_BYTES: Final = 24  # 32 characters, as many as a topic may have (RFC 8030 §5.4)


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the service worker gets, in JSON. `tag`: a later notification with the same one takes its place."""

    message_id: str
    show: Show
    title: str | None = None
    body: str | None = None
    tag: str | None = None
    conversation: str | None = None
    badge: int | None = None
    data: dict[str, Any] | None = None


def text(notification: Notification) -> bytes:
    """At most MAX_PLAIN bytes, the body cut where it must be. Raises TooLarge."""
    return fitted(notification, _written, MAX_PLAIN)


def _written(told: Notification) -> bytes:
    return msgspec.json.encode(
        Told(
            told.message_id,
            told.show,
            told.title,
            told.body,
            told.collapse_id,
            told.conversation,
            told.badge,
            told.data,
        )
    )


def headers(notification: Notification, now: float) -> dict[str, str]:
    """How the push service is to handle it; `now` in Unix seconds."""
    made = {
        "Content-Type": "application/octet-stream",
        "Content-Encoding": "aes128gcm",
        "TTL": str(max(0, min(MAX_TTL, int(notification.expires_at - now)))),
        "Urgency": _urgency(notification),
    }
    if notification.collapse_id is not None:
        made["Topic"] = topic(notification.collapse_id)
    return made


def _urgency(notification: Notification) -> str:
    """RFC 8030 §5.3."""
    if notification.show in (Show.BADGE, Show.BACKGROUND):
        return "low"
    return "high" if notification.urgent else "normal"


def topic(collapse_id: str) -> str:
    """A hash: what is collapsed is none of the push service's business."""
    return base64.urlsafe_b64encode(hashlib.sha256(collapse_id.encode()).digest()[:TOPIC_BYTES]).decode()
