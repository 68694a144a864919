"""What a device is, and which registrations are taken. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.subjects import identifier, token
from push_workloads.push.zones import zone

MAX_DEVICES = 50
MAX_TOKEN = 4096
MAX_ENDPOINT = 2048
MAX_APP = 255
MAX_LOCALE = 35  # RFC 5646 §4.4.1
MAX_SCAN = 1000
SHOWN = 6
P256DH_BYTES, AUTH_BYTES = 65, 16  # RFC 8291 §3.1 and §3.2: an uncompressed P-256 point, a 16-byte secret
VOIP = ".voip"  # ends the topic of a token from PushKit
Platform = Literal["fcm", "apns", "webpush"]
_DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_APP = re.compile(r"[A-Za-z0-9._:/-]{1,255}")
_LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_VERSION = re.compile(r"[A-Za-z0-9._+-]{1,64}")


class SubscriptionKeys(Struct):
    p256dh: str
    auth: str


class Subscription(Struct):
    """What a browser's `PushSubscription.toJSON()` gives."""

    endpoint: str
    keys: SubscriptionKeys


class DeviceRegistration(Struct):
    """`token` for fcm and apns, `subscription` for webpush. `app`: bundle id or package, where there are several.
    `locale`: as `de-CH` (BCP 47). `time_zone`: as `Europe/Zurich` (IANA). `app_version`: as `4.2.1`.
    """

    device_id: str
    platform: Platform
    token: str | None = None
    subscription: Subscription | None = None
    app: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    app_version: str | None = None


class Device(NamedTuple):
    """`address` is where its notifications go: a token, or a webpush endpoint. One address has one owner."""

    user_id: str
    device_id: str
    platform: Platform
    address: str
    p256dh: str | None
    auth: str | None
    app: str | None
    created_at: int
    updated_at: int
    locale: str | None = None
    time_zone: str | None = None
    app_version: str | None = None

    @property
    def calls_only(self) -> bool:
        """A token from PushKit: Apple takes nothing for it but calls."""
        return self.platform == "apns" and self.app is not None and self.app.endswith(VOIP)

    @property
    def rings(self) -> bool:
        """Whether its app can be woken to ring. Apple does that by such a token alone; by others it shows an alert."""
        return self.platform != "apns" or self.calls_only

    @property
    def ending(self) -> str:
        """Enough to tell two devices apart, never enough to send to one."""
        return self.address[-min(SHOWN, len(self.address) // 2) :] if len(self.address) > 1 else ""


class DevicePage(NamedTuple):
    """`after`: where the next page begins; None when this is the last."""

    devices: list[Device]
    after: str | None


def format_place(user_id: str, device_id: str) -> str:
    """A place among all devices, as text."""
    return f"{token(user_id)}.{device_id}"


def parse_place(text: str) -> tuple[str, str]:
    """User and device of a place. Raises ValueError."""
    user, _, device_id = text.partition(".")
    place = identifier(user), device_id
    if format_place(*place) != text or (device_id and not _DEVICE_ID.fullmatch(device_id)):
        raise ValueError("no place among the devices")
    return place


def device_of(user_id: str, asked: DeviceRegistration, now_ms: int) -> Device:
    """The device that a registration asks for. BadRequest names the field that is wrong."""
    if not _DEVICE_ID.fullmatch(asked.device_id):
        raise BadRequest("device_id: 1 to 64 of A-Z a-z 0-9 _ -")
    _check_app(asked)
    if asked.platform == "webpush":
        address, p256dh, auth = _webpush(asked)
    else:
        address, p256dh, auth = _token(asked), None, None
    return Device(
        user_id=user_id,
        device_id=asked.device_id,
        platform=asked.platform,
        address=address,
        p256dh=p256dh,
        auth=auth,
        app=asked.app,
        created_at=now_ms,
        updated_at=now_ms,
        locale=asked.locale,
        time_zone=asked.time_zone,
        app_version=asked.app_version,
    )


def _check_app(asked: DeviceRegistration) -> None:
    """What is said of the app and of where it runs."""
    if asked.app is not None and not _APP.fullmatch(asked.app):
        raise BadRequest(f"app: 1 to {MAX_APP} of A-Z a-z 0-9 . _ : / -")
    if asked.locale is not None and (len(asked.locale) > MAX_LOCALE or not _LOCALE.fullmatch(asked.locale)):
        raise BadRequest("locale: a language tag of BCP 47, as de-CH")
    if asked.time_zone is not None and zone(asked.time_zone) is None:
        raise BadRequest("time_zone: a name of the IANA database, as Europe/Zurich")
    if asked.app_version is not None and not _VERSION.fullmatch(asked.app_version):
        raise BadRequest("app_version: 1 to 64 of A-Z a-z 0-9 . _ + -")


def _token(asked: DeviceRegistration) -> str:
    text = asked.token
    if asked.subscription is not None:
        raise BadRequest(f"subscription: is for webpush; {asked.platform} takes a token")
    if not text or len(text) > MAX_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
        raise BadRequest(f"token: 1 to {MAX_TOKEN} printable ASCII characters, as {asked.platform} gave it")
    return text


def _webpush(asked: DeviceRegistration) -> tuple[str, str, str]:
    if asked.token is not None or asked.subscription is None:
        raise BadRequest("subscription: webpush takes {endpoint, keys: {p256dh, auth}} and no token")
    given = asked.subscription
    if not _is_endpoint(given.endpoint):
        raise BadRequest(f"subscription.endpoint: an https address of at most {MAX_ENDPOINT} characters")
    p256dh = _decoded(given.keys.p256dh)
    if len(p256dh) != P256DH_BYTES or p256dh[0] != 4:
        raise BadRequest("subscription.keys.p256dh: an uncompressed P-256 point in base64url")
    if len(_decoded(given.keys.auth)) != AUTH_BYTES:
        raise BadRequest(f"subscription.keys.auth: {AUTH_BYTES} bytes in base64url")
    return given.endpoint, given.keys.p256dh, given.keys.auth


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        plain = not parts.username and not parts.password and (parts.port or 443) > 0
        (parts.hostname or "").encode("idna")
    except ValueError:  # of a port, of brackets, of a name with an empty or an endless part
        return False
    fits = len(text) <= MAX_ENDPOINT and text.isascii() and text.isprintable() and " " not in text
    return fits and plain and parts.scheme == "https" and bool(parts.hostname)


def _decoded(text: str) -> bytes:
    """Base64url with or without padding; empty when it is none."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
