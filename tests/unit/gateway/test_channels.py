"""Groups, topics, blocks, receipts and typing, as a session sees them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.test_session import GENEROUS, KEY, at, one, opened, passed, says, sent, welcomed, who

from push_workloads.common.changes import Change, encode
from push_workloads.common.issuers import Grants
from push_workloads.common.questions import Membership, Report, TopicRights
from push_workloads.common.sending import Publish
from push_workloads.common.tokens import Identity
from push_workloads.gateway import frames
from push_workloads.gateway.actions import (
    Action,
    AskBlocks,
    AskGroups,
    AskTopic,
    Cursor,
    Leave,
    Limits,
    Recover,
    ShowToken,
    Start,
    Tell,
)
from push_workloads.gateway.channels import MAX_TOPICS
from push_workloads.gateway.frames import Place, message_head, sender_of
from push_workloads.gateway.joining import RESUME_SECONDS, Joining
from push_workloads.gateway.recovery import Delivered, Entry, delivered, told
from push_workloads.gateway.session import MAX_SENDERS, MAX_TYPING_MEMBERS, Session

ROOM = "group:r"
BOTH = TopicRights(read=True, write=True, for_everyone=True)


def member(group_id: str = "r", *, seq: int = 0, members: int = 2) -> Membership:
    return Membership(group_id, "member", "g1", seq, members)


def entry(seq: int, sender: str = "bob") -> Entry:
    payload = {"message_id": f"m{seq}", "from": sender, "conversation": "x", "kind": "text", "content": 1}
    return Entry(seq, f"m{seq}", json.dumps(payload, separators=(",", ":")).encode())


def message(seq: int, sender: str = "bob", channel: str = ROOM) -> Delivered:
    return delivered(message_head(channel, "g1"), entry(seq, sender), 0)


def change(seq: int, what: Any, *user_ids: str, channel: str = ROOM) -> Delivered:
    made = Change(change=what, message_id="c", group_id="r", by="bob", sent_at=1, user_ids=list(user_ids))
    return delivered(message_head(channel, "g1"), Entry(seq, "c", encode(made)), 0)


def answered(session: Session, *memberships: Membership, **places: Place) -> list[Action]:
    return session.groups(memberships, {f"group:{name}": place for name, place in places.items()}, at())


def reading(session: Session, actions: Iterable[Action], head: int = 0) -> list[Action]:
    """The one channel that begins is read from its place on, which is its head."""
    recover = one(actions, Recover)
    return session.positioned(recover, "g1", head, None)


def in_room(**more: Any) -> Session:
    session = opened()
    reading(session, answered(session, member(**more)))
    return session


# Which groups are read, and from where on


@pytest.mark.parametrize(
    ("start", "cursor", "place", "reason"),
    [
        (None, None, None, None),  # a new device starts at the head
        (Place("e1", 10), None, Place("g1", 5), None),  # a known one, where the user became a member
        (Place("e1", 10), Place("g1", 9), Place("g1", 9), None),
        (Place("e1", 10), Place("g1", 2), Place("g1", 5), None),  # never before that
        (Place("e1", 10), Place("g0", 2), Place("g0", 2), None),  # of a log that is no more: that will be told
        ("no_cursor", None, None, "no_cursor"),
        ("no_cursor", Place("g1", 9), Place("g1", 9), None),
    ],
)
def test_where_a_device_goes_on_in_a_group(
    start: Start, cursor: Place | None, place: Place | None, reason: str | None
) -> None:
    session, actions = welcomed(Joining(who(), GENEROUS, 0.0), start=start)
    assert isinstance(one(actions, AskGroups), AskGroups)
    recover = one(answered(session, member(seq=5), **({"r": cursor} if cursor is not None else {})), Recover)
    assert (recover.reading.channel, recover.place, recover.reason) == (ROOM, place, reason)


def test_a_resume_that_comes_first_says_where_to_go_on_in_groups_too() -> None:
    joining = Joining(who(), GENEROUS, 0.0)
    places = {ROOM: {"epoch": "g1", "seq": 7}, "group:gone": {"epoch": "g1", "seq": 1}}
    says(joining, {"type": "resume", "id": "x", "channels": places})
    session, _ = welcomed(joining, start=Place("e1", 3))
    actions = answered(session, member(), member("other"))
    assert [(action.reading.channel, action.place) for action in actions if isinstance(action, Recover)] == [
        (ROOM, Place("g1", 7)),
        ("group:other", Place("g1", 0)),
    ]
    assert sent(actions) == []  # the question was asked before the frame was there: another decides
    (error,) = sent(answered(session, member(), member("other")))
    assert (error["code"], error["channel"], error["id"]) == ("not_found", "group:gone", "x")


def places_itself() -> Session:
    """A session whose client is about to say where it goes on."""
    return welcomed(Joining(who(places_itself=True), GENEROUS, 0.0))[0]


def resume(session: Session, inbox: int, **groups: int) -> list[Action]:
    places = {"user:ann": Place("e1", inbox)} | {f"group:{name}": Place("g1", seq) for name, seq in groups.items()}
    return says(session, frames.encode({"type": "resume", "channels": places}).decode())


def begun(actions: Iterable[Action]) -> list[tuple[str, Place | None]]:
    return [(action.reading.channel, action.place) for action in actions if isinstance(action, Recover)]


def test_groups_wait_for_a_resume_that_is_still_on_its_way() -> None:
    session = places_itself()
    assert answered(session, member(seq=5), member("new", seq=3), member("left", seq=1)) == []
    passed(session, change(11, "removed", "ann", channel="user:ann"), "user:ann")
    assert answered(session, member(seq=5), member("new", seq=3)) == []
    assert begun(resume(session, 11, r=7)) == [(ROOM, Place("g1", 7)), ("group:new", Place("g1", 3))]
    assert list(session.tick(RESUME_SECONDS + 2)) == []


def test_a_group_that_is_about_to_be_left_is_not_read_after_a_resume_either() -> None:
    session = places_itself()
    answered(session, member(seq=5))
    passed(session, change(11, "added", "ann", channel="user:ann"), "user:ann")
    answered(session, Membership("r", "member", "g1", 5, 2, leaving=True))
    assert begun(resume(session, 11)) == []


def test_a_client_that_does_not_say_where_it_goes_on_begins_like_a_new_device() -> None:
    session = places_itself()
    assert answered(session, member(seq=5)) == []
    passed(session, change(11, "added", "ann", channel="user:ann"), "user:ann")
    assert begun(answered(session, member(seq=5), member("new", seq=3))) == [("group:new", Place("g1", 3))]
    assert list(session.tick(RESUME_SECONDS + 1)) == []
    assert begun(session.tick(RESUME_SECONDS + 1.1)) == [(ROOM, None)]
    assert list(session.tick(RESUME_SECONDS + 2)) == []


def test_a_group_is_told_and_read_like_the_inbox() -> None:
    session = opened()
    (subscribed,) = sent(reading(session, answered(session, member()), head=4))
    assert (subscribed["channel"], subscribed["epoch"], subscribed["seq"]) == (ROOM, "g1", 4)
    assert passed(session, message(4), ROOM) == []
    (frame,) = sent(passed(session, message(5), ROOM))
    assert (frame["channel"], frame["epoch"], frame["seq"], frame["from"]) == (ROOM, "g1", 5, "bob")
    cursor = one(says(session, {"type": "received", "channel": ROOM, "seq": 99}), Cursor)
    assert (cursor.channel, cursor.epoch, cursor.seq) == (ROOM, "g1", 5)


def test_being_added_is_seen_in_the_inbox_and_read_from_the_beginning_of_the_membership() -> None:
    session = opened()
    answered(session)
    frame, ask = passed(session, change(11, "added", "ann", channel="user:ann"), "user:ann")
    assert (json.loads(frame)["type"], json.loads(frame)["change"]) == ("membership", "added")  # type: ignore[arg-type]
    assert isinstance(ask, AskGroups)
    assert one(answered(session, member(seq=8)), Recover).place == Place("g1", 8)


def test_changes_of_before_the_welcome_are_shown_and_ask_nothing() -> None:
    session, actions = welcomed(Joining(who(), GENEROUS, 0.0), start=Place("e1", 3))
    recover = one(actions, Recover)
    list(session.positioned(recover, "e1", 10, None))
    (frame,) = session.replayed(recover, [change(5, "added", "ann", channel="user:ann")])
    assert isinstance(frame, bytes)


def test_many_changes_ask_once_and_once_more_for_what_may_be_newer() -> None:
    session = opened()  # asks at the welcome
    asks = [
        action
        for seq in range(11, 20)
        for action in passed(session, change(seq, "added", "ann", channel="user:ann"), "user:ann")
        if isinstance(action, AskGroups)
    ]
    assert asks == []
    assert isinstance(one(answered(session), AskGroups), AskGroups)
    assert answered(session) == []


@pytest.mark.parametrize("last", [("removed", "ann"), ("removed", "cid", "ann"), ("deleted",)])
def test_what_ends_a_membership_is_the_last_that_is_read(last: tuple[str, ...]) -> None:
    session = in_room()
    frame, leave = passed(session, change(5, *last), ROOM)
    assert json.loads(frame)["change"] == last[0]  # type: ignore[arg-type]
    assert leave == Leave(ROOM)
    assert passed(session, message(6), ROOM) == []
    assert [type(action) for action in says(session, {"type": "send_message", "channel": ROOM, "content": 1})] == [
        AskGroups
    ]


@pytest.mark.parametrize("other", [("removed", "cid"), ("added", "cid"), ("role", "ann"), ("renamed",)])
def test_other_changes_end_nothing(other: tuple[str, ...]) -> None:
    session = in_room()
    assert len(passed(session, change(5, *other), ROOM)) == 1
    assert len(passed(session, message(6), ROOM)) == 1


def test_a_late_answer_does_not_bring_back_what_was_seen_to_end() -> None:
    session = in_room()
    one(passed(session, change(11, "added", "ann", channel="user:ann"), "user:ann"), AskGroups)
    assert one(passed(session, change(5, "removed", "ann"), ROOM), Leave) == Leave(ROOM)
    assert answered(session, member()) == []
    assert one(answered(session, member(seq=8)), Recover).place == Place("g1", 8)


def test_who_catches_up_reads_up_to_its_removal_and_nothing_that_was_held_or_follows() -> None:
    session, _ = welcomed(Joining(who(), GENEROUS, 0.0), start=Place("e1", 10))
    recover = one(answered(session, member(seq=3)), Recover)
    passed(session, change(7, "removed", "ann"), ROOM)
    passed(session, message(8), ROOM)  # both wait
    session.positioned(recover, "g1", 6, None)
    shown = [*session.replayed(recover, (message(5), message(6))), *session.replayed(recover, (message(9),))]
    assert [frame["seq"] for frame in sent(shown)] == [5, 6, 7]
    assert session.wanted(recover) is None


def test_a_removal_in_what_is_read_from_the_log_ends_the_reading() -> None:
    session, _ = welcomed(Joining(who(), GENEROUS, 0.0), start=Place("e1", 10))
    recover = one(answered(session, member(seq=3)), Recover)
    session.positioned(recover, "g1", 9, None)
    shown = session.replayed(recover, (message(5), change(6, "removed", "ann"), message(7)))
    assert [frame["seq"] for frame in sent(shown)] == [5, 6]
    assert session.wanted(recover) is None
    assert passed(session, message(10), ROOM) == []


def test_a_group_that_the_user_is_leaving_is_not_begun_but_read_to_its_end() -> None:
    leaving = Membership("r", "member", "g1", 0, 2, leaving=True)
    assert not [action for action in answered(opened(), leaving) if isinstance(action, Recover)]
    session = in_room()
    answered(session, leaving)
    assert sent(passed(session, message(5), ROOM))


def test_a_group_that_the_user_is_leaving_is_not_begun_on_demand_either() -> None:
    session = opened()
    answered(session, Membership("r", "member", "g1", 0, 2, leaving=True))
    says(session, {"type": "subscribe", "channel": ROOM})
    (error,) = sent(answered(session, Membership("r", "member", "g1", 0, 2, leaving=True)))
    assert (error["code"], error["channel"]) == ("not_found", ROOM)


def test_who_was_leaving_and_is_added_again_is_read_anew() -> None:
    leaving = Membership("r", "member", "g1", 0, 2, leaving=True)
    session = opened()
    answered(session, leaving)
    recover = one(answered(session, member(seq=9)), Recover)
    assert recover.place == Place("g1", 9)


def test_a_removal_that_comes_after_the_answer_about_being_added_again_begins_anew_there() -> None:
    session = in_room()
    assert answered(session, member(seq=9)) == []
    actions = passed(session, change(6, "removed", "ann"), ROOM)
    assert [type(action) for action in actions if not isinstance(action, bytes)] == [Leave, Recover]
    assert one(actions, Recover).place == Place("g1", 9)
    assert passed(session, message(7), ROOM) == []


def test_a_group_that_is_gone_from_the_answer_is_left() -> None:
    session = in_room()
    assert one(answered(session), Leave) == Leave(ROOM)


def test_who_gave_up_a_group_is_not_brought_back_by_the_next_answer() -> None:
    session = in_room()
    actions = says(session, {"type": "unsubscribe", "channel": ROOM, "id": "u"})
    assert sent(actions) == [{"type": "unsubscribed", "channel": ROOM, "id": "u"}]
    assert len(actions) == 1, "it stays joined: its changes say what the user may do"
    assert passed(session, message(3), ROOM) == []
    assert answered(session, member()) == []
    again = one(says(session, {"type": "subscribe", "channel": ROOM, "since": {"epoch": "g1", "seq": 3}}), Recover)
    assert again.place == Place("g1", 3)


def test_who_gave_up_a_group_still_hears_that_it_is_over() -> None:
    session = in_room()
    says(session, {"type": "unsubscribe", "channel": ROOM})
    assert passed(session, change(5, "deleted"), ROOM) == [Leave(ROOM)]
    assert [type(a) for a in says(session, {"type": "send_message", "channel": ROOM, "content": 1})] == [AskGroups]


def test_a_resume_of_all_channels_waits_whole() -> None:
    session = opened()
    places = {f"group:{number}": {"epoch": "g1", "seq": 1} for number in range(90)}
    assert sent(says(session, {"type": "resume", "channels": places})) == []
    actions = answered(session, *(member(str(number)) for number in range(90)))
    assert sum(isinstance(action, Recover) and action.place == Place("g1", 1) for action in actions) == 90


def test_large_messages_that_wait_are_bounded_in_bytes() -> None:
    session = opened(Limits(25, 65_536, 1000, 10_000))
    frame = {"type": "send_message", "channel": ROOM, "content": "x" * 60_000}
    answers = [answer["code"] for _ in range(8) for answer in sent(says(session, frame))]
    assert answers == ["unavailable"] * 4


# Sending to a group


def test_a_message_to_a_group_is_one_copy_and_its_ack_has_its_place_there() -> None:
    session = in_room()
    frame = {
        "type": "send_message",
        "id": "1",
        "channel": ROOM,
        "content": "hi",
        "dedup_id": KEY,
        "push": {"body": "x"},
    }
    publication = one(says(session, {**frame, "push": {"body": "x"}}), Publish)
    assert (publication.subject, publication.twin, publication.hint) == ("g.r", None, b'{"body":"x"}')
    payload = json.loads(publication.payload)
    assert "recipient_id" not in payload
    assert (payload["from"], payload["conversation"], payload["dedup_id"]) == ("ann", ROOM, KEY)
    assert list(session.published(publication.message_id, "g1", 6, duplicate=False)) == []
    assert len(passed(session, message(5), ROOM)) == 1
    own = Delivered(publication.message_id, 6, b"")
    (ack,) = sent(passed(session, own, ROOM))
    assert (ack["channel"], ack["epoch"], ack["seq"], ack["id"]) == (ROOM, "g1", 6, "1")


def test_an_ack_of_a_group_that_is_not_read_does_not_wait() -> None:
    session = in_room()
    says(session, {"type": "unsubscribe", "channel": ROOM})
    publication = one(says(session, {"type": "send_message", "channel": ROOM, "content": "hi"}), Publish)
    (ack,) = sent(session.published(publication.message_id, "g7", 6, duplicate=False))
    assert (ack["channel"], ack["epoch"], ack["seq"]) == (ROOM, "g7", 6)


def test_a_message_to_a_group_that_may_be_new_waits_for_the_answer() -> None:
    session = opened()
    frame = {"type": "send_message", "id": "1", "channel": ROOM, "content": "hi"}
    assert says(session, frame) == says(session, {**frame, "id": "2"}) == []
    actions = answered(session, member())
    ids = [action.message_id for action in actions if isinstance(action, Publish)]
    assert len(set(ids)) == 2
    answered(session, member())
    assert [type(action) for action in says(opened(), frame)] == []


def test_a_frame_that_came_after_the_question_is_not_refused_by_its_answer() -> None:
    session = opened()  # which has asked
    says(session, {"type": "subscribe", "id": "s", "channel": ROOM, "since": {"epoch": "g1", "seq": 4}})
    actions = answered(session)
    assert sent(actions) == []
    assert one(actions, AskGroups)
    assert one(answered(session, member()), Recover).place == Place("g1", 4)


def test_a_message_to_a_group_of_others_is_refused() -> None:
    session = opened()
    answered(session)
    says(session, {"type": "send_message", "id": "1", "channel": ROOM, "content": "hi"})
    (error,) = sent(answered(session))
    assert (error["code"], error["id"], error["channel"]) == ("not_found", "1", ROOM)


def test_what_waits_for_groups_is_bounded() -> None:
    session = opened()
    frame = {"type": "subscribe", "channel": ROOM}
    codes = [answer["code"] for _ in range(1200) for answer in sent(says(session, frame))]
    assert set(codes) == {"unavailable"}
    assert len(codes) > 100


# Topics


def test_a_topic_is_read_when_its_policy_lets_in() -> None:
    session = opened()
    asked = one(says(session, {"type": "subscribe", "id": "s", "channel": "topic:news"}), AskTopic)
    assert asked == AskTopic("topic:news")
    (subscribed,) = sent(reading(session, session.topic("topic:news", BOTH, at()), head=3))
    assert (subscribed["channel"], subscribed["id"]) == ("topic:news", "s")
    assert len(passed(session, message(4), "topic:news")) == 1


@pytest.mark.parametrize(
    ("rights", "code"),
    [(TopicRights(read=False, write=False, for_everyone=True), "forbidden"), (None, "unavailable")],
)
def test_a_topic_that_is_not_ones_own_is_refused(rights: TopicRights | None, code: str) -> None:
    session = opened()
    one(says(session, {"type": "subscribe", "id": "1", "channel": "topic:t"}), AskTopic)
    assert says(session, {"type": "send_message", "id": "2", "channel": "topic:t", "content": 1}) == []
    errors = sent(session.topic("topic:t", rights, at()))
    assert [(error["code"], error["id"]) for error in errors] == [(code, "1"), (code, "2")]


def test_writing_is_another_right_than_reading() -> None:
    session = opened()
    one(says(session, {"type": "send_message", "channel": "topic:t", "content": 1}), AskTopic)
    publication = one(session.topic("topic:t", TopicRights(read=False, write=True, for_everyone=True), at()), Publish)
    assert publication.subject == "t.t"


def test_a_topic_that_is_withdrawn_is_not_read_any_more() -> None:
    session = opened()
    says(session, {"type": "subscribe", "channel": "topic:t"})
    reading(session, session.topic("topic:t", BOTH, at()))
    assert one(session.topics_changed(), AskTopic) == AskTopic("topic:t")
    assert session.topic("topic:t", BOTH, at()) == []
    error, leave = session.topic("topic:t", TopicRights(read=False, write=True, for_everyone=True), at())
    assert (json.loads(error)["code"], leave) == ("forbidden", Leave("topic:t"))  # type: ignore[arg-type]
    assert passed(session, message(1), "topic:t") == []


NONE = TopicRights(read=False, write=False, for_everyone=True)
TOKENS_OWN = Grants(read=("news", "team/*"), write=("team/*",))


@pytest.mark.parametrize(
    ("topic", "rights", "reads", "writes"),
    [
        ("team/a", NONE, True, True),
        ("team/a", None, True, True),  # the message service is away, and nothing that it could say counts
        ("news", NONE, True, False),
        ("news", TopicRights(read=False, write=True, for_everyone=True), True, True),  # nothing is taken away
        ("news", None, False, False),
        ("newspaper", NONE, False, False),
        ("teams", BOTH, True, True),
    ],
)
def test_a_token_gives_rights_beside_the_policies(
    topic: str, rights: TopicRights | None, reads: bool, writes: bool
) -> None:
    session = opened()
    session.who.grants = TOKENS_OWN
    says(session, {"type": "subscribe", "channel": f"topic:{topic}"})
    says(session, {"type": "send_message", "channel": f"topic:{topic}", "content": 1})
    actions = session.topic(f"topic:{topic}", rights, at())
    assert any(isinstance(action, Recover) for action in actions) is reads
    assert any(isinstance(action, Publish) for action in actions) is writes


def test_a_newer_token_that_says_less_ends_what_it_does_not_say() -> None:
    session = opened()
    session.who.grants = TOKENS_OWN
    says(session, {"type": "subscribe", "channel": "topic:team/a"})
    reading(session, session.topic("topic:team/a", NONE, at()))
    asked = ShowToken("a token", None)
    same = Identity("ann", 100, grants=TOKENS_OWN)
    assert len(list(session.refreshed(asked, same, 10.0, 0.0))) == 1
    assert one(session.refreshed(asked, Identity("ann", 100), 10.0, 0.0), AskTopic) == AskTopic("topic:team/a")
    _, leave = session.topic("topic:team/a", NONE, at())
    assert leave == Leave("topic:team/a")


def test_topics_are_bounded() -> None:
    session = opened()
    for number in range(MAX_TOPICS + 1):
        says(session, {"type": "subscribe", "channel": f"topic:{number}"})
        actions = session.topic(f"topic:{number}", BOTH, at())
    (error,) = sent(actions)
    assert (error["code"], error["channel"]) == ("forbidden", f"topic:{MAX_TOPICS}")


# Blocks


def test_who_is_blocked_is_told_and_nothing_is_published() -> None:
    session = opened()
    frame = json.dumps({"type": "send_message", "id": "1", "recipient_id": "bob", "content": 1})
    asked = one(session.on_frame(frame, at()), AskBlocks)
    assert asked.recipient_id == "bob"
    (error,) = sent(session.blocked(asked.message_id))
    assert (error["code"], error["id"]) == ("forbidden", "1")
    assert list(session.allowed(asked.message_id)) == []


def test_a_note_to_oneself_asks_nobody() -> None:
    frame = json.dumps({"type": "send_message", "recipient_id": "ann", "content": 1})
    assert one(opened().on_frame(frame, at()), Publish).subject == "u.ann"


# Receipts


def test_a_received_tells_each_sender_of_the_newest_of_theirs() -> None:
    session = opened()
    for seq, sender in ((11, "bob"), (12, "cid"), (13, "bob"), (14, "ann"), (15, "cid")):
        passed(session, message(seq, sender, "user:ann"), "user:ann")
    reports = [
        a for a in says(session, {"type": "received", "channel": "user:ann", "seq": 14}) if isinstance(a, Report)
    ]
    assert reports == [Report("delivered", "ann", "user:ann", "e1", 13, "bob")]
    reports = [
        a for a in says(session, {"type": "received", "channel": "user:ann", "seq": 15}) if isinstance(a, Report)
    ]
    assert reports == [Report("delivered", "ann", "user:ann", "e1", 15, "cid")]


def test_those_who_wait_for_a_receipt_are_bounded() -> None:
    session = opened()
    for number in range(MAX_SENDERS + 10):
        passed(session, message(11 + number, f"u{number}", "user:ann"), "user:ann")
    told = says(session, {"type": "received", "channel": "user:ann", "seq": 10_000})
    assert sum(isinstance(action, Report) for action in told) == MAX_SENDERS


def test_a_read_is_reported_up_to_what_was_sent() -> None:
    session = in_room()
    passed(session, message(5), ROOM)
    assert says(session, {"type": "read", "channel": ROOM, "seq": 9}) == [Report("read", "ann", ROOM, "g1", 5)]
    inbox = {"type": "read", "channel": "user:ann", "seq": 9, "conversation": "bob"}
    assert says(session, inbox) == [Report("read", "ann", "user:ann", "e1", 9, "bob")]
    del inbox["conversation"]
    assert sent(says(session, inbox))[0]["code"] == "bad_frame"
    assert sent(says(session, {"type": "read", "channel": "group:x", "seq": 9}))[0]["code"] == "not_found"


# Typing


def test_typing_is_told_now_and_then_and_ends_by_itself() -> None:
    session = opened()
    frame = {"type": "typing", "recipient_id": "bob", "state": "start"}
    tell = one(says(session, frame, 1.0), Tell)
    assert (tell.subject, tell.recipient_id) == ("eph.u.bob", "bob")
    assert json.loads(tell.frame) == {"type": "typing", "from": "ann", "state": "start"}
    assert says(session, frame, 2.0) == []
    assert len(says(session, frame, 4.0)) == 1
    assert list(session.tick(9.9)) == []
    assert json.loads(one(session.tick(10.0), Tell).frame)["state"] == "stop"
    assert says(session, {**frame, "state": "stop"}, 11.0) == []


def test_who_goes_away_types_no_more() -> None:
    session = in_room()
    says(session, {"type": "typing", "channel": ROOM, "state": "start"})
    tell = one(session.left(), Tell)
    assert (tell.subject, tell.recipient_id) == ("eph.g.r", None)
    assert json.loads(tell.frame) == {"type": "typing", "from": "ann", "state": "stop", "channel": ROOM}


def test_nobody_is_told_of_typing_in_a_large_group_or_in_one_of_others() -> None:
    frame = {"type": "typing", "channel": ROOM, "state": "start"}
    assert says(in_room(members=MAX_TYPING_MEMBERS + 1), frame) == []
    session = opened()
    answered(session)
    assert [type(action) for action in says(session, frame)] == [AskGroups]
    assert sent(answered(session))[0]["code"] == "not_found"


@pytest.mark.parametrize("target", [{}, {"recipient_id": "bob", "channel": ROOM}, {"recipient_id": "\ud800"}])
def test_typing_to_nobody_is_a_bad_frame(target: dict[str, str]) -> None:
    assert sent(says(opened(), {"type": "typing", "state": "start", **target}))[0]["code"] == "bad_frame"


def test_what_is_not_stored_reaches_readers_but_not_its_own_sender() -> None:
    session = in_room()
    typing = told(b'{"type":"typing","from":"bob","channel":"group:r","state":"start"}')
    own = told(b'{"type":"typing","from":"ann","channel":"group:r","state":"start"}')
    assert typing is not None and own is not None
    assert session.told(ROOM, typing) == typing.frame
    assert session.told(ROOM, own) is None
    assert session.told("group:other", typing) is None
    says(session, {"type": "unsubscribe", "channel": ROOM})
    assert session.told(ROOM, typing) is None


@given(st.text(), st.text())
def test_the_sender_is_cut_out_of_a_payload_whatever_it_is(sender: str, content: str) -> None:
    payload = {"message_id": "m", "from": sender, "conversation": content, "content": content}
    for text in (
        json.dumps(payload, separators=(",", ":")),
        json.dumps(payload, separators=(",", ":"), ensure_ascii=False),
    ):
        try:
            raw = text.encode()
        except UnicodeEncodeError:
            continue
        assert sender_of(raw) == sender


def test_a_change_has_no_sender() -> None:
    assert message(1).sender == "bob"
    assert (change(1, "renamed").sender, sender_of(b'{"change":"renamed"}')) == ("", "")


# The model: a group whose members come and go, a device that does too and goes on by the server's cursors or its own,
# and a message service whose answers are late


class Model:
    """`log`: the group's, and what of it ann may read; `told`: what the message service says now."""

    def __init__(self) -> None:
        self.log: list[Delivered] = []
        self.allowed: list[bool] = []
        self.told: list[Membership] = []
        self.inbox = 10
        self.changes: list[Delivered] = []  # in ann's inbox, on their way
        self.answers: list[list[Membership]] = []  # on their way
        self.seen: list[int] = []
        self.cursor: Place | None = None
        self.session: Session | None = None
        self.recover: Recover | None = None
        self.passed: int | None = None  # how many the hub has passed on; None when nobody reads here
        self.itself = self.placed = False  # the device says where it goes on, and has
        self.connect()

    def connect(self, _: int = 0, *, itself: bool = False) -> None:
        self.recover, self.passed, self.answers, self.changes = None, None, [], []
        self.itself, self.placed = itself, False
        joining = Joining(who(places_itself=itself), GENEROUS, 0.0)
        start = None if itself else Place("e1", self.inbox)
        self.session, actions = welcomed(joining, head=self.inbox, start=start)
        self.here = 0
        self.do(actions)

    def connect_itself(self, _: int) -> None:
        self.connect(itself=True)

    def resume(self, _: int = 0) -> None:
        if self.itself and not self.placed and self.session is not None:
            self.placed = True
            groups = {"r": self.cursor.seq} if self.cursor is not None else {}
            self.do(resume(self.session, self.inbox - len(self.changes), **groups))

    def do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            if isinstance(action, AskGroups):
                self.answers.append(list(self.told))
            elif isinstance(action, Recover):
                self.recover, self.passed = action, len(self.log)
                self.here = action.place.seq if action.place is not None else 0
            elif isinstance(action, Leave):
                self.recover, self.passed = None, None
            elif isinstance(action, bytes):
                frame = json.loads(action)
                if frame.get("channel") == ROOM and frame["type"] in ("message", "membership"):
                    assert frame["seq"] > self.here, "in order, and once on a connection"
                    self.here = frame["seq"]
                    self.seen.append(frame["seq"])

    def append(self, made: Delivered, allowed: bool) -> None:
        self.log.append(made)
        self.allowed.append(allowed)

    def say(self, count: int) -> None:
        for _ in range(count):
            self.append(message(len(self.log) + 1), bool(self.told))

    def join(self, _: int) -> None:
        if not self.told:
            self.append(change(len(self.log) + 1, "added", "ann"), allowed=True)
            self.told = [member(seq=len(self.log) - 1)]
            self.tell("added")

    def remove(self, _: int) -> None:
        if self.told:
            self.append(change(len(self.log) + 1, "removed", "ann"), allowed=True)
            self.told = []
            self.tell("removed")

    def replace(self, count: int) -> None:
        """Removed and added again, and talked about meanwhile."""
        self.remove(0)
        self.say(count)
        self.join(0)

    def tell(self, what: str) -> None:
        self.inbox += 1
        self.changes.append(change(self.inbox, what, "ann", channel="user:ann"))

    def hear(self, _: int = 0) -> None:
        if self.changes and self.session is not None:
            self.do(passed(self.session, self.changes.pop(0), "user:ann"))

    def answer(self, _: int = 0) -> None:
        if self.answers and self.session is not None:
            places = {"r": self.cursor} if self.cursor is not None and not self.itself else {}
            self.do(answered(self.session, *self.answers.pop(0), **places))

    def live(self, count: int) -> None:
        for _ in range(count):
            if self.passed is not None and self.passed < len(self.log) and self.session is not None:
                self.passed += 1
                self.do(passed(self.session, self.log[self.passed - 1], ROOM))

    def position(self, _: int = 0) -> None:
        if self.session is not None and self.recover is not None and not self.recover.behind.told:
            self.passed = len(self.log)
            self.do(self.session.positioned(self.recover, "g1", len(self.log), None))

    def read(self, size: int) -> None:
        after = self.session.wanted(self.recover) if self.session is not None and self.recover is not None else None
        if after is not None and self.session is not None and self.recover is not None:
            self.do(self.session.replayed(self.recover, self.log[after : after + size]))

    def receive(self, _: int) -> None:
        if self.seen:
            self.cursor = Place("g1", max(self.seen))

    def catch_up(self, _: int = 0) -> None:
        self.resume()
        for _ in range(4):
            self.hear_all()
            self.position()
            self.live(len(self.log))
            while self.session is not None and self.recover is not None:
                if self.session.wanted(self.recover) is None:
                    break
                self.read(100)

    def hear_all(self) -> None:
        while self.changes or self.answers:
            self.hear()
            self.answer()


@settings(max_examples=500)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["say", "live", "read", "replace"]), st.integers(1, 8)),
            st.tuples(
                st.sampled_from(["join", "remove", "hear", "answer", "position", "receive", "catch_up"]),
                st.just(0),
            ),
            st.tuples(st.sampled_from(["connect", "connect_itself", "resume"]), st.just(0)),
        ),
        max_size=60,
    )
)
def test_a_member_sees_all_of_its_time_and_nothing_of_another(steps: list[tuple[str, int]]) -> None:
    model = Model()
    for step, number in steps:
        getattr(model, step)(number)
    model.catch_up()
    assert [seq for seq in model.seen if not model.allowed[seq - 1]] == [], "what was said without ann"
    if model.told:
        begin = model.told[0].seq
        assert {seq for seq in model.seen if seq > begin} == set(range(begin + 1, len(model.log) + 1))
