"""A notification as Apple takes it."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from push_workloads.push.apns.payload import Request, cut, limit_of, request_of
from push_workloads.push.carrier import Refused
from push_workloads.push.fitting import CUT
from push_workloads.push.notification import Notification, Show

TOPIC = "com.example.chat"
TOKEN = "a1" * 32
HELLO = Notification(
    "m1", Show.ALERT, 2_000_000_000, "Ann", "hello", {"k": 1}, badge=3, collapse_id="c1", conversation="user:ann"
)


def made(notification: Notification, app: str | None = None, address: str = TOKEN) -> Request:
    request = request_of(address, app, TOPIC, notification)
    assert isinstance(request, Request)
    return request


def headers(request: Request) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in request.headers}


def test_an_alert() -> None:
    request = made(HELLO)
    assert headers(request) == {
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "2000000000",
        "apns-collapse-id": "c1",
    }
    assert json.loads(request.body) == {
        "aps": {
            "alert": {"title": "Ann", "body": "hello"},
            "sound": "default",
            "badge": 3,
            "thread-id": "user:ann",
            "mutable-content": 1,
        },
        "message_id": "m1",
        "conversation": "user:ann",
        "data": {"k": 1},
    }


def test_a_number_at_the_icon_is_an_alert_with_nothing_else() -> None:
    request = made(replace(HELLO, show=Show.BADGE))
    assert request.body == b'{"aps":{"badge":3}}'
    assert (headers(request)["apns-push-type"], headers(request)["apns-priority"]) == ("alert", "5")


def test_a_background_notification_has_no_text_and_never_wakes_at_once() -> None:
    request = made(replace(HELLO, show=Show.BACKGROUND))
    assert json.loads(request.body)["aps"] == {"content-available": 1, "badge": 3}
    assert (headers(request)["apns-push-type"], headers(request)["apns-priority"]) == ("background", "5")


@pytest.mark.parametrize("app", [None, TOPIC, TOPIC + ".voip"])
def test_a_call_has_a_topic_of_its_own(app: str | None) -> None:
    request = made(replace(HELLO, show=Show.VOIP), app)
    assert headers(request)["apns-topic"] == TOPIC + ".voip"
    assert json.loads(request.body)["aps"] == {"alert": {"title": "Ann", "body": "hello"}}
    assert request.guessed_topic == (app != TOPIC + ".voip")
    assert not request.own_topic


def test_a_token_for_calls_gets_nothing_else() -> None:
    assert isinstance(request_of(TOKEN, TOPIC + ".voip", TOPIC, HELLO), Refused)


def test_the_apps_own_name_is_the_topic() -> None:
    request = made(HELLO, "com.example.other")
    assert headers(request)["apns-topic"] == "com.example.other"
    assert request.own_topic and not request.guessed_topic


def test_without_haste() -> None:
    assert headers(made(replace(HELLO, urgent=False)))["apns-priority"] == "5"


@pytest.mark.parametrize("show", [Show.ALERT, Show.BADGE])
def test_nothing_to_show_is_refused(show: Show) -> None:
    assert request_of(TOKEN, None, TOPIC, Notification("m1", show, 1)) == Refused("nothing to show")


def test_an_alert_without_a_text_is_its_number() -> None:
    assert json.loads(made(Notification("m1", Show.ALERT, 1, badge=2)).body)["aps"] == {"badge": 2}


def test_no_token_leaves_its_place_in_the_path() -> None:
    assert made(HELLO, address="../x?y#z%é\n").path == b"/3/device/..%2Fx%3Fy%23z%25%C3%A9%0A"


@pytest.mark.parametrize("collapse_id", ["x" * 65, "é", "a\nb", " a", "\ud800"])
def test_a_collapse_id_that_is_no_header_is_told_apart_by_its_digest(collapse_id: str) -> None:
    one, other = (headers(made(replace(HELLO, collapse_id=text))) for text in (collapse_id, collapse_id + "!"))
    assert len(one["apns-collapse-id"]) == 64
    assert set(one["apns-collapse-id"]) <= set(string.hexdigits)
    assert one["apns-collapse-id"] != other["apns-collapse-id"]


def test_first_the_body_is_cut_then_the_title() -> None:
    both = made(replace(HELLO, title="t" * 3000, body="b" * 3000))
    alert = json.loads(both.body)["aps"]["alert"]
    assert len(both.body) == 4096
    assert alert["title"] == "t" * 3000 and alert["body"].endswith("b…")
    both = made(replace(HELLO, title="t" * 5000, body="b" * 3000))
    alert = json.loads(both.body)["aps"]["alert"]
    assert len(both.body) == 4096
    assert alert["title"].endswith("t…") and alert["body"] == "…"


def test_data_is_never_cut() -> None:
    assert request_of(TOKEN, None, TOPIC, replace(HELLO, data={"k": "x" * 4096})) == Refused("too large")
    assert isinstance(request_of(TOKEN, None, TOPIC, replace(HELLO, data={"k": "x" * 4900}, show=Show.VOIP)), Request)


@pytest.mark.parametrize("data", [{"k": "\ud800"}, {"k": object()}])
def test_what_is_no_json_is_refused(data: dict[str, Any]) -> None:
    assert request_of(TOKEN, None, TOPIC, replace(HELLO, data=data)) == Refused("not JSON")


@pytest.mark.parametrize(
    ("text", "room", "kept"),
    [
        ("hello", 5, "hello"),
        ("hello world", 8, "hello…"),
        ("hello", 0, "…"),
        ("hello", -9, "…"),
        ("", -9, ""),
        ("ab", 0, "ab"),  # no shorter with an ellipsis
        ('"' * 10, 9, '"""…'),  # two bytes each
        ("naïve text", 9, "naïve…"),
        ("cafe\u0301 au lait", 7, "caf…"),  # the accent stays with its letter
        ("👩\u200d👧 are here", 10, "…"),  # a family is one
        ("ok 👍🏽 then", 13, "ok …"),  # and so is a thumb of a colour
    ],
)
def test_where_a_text_is_cut(text: str, room: int, kept: str) -> None:
    assert cut(text, room) == kept


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
texts = st.none() | words | st.tuples(words, st.integers(1, 400)).map(lambda both: both[0] * both[1])
notifications = st.builds(
    Notification,
    message_id=words,
    show=st.sampled_from(Show),
    expires_at=st.integers(-5, 2**40),
    title=texts,
    body=texts,
    data=st.none() | st.dictionaries(words, words | st.integers(-(2**60), 2**60) | st.booleans(), max_size=8),
    badge=st.none() | st.integers(-5, 10**6),
    collapse_id=st.none() | words,
    conversation=st.none() | words,
    urgent=st.booleans(),
)


def shape(value: Any) -> Any:
    """What is left of a payload when its texts are left out."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items() if name not in ("title", "body")}
    return value


@given(notifications, st.none() | st.sampled_from([TOPIC, TOPIC + ".voip", "com.example.other"]))
def test_whatever_it_is_it_fits_and_keeps_its_structure(notification: Notification, app: str | None) -> None:
    request = request_of(TOKEN, app, TOPIC, notification)
    if isinstance(request, Refused):
        return
    assert len(request.body) <= limit_of(notification.show)
    payload = json.loads(request.body.decode())
    short = request_of(TOKEN, app, TOPIC, replace(notification, title=short_of(notification.title),
                                                  body=short_of(notification.body)))  # fmt: skip
    assert isinstance(short, Request)
    assert shape(payload) == shape(json.loads(short.body))
    alert = payload["aps"].get("alert", {})
    for name in alert:
        full = getattr(notification, name)
        assert alert[name] == full or (alert[name][-1] == CUT and full.startswith(alert[name][:-1]))


def short_of(text: str | None) -> str | None:
    return "x" if text else text


@given(notifications)
def test_its_headers_are_such_as_http2_takes(notification: Notification) -> None:
    """The connection itself does not look at them again."""
    request = request_of("no token/é", None, TOPIC, notification)
    if isinstance(request, Request):
        fixed = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", request.path)]
        strict = H2Connection(H2Configuration())
        strict.initiate_connection()
        strict.send_headers(1, [*fixed, *request.headers])


@given(words, st.integers(-10, 200))
def test_a_cut_text_is_a_beginning_within_its_room(text: str, room: int) -> None:
    kept = cut(text, room)
    assert kept == text or (kept[-1] == CUT and text.startswith(kept[:-1]))
    assert kept == text or len(json.dumps(kept, ensure_ascii=False).encode()) - 2 <= max(room, 3) * 6
