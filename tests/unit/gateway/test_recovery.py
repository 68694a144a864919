"""Catching up, against a model that is a list: whatever interleaves, a channel comes whole, in order and once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.test_session import (
    GENEROUS,
    INBOX,
    message,
    one,
    opened,
    passed,
    says,
    send,
    sent,
    welcomed,
    who,
)

from push_workloads.common.sending import Publish
from push_workloads.gateway.actions import Action, Close, Cursor, Recover
from push_workloads.gateway.cursors import place_of
from push_workloads.gateway.frames import Place, message_head
from push_workloads.gateway.joining import Joining
from push_workloads.gateway.recovery import MAX_HELD, MAX_HELD_BYTES, Behind, Delivered, Entry, LogState, judge, replay
from push_workloads.gateway.session import Session

HEAD = message_head("user:ann", "e1")


def page(*seqs: int, after: int = 0) -> list[Delivered]:
    return list(replay(HEAD, after, [Entry(seq, f"m{seq}", b'{"n":1}') for seq in seqs]))


def resumed(session: Session, since: int, **more: Any) -> Recover:
    frame = {"type": "resume", "channels": {"user:ann": {"epoch": "e1", "seq": since}}, **more}
    recover: Recover = one(says(session, frame), Recover)
    return recover


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (Place("e1", 9), None),
        (Place("e1", 10), None),
        (Place("e1", 20), None),
        (Place("e1", 8), "too_old"),
        (Place("e1", 0), "too_old"),
        (Place("e1", 21), "epoch_changed"),  # beyond the log's end: of another log, or a lie
        (Place("e0", 10), "epoch_changed"),
        (Place("", 2**63), "epoch_changed"),
    ],
)
def test_what_a_cursor_is_worth(place: Place, reason: str | None) -> None:
    assert judge(place, "e1", LogState("e1", 10, 20)) == reason


def test_nothing_missed_is_answered_without_a_look() -> None:
    frame = {"type": "resume", "id": "r", "channels": {"user:ann": {"epoch": "e1", "seq": 10}}}
    (answer,) = sent(says(opened(head=10), frame))
    head = {"type": "subscribed", "channel": "user:ann", "epoch": "e1", "seq": 10, "since": 10}
    assert answer == head | {"recovered": True, "id": "r"}


def test_what_was_missed_comes_in_order_then_what_came_meanwhile_then_live() -> None:
    session = opened(head=10)
    recover = resumed(session, 4, id="r")
    assert recover.place == Place("e1", 4)
    assert passed(session, message(11)) == []
    (subscribed,) = sent(session.positioned(recover, "e1", 10, None))
    assert (subscribed["seq"], subscribed["since"], subscribed["recovered"], subscribed["id"]) == (10, 4, True, "r")
    first = sent(session.replayed(recover, page(5, 7)))
    assert [(frame["seq"], frame["prev"], frame["replayed"]) for frame in first] == [(5, 0, True), (7, 5, True)]
    assert session.wanted(recover) == 7
    assert passed(session, message(12)) == []
    rest = sent(session.replayed(recover, page(8, 10, 11)))
    assert [frame["seq"] for frame in rest] == [8, 10, 11, 12]
    assert session.wanted(recover) is None
    assert passed(session, message(13)) == [message(13).frame]


@pytest.mark.parametrize("reason", ["epoch_changed", "too_old"])
def test_a_cursor_of_no_use_says_why_and_goes_on_at_the_head(reason: str) -> None:
    session = opened(head=10)
    recover = resumed(session, 4)
    passed(session, message(11))
    subscribed, live = sent(session.positioned(recover, "e1", 10, reason))
    assert (subscribed["recovered"], subscribed["reason"], subscribed["seq"]) == (False, reason, 10)
    assert live["seq"] == 11


def test_a_cursor_ahead_of_the_head_hides_nothing() -> None:
    session = opened(head=10)
    recover = resumed(session, 99)
    assert sent(session.positioned(recover, "e1", 10, None))[0]["recovered"]
    assert passed(session, message(11)) == [message(11).frame]


def test_what_the_log_forgot_during_a_replay_is_told() -> None:
    session = opened(head=10)
    recover = resumed(session, 4)
    list(session.positioned(recover, "e1", 10, None))
    passed(session, message(11))
    told, live = sent(session.gave_up(recover, "too_old"))
    assert (told["recovered"], told["reason"], live["seq"]) == (False, "too_old", 11)


def test_a_log_that_has_nothing_more_ends_the_replay() -> None:
    session = opened(head=10)
    recover = resumed(session, 4)
    list(session.positioned(recover, "e1", 10, None))
    assert session.gave_up(recover, None) == []
    assert passed(session, message(11)) == [message(11).frame]


@pytest.mark.parametrize(("channel", "code"), [("user:bob", "forbidden"), ("room:1", "not_found"), ("", "not_found")])
@pytest.mark.parametrize("kind", ["subscribe", "resume"])
def test_other_channels_are_refused_by_name(kind: str, channel: str, code: str) -> None:
    where: dict[str, Any] = {"channel": channel}
    if kind == "resume":
        where = {"channels": {channel: {"epoch": "e1", "seq": 1}, "user:ann": {"epoch": "e1", "seq": 10}}}
    error, *rest = sent(says(opened(head=10), {"type": kind, "id": "7", **where}))
    assert (error["type"], error["code"], error["id"], error["channel"]) == ("error", code, "7", channel)
    assert [frame["type"] for frame in rest] == (["subscribed"] if kind == "resume" else [])


@pytest.mark.parametrize("channel", ["user:bob", "group:g", "topic:t", "room:1", ""])
def test_what_is_not_read_cannot_be_given_up(channel: str) -> None:
    (error,) = sent(says(opened(), {"type": "unsubscribe", "id": "7", "channel": channel}))
    assert (error["code"], error["id"], error["channel"]) == ("not_found", "7", channel)


def test_asking_for_others_again_and_again_closes() -> None:
    session, codes = opened(), []
    for _ in range(30):
        frame = {"type": "subscribe", "channel": "user:bob"}
        codes += [action.code for action in says(session, frame) if isinstance(action, Close)]
    assert codes[0] == 4400


@pytest.mark.parametrize(
    "channels", [{}, {"user:ann": {"epoch": "e1"}}, {"user:ann": {"epoch": "e1", "seq": -1}}, {"user:ann": 5}, []]
)
def test_a_malformed_resume_is_told(channels: Any) -> None:
    assert sent(says(opened(), {"type": "resume", "channels": channels}))[0]["code"] == "bad_frame"


def test_unsubscribed_hears_nothing_and_its_acks_do_not_wait() -> None:
    session = opened(head=10)
    first = one(send(session, id="a"), Publish)
    list(session.published(first.message_id, "e1", 11, duplicate=False))
    assert list(session.published(first.message_id, "e1", 12, duplicate=False)) == []
    answers = sent(says(session, {"type": "unsubscribe", "channel": "user:ann", "id": "u"}))
    assert [(frame["type"], frame["id"]) for frame in answers] == [("unsubscribed", "u"), ("ack", "a")]
    assert passed(session, message(12)) == []
    second = one(send(session, id="b"), Publish)
    list(session.published(second.message_id, "e1", 13, duplicate=False))
    assert sent(session.published(second.message_id, "e1", 14, duplicate=False))[0]["id"] == "b"

    recover = one(says(session, {"type": "subscribe", "channel": "user:ann"}), Recover)
    assert recover.place is None
    assert sent(session.positioned(recover, "e1", 20, None))[0]["seq"] == 20
    assert passed(session, message(21)) == [message(21).frame]


def test_subscribing_to_what_one_reads_changes_nothing() -> None:
    session = opened(head=10)
    assert sent(says(session, {"type": "subscribe", "channel": "user:ann"}))[0]["recovered"]
    recover = resumed(session, 4)
    list(session.positioned(recover, "e1", 10, None))
    assert sent(says(session, {"type": "subscribe", "channel": "user:ann"}))[0]["recovered"]
    assert [frame["seq"] for frame in sent(session.replayed(recover, page(6, 10)))] == [6, 10]


def test_a_second_resume_waits_for_the_answer_to_the_first_and_then_replaces_it() -> None:
    session = opened(head=10)
    first = resumed(session, 4)
    assert (
        sent(says(session, {"type": "subscribe", "channel": "user:ann", "since": {"epoch": "e1", "seq": 2}}))[0]["code"]
        == "unavailable"
    )
    list(session.positioned(first, "e1", 10, None))
    second = resumed(session, 8)
    assert session.wanted(first) is None
    assert session.replayed(first, page(5)) == session.gave_up(first, None) == []
    assert session.positioned(first, "e1", 10, None) == []
    list(session.positioned(second, "e1", 10, None))
    assert [frame["seq"] for frame in sent(session.replayed(second, page(9, 10)))] == [9, 10]


def test_an_ack_whose_place_was_jumped_over_goes_out() -> None:
    session = opened(head=10)
    publication = one(send(session, id="a"), Publish)
    list(session.published(publication.message_id, "e1", 11, duplicate=False))
    list(session.published(publication.message_id, "e1", 12, duplicate=False))
    recover = resumed(session, 4)
    frames = sent(session.positioned(recover, "e1", 12, "too_old"))
    assert [frame["type"] for frame in frames] == ["subscribed", "ack"]


def test_before_it_is_known_where_it_goes_on_nothing_counts_as_held_or_acknowledged() -> None:
    session = opened(head=10)
    publication = one(send(session, id="a", dedup_id="0123456789abcdef"), Publish)
    list(session.published(publication.message_id, "e1", 7, duplicate=True))
    list(session.found(publication.message_id, "e1", 7, None))
    recover = resumed(session, 4)
    assert says(session, {"type": "received", "channel": "user:ann", "seq": 10}) == []
    list(session.published(publication.message_id, "e1", 8, duplicate=True))
    assert list(session.found(publication.message_id, "e1", 8, None)) == []
    list(session.positioned(recover, "e1", 10, None))
    assert one(says(session, {"type": "received", "channel": "user:ann", "seq": 10}), Cursor).seq == 4
    own = Delivered(publication.message_id, 8, b"")
    frames = sent(session.replayed(recover, [*page(5), own, *page(10)]))
    assert [(frame["type"], frame["seq"]) for frame in frames] == [("message", 5), ("ack", 8), ("message", 10)]


def test_an_ack_stands_in_its_place_in_a_replay_too() -> None:
    session = opened(head=10)
    recover = resumed(session, 4)
    list(session.positioned(recover, "e1", 10, None))
    publication = one(send(session, id="a"), Publish)
    list(session.published(publication.message_id, "e1", 11, duplicate=False))
    assert list(session.published(publication.message_id, "e1", 12, duplicate=False)) == []
    passed(session, message(12, publication.message_id))
    frames = sent(session.replayed(recover, page(5, 10)))
    assert [(frame["type"], frame["seq"]) for frame in frames] == [("message", 5), ("message", 10), ("ack", 12)]


@given(st.lists(st.integers(1, 20_000), max_size=100))
def test_what_is_held_is_bounded_and_without_a_hole(sizes: list[int]) -> None:
    behind = Behind(asked=False)
    for seq, size in enumerate(sizes, start=1):
        behind.hold(Delivered("m", seq, b"x" * size))
        assert len(behind.held) <= MAX_HELD
        assert sum(len(held.frame) for held in behind.held) <= MAX_HELD_BYTES
        assert [held.seq for held in behind.held] == list(range(behind.goal + 1, seq + 1))


# Joining


def test_a_device_resumes_at_the_welcome() -> None:
    joining = Joining(who(), GENEROUS, 0.0)
    joining.deliver(INBOX, message(11))
    session, actions = welcomed(joining, start=Place("e1", 3))
    assert [frame["type"] for frame in sent(actions)] == ["welcome"]
    recover = one(actions, Recover)
    assert sent(session.positioned(recover, "e1", 10, None))[0]["recovered"]
    assert [frame["seq"] for frame in sent(session.replayed(recover, page(10)))] == [10, 11]


def test_a_device_that_missed_nothing_is_told_so_at_once() -> None:
    _, actions = welcomed(Joining(who(), GENEROUS, 0.0), start=Place("e1", 10))
    assert [(frame["type"], frame.get("recovered")) for frame in sent(actions)] == [
        ("welcome", None),
        ("subscribed", True),
    ]


def test_a_device_whose_cursor_is_not_known_is_told_so() -> None:
    _, actions = welcomed(Joining(who(), GENEROUS, 0.0), start="no_cursor")
    assert sent(actions)[1]["reason"] == "no_cursor"


def test_a_resume_that_comes_first_is_what_counts() -> None:
    joining = Joining(who(), GENEROUS, 0.0)
    says(joining, {"type": "resume", "channels": {"user:ann": {"epoch": "e1", "seq": 7}}})
    _, actions = welcomed(joining, start=Place("e1", 3))
    assert one(actions, Recover).place == Place("e1", 7)


@pytest.mark.parametrize("kept", [b"", b"e1", b"e1 -1", b"e1 x", b"e1 9" + b"9" * 30, b"\xff\xff", b"e1 1\n"])
def test_what_is_no_cursor_in_redis_is_none(kept: bytes) -> None:
    assert place_of(kept) is None
    assert place_of(b"e1 17") == Place("e1", 17)


# The model


class Model:
    """A log, a hub that passes it on, a client; and everything that may happen between them."""

    def __init__(self) -> None:
        self.log: list[int] = []
        self.passed = 0  # how many the hub has passed on
        self.seen: list[int] = []  # by the client, over all connections
        self.here = 0  # the seq that it saw last on this connection
        self.received = 0  # the device's cursor in Redis
        self.session: Session | None = None
        self.pending: Recover | None = None
        self.joining: Joining | None = None

    def head(self) -> int:
        return self.log[self.passed - 1] if self.passed else 0

    def hear(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Recover):
                self.pending = action
        for frame in sent(actions):
            if frame["type"] == "message":
                assert frame["seq"] > self.here, "in order and once within a connection"
                missing = [seq for seq in self.log if self.here < seq < frame["seq"]]
                assert missing == [], "nothing is left out"
                self.here = frame["seq"]
                self.seen.append(frame["seq"])

    def cut(self, _: int = 0) -> None:
        self.joining, self.session, self.pending = Joining(who(), GENEROUS, 0.0), None, None
        self.joining_head = self.head()

    def welcome(self, _: int = 0) -> None:
        if self.joining is None:
            return
        self.here = self.received
        self.session, actions = welcomed(self.joining, self.joining_head, start=Place("e1", self.received))
        self.joining = None
        self.hear(actions)

    def send(self, count: int) -> None:
        last = self.log[-1] if self.log else 0
        self.log += [last + 1 + place * 2 for place in range(count)]

    def live(self, count: int) -> None:
        for _ in range(min(count, len(self.log) - self.passed)):
            self.pass_one()

    def pass_one(self) -> None:
        self.passed += 1
        delivered = Delivered("m", self.head(), b'{"type":"message","seq":%d}' % self.head())
        if self.joining is not None:
            self.joining.deliver(INBOX, delivered)
        elif self.session is not None:
            self.hear(passed(self.session, delivered))

    def position(self, _: int = 0) -> None:
        if self.session is not None and self.pending is not None and not self.pending.behind.told:
            place = self.pending.place
            assert place is not None
            self.here = place.seq
            self.hear(self.session.positioned(self.pending, "e1", self.head(), None))

    def read(self, size: int) -> None:
        if self.session is None or self.pending is None:
            return
        after = self.session.wanted(self.pending)
        if after is not None:
            entries = [seq for seq in self.log if seq > after][:size]
            assert entries, "what is wanted is in the log"
            self.hear(self.session.replayed(self.pending, page(*entries, after=after)))

    def acknowledge(self, _: int = 0) -> None:
        if self.session is not None and self.seen:
            self.received = max(self.received, self.here)

    def resume(self, back: int) -> None:
        if self.session is not None:
            since = max([seq for seq in self.log if seq <= self.here - back], default=0)
            frame = {"type": "resume", "channels": {"user:ann": {"epoch": "e1", "seq": since}}}
            self.hear(says(self.session, frame))

    def settle(self) -> None:
        self.welcome()
        self.live(len(self.log))
        self.position()
        while self.pending and self.session and self.session.wanted(self.pending) is not None:
            self.read(100)


STEPS = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 40)),
    st.tuples(st.just("live"), st.integers(1, 40)),
    st.tuples(st.just("read"), st.integers(1, 5)),
    st.tuples(st.just("resume"), st.integers(0, 20)),
    st.tuples(st.sampled_from(["welcome", "position", "acknowledge", "cut"]), st.just(0)),
)


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=60))
def test_a_device_sees_its_whole_inbox_in_order_whatever_interleaves(steps: list[tuple[str, int]]) -> None:
    model = Model()
    model.cut()
    for step, number in steps:
        getattr(model, step)(number)
    model.settle()
    assert sorted(set(model.seen)) == model.log
    first = list(dict.fromkeys(model.seen))
    assert first == model.log, "dropping repeats by seq leaves the log"


def test_a_replayed_frame_is_json_and_says_so() -> None:
    (made,) = replay(message_head('user:"\\', "e"), 2, [Entry(3, "m", b'{"content":1}')])
    assert json.loads(made.frame) == {
        "type": "message", "channel": 'user:"\\', "epoch": "e", "seq": 3, "prev": 2, "replayed": True, "content": 1,
    }  # fmt: skip
