"""A notification as FCM takes it, in the words of pyfcm's `parse_payload`. Pure.

A phone shows ALERT by itself, with `notification`; all others are data alone, for the app. What an app finds in `data`:
`message_id`, `show`, `conversation` and `badge`, and what the sender put there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from push_workloads.push.fitting import fitted
from push_workloads.push.notification import Notification, Show

MAX_BYTES: Final = 4096  # of the message, without the device's token
MAX_TTL: Final = 28 * 86400  # seconds: FCM keeps nothing for longer
_TAKEN: Final = ("from", "message_type", "collapse_key")  # FCM refuses these, and what begins like those below
_TAKEN_PREFIXES: Final = ("google", "gcm")

Words = dict[str, Any]


def message(notification: Notification, token: str, now: float, build: Callable[[Words], bytes]) -> bytes:
    """What `build` makes of it for the device with this token. The body is cut where it must be. `now` in Unix seconds.
    Raises TooLarge."""
    return fitted(notification, lambda told: build(words(told, now) | {"fcm_token": token}), MAX_BYTES + len(token))


def words(notification: Notification, now: float) -> Words:
    """The arguments of pyfcm's `parse_payload`, all but the token."""
    made: Words = {"data_payload": _data(notification), "android_config": _android(notification, now)}
    if notification.show is Show.ALERT:
        made["notification_title"] = notification.title
        made["notification_body"] = notification.body
    return made


def _android(notification: Notification, now: float) -> Words:
    """https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages#androidconfig"""
    made: Words = {
        "priority": "HIGH" if _wakes(notification) else "NORMAL",
        "ttl": f"{max(0, min(MAX_TTL, int(notification.expires_at - now)))}s",
    }
    if notification.collapse_id is not None:
        made["collapse_key"] = notification.collapse_id
    if notification.show is Show.ALERT:
        shown: Words = {"default_sound": True}
        if notification.collapse_id is not None:
            shown["tag"] = notification.collapse_id
        if notification.badge is not None:
            shown["notification_count"] = max(0, notification.badge)
        made["notification"] = shown
    return made


def _wakes(notification: Notification) -> bool:
    """HIGH is for what is shown at once: FCM lowers the priority of apps that use it for anything else."""
    return notification.urgent and notification.show in (Show.ALERT, Show.VOIP)


def _data(notification: Notification) -> dict[str, str]:
    made = {_free(name): _text(value) for name, value in (notification.data or {}).items()}
    made |= {"message_id": notification.message_id, "show": notification.show.value}
    if notification.conversation is not None:
        made["conversation"] = notification.conversation
    if notification.badge is not None:
        made["badge"] = str(notification.badge)
    if notification.show is not Show.ALERT:  # the app shows it, if anybody does
        shown = {"title": notification.title, "body": notification.body}
        made |= {name: text for name, text in shown.items() if text is not None}
    return made


def _free(name: str) -> str:
    """A name that FCM takes."""
    taken = name in _TAKEN or name.startswith(_TAKEN_PREFIXES)
    return f"_{name}" if taken else name


def _text(value: Any) -> str:
    """FCM's data has only strings: anything else goes in as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
