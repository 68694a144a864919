"""Which reports count, and what is told of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.questions import Report
from push_workloads.message.model import Position
from push_workloads.message.receipts.reports import MAX_TOLD, direct, frames, newest, of_channel, understood

PLACE = Position(7, "m1")


@pytest.mark.parametrize(
    "report",
    [
        Report("read", "ann", "user:bob", "e", 1, "bob"),  # another's inbox
        Report("read", "ann", "user:ann", "e", 1),  # of no conversation
        Report("read", "ann", "user:ann", "e", 1, ""),
        Report("delivered", "ann", "user:ann", "e", 1, "é" * 100),
        Report("delivered", "ann", "group:x", "e", 1),
        Report("read", "ann", "room:x", "e", 1),
        Report("read", "ann", "group:", "e", 1),
    ],
)
def test_what_makes_no_sense_is_skipped(report: Report) -> None:
    assert understood(report) is None


def test_what_a_report_is_about() -> None:
    assert understood(Report("delivered", "ann", "user:ann", "e", 1, "bob")) == direct("ann", "delivered", "bob")
    assert understood(Report("read", "ann", "topic:x", "e", 1)) == of_channel("ann", "topic:x")
    assert direct("bob", "read", "ann").conversation == direct("ann", "read", "bob").conversation == "ann|bob"


reports = st.builds(
    Report,
    kind=st.sampled_from(["delivered", "read"]),
    user_id=st.sampled_from(["ann", "bob"]),
    channel=st.sampled_from(["user:ann", "group:x"]),
    epoch=st.sampled_from(["e", "f"]),
    seq=st.integers(1, 5),
    conversation=st.sampled_from([None, "bob"]),
)


@given(st.lists(reports))
def test_of_many_the_one_that_reaches_furthest_stays(given: list[Report]) -> None:
    def key(one: Report) -> tuple[str | None, ...]:
        return one.user_id, one.kind, one.channel, one.conversation, one.epoch

    kept = newest(given)
    assert len({key(one) for one in kept}) == len(kept) == len({key(one) for one in given})
    assert all(one.seq == max(other.seq for other in given if key(other) == key(one)) for one in kept)


def told(*made: tuple[str, bytes]) -> dict[str, object]:
    return {subject: json.loads(frame) for subject, frame in made}


def receipt(**fields: object) -> dict[str, object]:
    return {"type": "receipt", "by": "ann", "message_id": "m1", "sent_at": 7, **fields}


def test_read_tells_the_other_user_and_the_readers_own_devices() -> None:
    assert told(*frames(direct("ann", "read", "bo b"), PLACE, 0)) == {
        "eph.u.bo=20b": receipt(kind="read", conversation="ann"),
        "eph.u.ann": receipt(kind="read", conversation="bo b"),
    }


def test_delivered_tells_the_other_user_alone() -> None:
    assert told(*frames(direct("ann", "delivered", "bob"), PLACE, 0)) == {
        "eph.u.bob": receipt(kind="delivered", conversation="ann")
    }


def test_a_note_to_oneself_is_told_once() -> None:
    assert len(frames(direct("ann", "read", "ann"), PLACE, 0)) == 1
    assert frames(direct("ann", "delivered", "ann"), PLACE, 0) == []


@pytest.mark.parametrize(
    ("channel", "members", "subject"),
    [
        ("group:x", 2, "eph.g.x"),
        ("group:x", MAX_TOLD, "eph.g.x"),
        ("group:x", MAX_TOLD + 1, "eph.u.ann"),
        ("topic:x", 0, "eph.u.ann"),
    ],
)
def test_a_channel_is_told_unless_too_many_read_it(channel: str, members: int, subject: str) -> None:
    made = frames(of_channel("ann", channel), PLACE, members)
    assert told(*made) == {subject: receipt(kind="read", channel=channel)}
