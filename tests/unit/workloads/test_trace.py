"""The message service's part of a trace: which copies there are, and how far a recipient has come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common import changes
from push_workloads.common.changes import Change
from push_workloads.common.subjects import channel_name, group, inbox
from push_workloads.message.model import Mark, MarkKind, Message, Position, conversation_key
from push_workloads.message.trace import (
    Recipient,
    Via,
    copies,
    direct_recipients,
    recipient,
    trace_id,
    traced,
    via_of,
)

IDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def direct(sender: str, other: str) -> Message:
    return Message(conversation_key(sender, other), 5, "m5", sender, other, "text", None, b'"a secret"')


def told(subject: str, kind: str = "text", content: bytes = b"1") -> Message:
    return Message(subject, 5, "m5", "ann", "", kind, None, content)


@given(sender=IDS, other=IDS)
def test_the_copies_are_in_the_inboxes_of_both(sender: str, other: str) -> None:
    row = direct(sender, other)
    found = [(channel_name(subject), whose) for subject, whose in copies(row)]
    if sender == other:
        assert (found, direct_recipients(row)) == ([(inbox(sender), "sender")], [])
    else:
        assert found == [(inbox(other), "recipient"), (inbox(sender), "sender")]
        assert direct_recipients(row) == [other]
    shown = traced(row)
    assert (shown.sender, shown.to, shown.bytes) == (sender, inbox(other), 10)


@given(IDS)
def test_of_a_channel_there_is_one_copy(name: str) -> None:
    (subject,) = [subject for subject, _ in copies(direct(name, name))]
    row = told("g." + subject.removeprefix("u."))
    assert copies(row) == [(row.conversation, "everyone")]
    assert traced(row).to == group(name)


def test_a_change_is_called_by_its_name() -> None:
    change = Change(change="renamed", message_id="m5", group_id="team", by="ann", sent_at=5, name="A secret")
    shown = traced(told("g.team", "system", changes.encode(change)))
    assert (shown.kind, shown.change) == ("system", "renamed")
    assert "secret" not in str(shown)


@pytest.mark.parametrize(
    ("marks", "delivered", "read"),
    [
        ([], False, False),
        ([("delivered", Position(4, "m9"))], False, False),
        ([("delivered", Position(5, "m5"))], True, False),
        ([("read", Position(5, "m4"))], False, False),
        ([("read", Position(5, "m5"))], True, True),
        ([("read", Position(4, "m1")), ("delivered", Position(6, "m1"))], True, False),
    ],
)
def test_how_far_a_recipient_has_come(marks: list[tuple[MarkKind, Position]], delivered: bool, read: bool) -> None:
    row, team = direct("ann", "bob"), told("g.team")
    held = [Mark("bob", row.conversation, kind, place) for kind, place in marks]
    others = [Mark("ann", row.conversation, "read", Position(9, "m9"))]
    assert recipient(row, "bob", held + others) == Recipient("bob", delivered, read)
    assert recipient(team, "bob", held) == Recipient("bob", None, read)


@pytest.mark.parametrize(
    ("headers", "via", "spans"),
    [
        ([], None, None),
        ([None, "gateway-1 phone"], Via("gateway-1", "phone"), None),
        (["", "one", "a b c"], None, None),
        (["00-abc-def-01"], None, "abc"),
    ],
)
def test_what_the_headers_say(headers: list[str | None], via: Via | None, spans: str | None) -> None:
    assert (via_of(headers), trace_id(headers)) == (via, spans)
