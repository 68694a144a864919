"""What a device is to show, and when a send is tried again."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.push.carrier import Later
from push_workloads.push.devices import Device, Platform
from push_workloads.push.notification import Show
from push_workloads.push.rendering import MAX_TEXT, Plain, collapse_id, silenced
from push_workloads.push.retrying import LAST_MS, MAX_ATTEMPTS, next_try

DEVICE = Device("ann", "phone", "fcm", "token", None, None, None, 0, 0)
FIT = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


def _job(content: Any = "hello", hint: Hint | None = None, conversation: str = "user:bob") -> PushJob:
    return PushJob("j", "ann", "m", "user:ann", 7, "bob", 1_000_000, content, hint, "e1", conversation)


def test_without_a_hint_it_says_who_wrote_what() -> None:
    made = Plain().render(_job(), DEVICE, 4)
    assert (made.message_id, made.show, made.title, made.body, made.badge) == ("m", Show.ALERT, "bob", "hello", 4)
    assert (made.expires_at, made.conversation) == (1_000 + 86_400, "user:bob")


@pytest.mark.parametrize(
    ("content", "body"),
    [({"text": "hi"}, "hi"), ({"text": 5}, None), ({"image": "x"}, None), (None, None), ("", None), ([1], None),
     ("x" * 5000, "x" * MAX_TEXT)],
)  # fmt: skip
def test_the_text_of_a_message(content: Any, body: str | None) -> None:
    assert Plain().render(_job(content), DEVICE, None).body == body


def test_the_senders_words_come_first() -> None:
    hint = Hint(title="News", body="Something", data={"a": 1}, collapse_key="news", ttl_s=60)
    made = Plain().render(_job(hint=hint), DEVICE, None)
    assert (made.title, made.body, made.data, made.collapse_id) == ("News", "Something", {"a": 1}, "news")
    assert made.expires_at == 1_060


def test_what_is_silent_shows_nothing() -> None:
    made = Plain().render(_job(hint=Hint(title="News", silent=True, data={"a": 1})), DEVICE, 3)
    assert (made.show, made.title, made.body, made.data) == (Show.BACKGROUND, None, None, {"a": 1})
    badge = silenced(Plain().render(_job(), DEVICE, 3))
    assert (badge.show, badge.title, badge.body, badge.data, badge.badge) == (Show.BADGE, None, None, None, 3)


@pytest.mark.parametrize(
    ("platform", "app", "show"),
    [
        ("apns", "com.example.chat.voip", Show.VOIP), ("apns", "com.example.chat", Show.ALERT),
        ("apns", None, Show.ALERT), ("fcm", None, Show.VOIP), ("webpush", None, Show.VOIP),
    ],
)  # fmt: skip
def test_a_call_rings_where_it_can(platform: Platform, app: str | None, show: Show) -> None:
    device = DEVICE._replace(platform=platform, app=app)
    made = Plain().render(_job(hint=Hint(title="Ann", call=True)), device, 3)
    assert (made.show, made.title, made.expires_at) == (show, "Ann", 1_030)


def test_no_later_message_takes_a_calls_place() -> None:
    assert Plain().render(_job(hint=Hint(call=True)), DEVICE, None).collapse_id is None
    assert Plain().render(_job(hint=Hint(call=True, collapse_key="call-7")), DEVICE, None).collapse_id == "call-7"


@given(st.none() | st.text(max_size=200), st.text(max_size=200))
def test_a_collapse_id_fits_every_provider(key: str | None, conversation: str) -> None:
    made = collapse_id(key, conversation)
    assert made == collapse_id(key, conversation)
    if made is None:
        assert not key
        assert not conversation
    else:
        assert FIT.fullmatch(made)


def test_conversations_do_not_collapse_into_one_another() -> None:
    assert len({collapse_id(None, f"user:{number}") for number in range(1000)}) == 1000


@given(st.integers(0, MAX_ATTEMPTS - 2), st.none() | st.floats(0, 86_400), st.floats(0, 1), st.integers(0, 10**9))
def test_a_retry_is_not_before_the_provider_says_so_nor_too_late(
    attempt: int, after_s: float | None, draw: float, expires_ms: int
) -> None:
    at = next_try(Later("busy", after_s), attempt, 0, expires_ms, draw)
    if at is not None:
        assert round((after_s or 0) * 1000) <= at < expires_ms
        assert at <= round((after_s or 0) * 1000) + LAST_MS
    else:
        assert round((after_s or 0) * 1000) + LAST_MS >= expires_ms


def test_it_is_tried_so_often_and_no_more() -> None:
    assert next_try(Later("busy"), MAX_ATTEMPTS - 2, 0, 10**12, 1.0) is not None
    assert next_try(Later("busy"), MAX_ATTEMPTS - 1, 0, 10**12, 1.0) is None


def test_what_the_provider_was_not_asked_about_is_no_attempt() -> None:
    """Else a halt of the project would use up what it has not even been asked. Pauses grow all the same."""
    halted = Later("halted", 5.0, asked=False)
    assert next_try(halted, MAX_ATTEMPTS - 1, 0, 10**12, 0.0) == 5_000
    assert next_try(halted, MAX_ATTEMPTS - 1, 0, 5_000, 0.0) is None
    assert [next_try(halted, 0, 0, 10**12, 1.0, kept) for kept in (0, 1, 5000)] == [7_000, 9_000, LAST_MS + 5_000]


def test_pauses_grow_and_are_drawn_from_nothing_on() -> None:
    longest = [next_try(Later("busy"), attempt, 0, 10**12, 1.0) for attempt in range(6)]
    assert longest == [2_000, 4_000, 8_000, 16_000, 32_000, 64_000]
    assert next_try(Later("busy"), 5, 0, 10**12, 0.0) == 0
