"""Which devices are taken."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.errors import BadRequest
from push_workloads.push.devices import (
    DeviceRegistration,
    Platform,
    Subscription,
    SubscriptionKeys,
    device_of,
    format_place,
    parse_place,
)

POINT = base64.urlsafe_b64encode(b"\x04" + b"p" * 64).rstrip(b"=").decode()
SECRET = base64.urlsafe_b64encode(b"s" * 16).decode()
ENDPOINT = "https://push.example.com/send/abc"


def _web(endpoint: str = ENDPOINT, p256dh: str = POINT, auth: str = SECRET) -> DeviceRegistration:
    keys = SubscriptionKeys(p256dh, auth)
    return DeviceRegistration("d1", "webpush", subscription=Subscription(endpoint, keys))


def test_a_phone() -> None:
    device = device_of("u1", DeviceRegistration("d1", "fcm", token="secret-token-123456", app="com.example"), 7)
    assert (device.user_id, device.device_id, device.address, device.app) == (
        "u1",
        "d1",
        "secret-token-123456",
        "com.example",
    )
    assert (device.created_at, device.updated_at) == (7, 7)
    assert device.ending == "123456"


def test_what_is_said_of_the_app_is_kept() -> None:
    asked = DeviceRegistration(
        "d1", "fcm", token="t" * 9, locale="zh-Hant-TW", time_zone="Asia/Taipei", app_version="4.2.1-rc.1+7"
    )
    device = device_of("u1", asked, 7)
    assert (device.locale, device.time_zone, device.app_version) == ("zh-Hant-TW", "Asia/Taipei", "4.2.1-rc.1+7")


def test_a_browser() -> None:
    device = device_of("u1", _web(), 7)
    assert (device.address, device.p256dh, device.auth) == (ENDPOINT, POINT, SECRET)


REFUSED = {
    "empty device id": (DeviceRegistration("", "fcm", token="t"), "device_id"),
    "long device id": (DeviceRegistration("d" * 65, "fcm", token="t"), "device_id"),
    "device id with a dot": (DeviceRegistration("a.b", "fcm", token="t"), "device_id"),
    "device id ending in a line": (DeviceRegistration("ab\n", "fcm", token="t"), "device_id"),
    "app": (DeviceRegistration("d", "fcm", token="t", app="a b"), "app"),
    "locale with an underscore": (DeviceRegistration("d", "fcm", token="t", locale="de_CH"), "locale"),
    "no locale": (DeviceRegistration("d", "fcm", token="t", locale=""), "locale"),
    "long locale": (DeviceRegistration("d", "fcm", token="t", locale="de" + "-abcdefgh" * 4), "locale"),
    "no such time zone": (DeviceRegistration("d", "fcm", token="t", time_zone="Europe/Atlantis"), "time_zone"),
    "time zone that is a path": (DeviceRegistration("d", "fcm", token="t", time_zone="../etc/passwd"), "time_zone"),
    "offset as time zone": (DeviceRegistration("d", "fcm", token="t", time_zone="+02:00"), "time_zone"),
    "app version": (DeviceRegistration("d", "fcm", token="t", app_version="4 2"), "app_version"),
    "no token": (DeviceRegistration("d", "fcm"), "token"),
    "empty token": (DeviceRegistration("d", "apns", token=""), "token"),
    "long token": (DeviceRegistration("d", "fcm", token="t" * 4097), "token"),
    "token with a line": (DeviceRegistration("d", "fcm", token="t\r\nX: y"), "token"),
    "phone with a subscription": (
        DeviceRegistration("d", "fcm", token="t", subscription=_web().subscription),
        "subscription",
    ),
    "browser with a token": (DeviceRegistration("d", "webpush", token="t"), "subscription"),
    "plain http": (_web(endpoint="http://push.example.com/x"), "subscription.endpoint"),
    "an endless name": (_web(endpoint=f"https://{'a' * 64}.example/"), "subscription.endpoint"),
    "an empty part of a name": (_web(endpoint="https://a..b/"), "subscription.endpoint"),
    "a name that begins with a dot": (_web(endpoint="https://.evil.example/"), "subscription.endpoint"),
    "no host": (_web(endpoint="https:///x"), "subscription.endpoint"),
    "user in the address": (_web(endpoint="https://u:p@push.example.com/"), "subscription.endpoint"),
    "bad port": (_web(endpoint="https://push.example.com:99999/"), "subscription.endpoint"),
    "long endpoint": (_web(endpoint=ENDPOINT + "x" * 2048), "subscription.endpoint"),
    "space in the endpoint": (_web(endpoint=ENDPOINT + " x"), "subscription.endpoint"),
    "compressed point": (
        _web(p256dh=base64.urlsafe_b64encode(b"\x02" + b"p" * 64).decode()),
        "subscription.keys.p256dh",
    ),
    "no base64": (_web(p256dh="!"), "subscription.keys.p256dh"),
    "short secret": (_web(auth="c2hvcnQ"), "subscription.keys.auth"),
}


@pytest.mark.parametrize(("asked", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(asked: DeviceRegistration, field: str) -> None:
    with pytest.raises(BadRequest, match=rf"^{field}: "):
        device_of("u1", asked, 7)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
    st.sampled_from(["fcm", "apns"]),
)
def test_the_ending_never_gives_the_token_away(token: str, platform: Platform) -> None:
    ending = device_of("u1", DeviceRegistration("d1", platform, token=token), 7).ending
    assert token.endswith(ending)
    assert len(ending) <= min(6, len(token) // 2)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=32),
    st.from_regex(r"[A-Za-z0-9_-]{0,64}", fullmatch=True),
)
def test_a_place_is_read_as_it_was_written(user_id: str, device_id: str) -> None:
    assert parse_place(format_place(user_id, device_id)) == (user_id, device_id)


@given(st.text())
def test_what_is_no_place_is_refused_and_nothing_else_happens(text: str) -> None:
    try:
        assert format_place(*parse_place(text)) == text
    except ValueError:
        return
