"""From a job to what a device is to show. Pure."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final, Protocol

from msgspec.structs import replace

from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show
from push_workloads.push.policy import matter_of

MAX_TEXT: Final = 1000  # characters; more is shown nowhere, and carriers cut it to what their provider takes
_TOPIC: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)  # RFC 8030 §5.4, the narrowest of the three
_TOPIC_BYTES: Final = 18


class Renderer(Protocol):
    def render(self, job: PushJob, device: Device, badge: int | None) -> Notification:
        """What this device is to show. Never raises: a job that came this far is told."""


class Plain:
    """A Renderer without templates: the sender's words, else who wrote, and what."""

    def render(self, job: PushJob, device: Device, badge: int | None) -> Notification:
        """The same for all devices, but for how a call comes to notice."""
        hint = job.hint or Hint()
        conversation = "" if hint.call else job.conversation  # a call must not go under in a later message
        return Notification(
            message_id=job.message_id,
            show=show_of(hint, device),
            expires_at=matter_of(job).expires_ms // 1000,
            title=None if hint.silent else hint.title or job.sender,
            body=None if hint.silent else hint.body or text_of(job.content),
            data=hint.data,
            badge=badge,
            collapse_id=collapse_id(hint.collapse_key, conversation),
            conversation=job.conversation or None,
        )


def show_of(hint: Hint, device: Device) -> Show:
    if hint.silent:
        return Show.BACKGROUND
    return Show.VOIP if hint.call and device.rings else Show.ALERT


def silenced(notification: Notification) -> Notification:
    """Nothing but the badge is left of it."""
    return replace(notification, show=Show.BADGE, title=None, body=None, data=None, urgent=False)


def collapse_id(key: str | None, conversation: str) -> str | None:
    """By which a later notification takes the place of an earlier one: the sender's own, else one for each
    conversation. It is fit for all providers, Web Push's `Topic` included."""
    if key and _TOPIC.fullmatch(key):
        return key
    name = key or conversation
    return _hashed(name) if name else None


def _hashed(name: str) -> str:
    raw = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_TOPIC_BYTES).digest()
    return base64.urlsafe_b64encode(raw).decode("ascii")


def text_of(content: Any) -> str | None:
    """The text of a message, where its content is one, or has one as `text`."""
    text = content.get("text") if isinstance(content, dict) else content
    return text[:MAX_TEXT] if isinstance(text, str) and text else None
