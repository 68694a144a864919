"""A notification as Apple takes it: a topic, headers, and JSON that keeps within the limit. Pure.

Where it is too large the body is cut, then the title, each to an ellipsis at most; what the app reads (`data`) is
whole or the notification is refused.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from push_workloads.push.carrier import Refused
from push_workloads.push.devices import VOIP
from push_workloads.push.fitting import CUT, boundary
from push_workloads.push.notification import Notification, Show

MAX_BYTES: Final = 4096
MAX_VOIP_BYTES: Final = 5120
MAX_COLLAPSE_BYTES: Final = 64
TOO_LARGE: Final = Refused("too large")
NOTHING: Final = Refused("nothing to show")
NOT_FOR_VOIP: Final = Refused("a voip token takes voip only")
NO_JSON: Final = Refused("not JSON")
_encode: Final = msgspec.json.Encoder().encode


class Request(NamedTuple):
    """Everything but who we are. `path` has the device's token in it: never in a log. `guessed_topic`: nobody has said
    that the device's token is one for this topic. `own_topic`: the device's registration did."""

    path: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    guessed_topic: bool
    own_topic: bool


def request_of(address: str, app: str | None, topic: str, notification: Notification) -> Request | Refused:
    """`app`: the device's own bundle id, if it is known; `topic`: the configured one."""
    base, is_voip = app or topic, notification.show is Show.VOIP
    if base.endswith(VOIP) and not is_voip:
        return NOT_FOR_VOIP
    body = _body(notification)
    if isinstance(body, Refused):
        return body
    guessed = is_voip and not base.endswith(VOIP)
    headers = (
        (b"apns-topic", (base + VOIP if guessed else base).encode()),
        (b"apns-push-type", _push_type(notification.show)),
        (b"apns-priority", _priority(notification)),
        (b"apns-expiration", b"%d" % max(0, notification.expires_at)),
        *_collapse(notification.collapse_id),
    )
    own = app is not None and app.removesuffix(VOIP) != topic.removesuffix(VOIP)
    return Request(b"/3/device/" + quote(address, safe="").encode(), headers, body, guessed, own)


def limit_of(show: Show) -> int:
    """Bytes."""
    return MAX_VOIP_BYTES if show is Show.VOIP else MAX_BYTES


def _push_type(show: Show) -> bytes:
    """A number at the icon is an alert without a text: a background notification may not carry one."""
    return b"alert" if show is Show.BADGE else show.value.encode()


def _priority(notification: Notification) -> bytes:
    """Apple refuses 10 for the background; a number at the icon is worth no battery."""
    at_once = notification.urgent and notification.show in (Show.ALERT, Show.VOIP)
    return b"10" if at_once else b"5"


def _collapse(collapse_id: str | None) -> tuple[tuple[bytes, bytes], ...]:
    """One that is no header's value or too long is told apart by its digest, which has 64 bytes."""
    if not collapse_id:
        return ()
    fits = len(collapse_id) <= MAX_COLLAPSE_BYTES and collapse_id.isascii() and collapse_id.isprintable()
    plain = fits and collapse_id == collapse_id.strip()
    value = collapse_id if plain else hashlib.sha256(collapse_id.encode(errors="surrogatepass")).hexdigest()
    return ((b"apns-collapse-id", value.encode()),)


def _body(notification: Notification) -> bytes | Refused:
    payload = _payload(notification)
    if not payload["aps"]:
        return NOTHING
    try:
        return _fitted(payload, limit_of(notification.show))
    except (TypeError, ValueError, RecursionError):  # data that came from no JSON
        return NO_JSON


def _payload(notification: Notification) -> dict[str, Any]:
    """`aps` is Apple's; the rest is the app's."""
    aps = _aps(notification)
    if notification.show is Show.BADGE or not aps:
        return {"aps": aps}
    named = {"conversation": notification.conversation, "data": notification.data}
    given = {name: value for name, value in named.items() if value is not None}
    return {"aps": aps, "message_id": notification.message_id, **given}


def _aps(notification: Notification) -> dict[str, Any]:
    """`mutable-content`: an extension of the app may rewrite what is shown, from `data`. A call is always told, text or
    not: the system ends an app that reports none."""
    badge = {} if notification.badge is None else {"badge": max(0, notification.badge)}
    texts = {"title": notification.title, "body": notification.body}
    alert = {name: text for name, text in texts.items() if text}
    shown = {"alert": alert} if alert else {}
    match notification.show:
        case Show.BADGE:
            return badge
        case Show.BACKGROUND:
            return {"content-available": 1, **badge}
        case Show.VOIP:
            return {"alert": alert}
        case Show.ALERT if not alert:
            return badge
    thread = {"thread-id": notification.conversation} if notification.conversation else {}
    mutable = {"mutable-content": 1} if notification.data else {}
    return {**shown, "sound": "default", **badge, **thread, **mutable}


def _fitted(payload: dict[str, Any], limit: int) -> bytes | Refused:
    """Raises TypeError, ValueError or RecursionError where it is no JSON."""
    encoded = _encode(payload)
    alert = payload["aps"].get("alert", {})
    for name in ("body", "title"):
        over = len(encoded) - limit
        if over <= 0:
            break
        if name in alert:
            alert[name] = cut(alert[name], len(_encode(alert[name])) - 2 - over)
            encoded = _encode(payload)
    return encoded if len(encoded) <= limit else TOO_LARGE


def cut(text: str, room: int) -> str:
    """The beginning of `text` and an ellipsis in `room` bytes of JSON, quotation marks aside; never less than the
    ellipsis, never in the middle of what is read as one character, and nothing longer than the text was."""
    room -= len(CUT.encode())
    kept = text[: max(room, 0)]  # each character takes a byte or more
    low, high = 0, len(kept)
    while low < high:
        middle = (low + high + 1) // 2
        if len(_encode(kept[:middle])) - 2 <= room:
            low = middle
        else:
            high = middle - 1
    shortened = text[: boundary(text, low)] + CUT
    return shortened if len(_encode(shortened)) < len(_encode(text)) else text
