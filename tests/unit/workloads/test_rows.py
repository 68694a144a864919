"""What of the log becomes which row of history."""

from __future__ import annotations

import msgspec
import pytest

from push_workloads.common import changes
from push_workloads.common.subjects import BadId, channel_subject, log_subject, logged_channel
from push_workloads.message.model import Message, decode_payload, is_direct, just_after, listings, parse_cursor, row_of

MESSAGE = {"message_id": "m1", "from": "ann", "conversation": "x", "content": {"n": 1}, "sent_at": 7}


def row(channel: str, **fields: object) -> Message | None:
    return row_of(channel_subject(channel), decode_payload(msgspec.json.encode(MESSAGE | fields)))


@pytest.mark.parametrize("inbox", ["user:ann", "user:bob"])
def test_both_copies_of_a_direct_message_are_one_row(inbox: str) -> None:
    assert row(inbox, recipient_id="bob") == Message("ann|bob", 7, "m1", "ann", "bob", "text", None, b'{"n":1}')


@pytest.mark.parametrize(("channel", "key"), [("group:a.b", "g.a=2Eb"), ("topic:news", "t.news")])
def test_a_message_of_a_channel_has_no_recipient(channel: str, key: str) -> None:
    made = row(channel, kind="edit", ref="m0")
    assert made == Message(key, 7, "m1", "ann", "", "edit", "m0", b'{"n":1}')
    assert not is_direct(made)
    assert list(listings([made])) == []


@pytest.mark.parametrize(("channel", "fields"), [("group:a", {"recipient_id": "bob"}), ("user:bob", {})])
def test_a_message_of_another_kind_of_channel_is_none(channel: str, fields: dict[str, object]) -> None:
    with pytest.raises(BadId):
        row(channel, **fields)


def test_a_change_is_a_row_of_its_group_and_none_of_an_inbox() -> None:
    change = changes.Change(
        change="added", message_id="m1", group_id="a", by="ann", sent_at=7, user_ids=["bob"], name="The group"
    )
    payload = changes.encode(change)
    made = row_of("g.a", decode_payload(payload))
    assert made == Message("g.a", 7, "m1", "ann", "", "system", None, payload)
    assert row_of("u.bob", decode_payload(payload)) is None


@pytest.mark.parametrize("raw", [b"{}", b'{"change":"sold"}', b'{"message_id":1}', b""])
def test_what_is_neither_is_told(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_payload(raw)


@pytest.mark.parametrize(
    "fields",
    [
        {"message_id": ""},
        {"message_id": "a b"},
        {"message_id": "a" * 65},
        {"sent_at": -1},
        {"sent_at": 10**15},
        {"from": ""},
    ],
)
def test_what_no_store_could_hold_is_told(fields: dict[str, object]) -> None:
    with pytest.raises(BadId):
        row("group:a", **fields)
    change = {"change": "added", "message_id": "m", "group_id": "a", "by": "ann", "sent_at": 7}
    if "from" not in fields:
        with pytest.raises(BadId):
            decode_payload(msgspec.json.encode(change | fields))


def test_the_channel_of_a_log_message_is_known() -> None:
    subject = channel_subject("topic:a.b>c")
    assert logged_channel(log_subject(subject, 16)) == subject


def test_nothing_is_between_a_place_and_what_comes_after_it() -> None:
    place = parse_cursor("7.a")
    assert place < just_after(place) < parse_cursor("7.a-") < parse_cursor("7.b")
