"""What a device is to show, whoever carries it there. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Show(StrEnum):
    """How it comes to the user's notice. BADGE: nothing but the number at the app's icon, without a sound."""

    ALERT = "alert"
    BACKGROUND = "background"
    VOIP = "voip"
    BADGE = "badge"


class Notification(Struct, frozen=True, omit_defaults=True):
    """`message_id`: what it stands for; a device gets one notification for it. `collapse_id`: a later one of the same
    conversation takes its place; at most 64 bytes of printable ASCII. `badge`: how many messages are unread, None to
    leave it. `data`: for the app. `expires_at`: Unix seconds; nobody is to be told after that. `urgent`: at once, even
    where that costs the device power."""

    message_id: str
    show: Show
    expires_at: int
    title: str | None = None
    body: str | None = None
    data: dict[str, Any] | None = None
    badge: int | None = None
    collapse_id: str | None = None
    conversation: str | None = None
    urgent: bool = True
