"""The client's core: whatever the network does, each message once and in order, and no send without its outcome."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.client.model import GROUP, INBOX, Device, Platform

from push_client.actions import SEND, SUBSCRIBE, Action, HangUp, Settle, Write
from push_client.errors import Refused, Unconfirmed
from push_client.events import (
    Connected,
    Cursor,
    Event,
    Frame,
    Gap,
    Limits,
    Membership,
    Message,
    Saved,
    Sent,
    Subscribed,
    Target,
    Typing,
)
from push_client.mailbox import handled
from push_client.outbox import Entry
from push_client.session import Session

TARGETS = (Target(to="you"), Target(channel=GROUP))
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from([INBOX, GROUP]), st.integers(0, 2)),
    st.tuples(st.just("send"), st.sampled_from(TARGETS)),
    st.tuples(st.sampled_from(["serve", "hear", "hear", "handle", "handle", "tick", "cut", "fail"])),
)


def play(device: Device, steps: list[tuple[Any, ...]], *, restarts: bool = False) -> list[str]:
    """Performs the steps; the keys of what was sent."""
    keys: list[str] = []
    simple = {"hear": device.hear, "handle": device.handle, "tick": device.tick}
    for what, *more in steps:
        match what:
            case "write":
                device.platform.write(*more)
            case "send":
                keys.append(f"key-{len(keys)}".ljust(16, "."))
                device.send(keys[-1], *more)
            case "serve" if device.platform.up:
                device.platform.serve()
            case "hear" | "handle" | "tick":
                simple[what]()
            case "fail":
                device.platform.fails += 1
            case "cut" if restarts and device.session.channels.user_id:
                device.restart()
            case "cut":
                device.connect()
    return keys


def started() -> Device:
    """Connected, with both channels read from their beginning on."""
    device = Device(Platform())
    device.drain()
    device.heard.clear()
    return device


def of_others(device: Device, channel: str) -> list[int]:
    return [one["seq"] for one in device.platform.logs[channel].frames if one["from"] != "me"]


@settings(max_examples=400)
@given(steps=st.lists(STEPS, max_size=60))
def test_each_message_once_and_in_order_and_every_send_has_one_outcome(steps: list[tuple[Any, ...]]) -> None:
    device = started()
    keys = play(device, steps)
    device.connect()
    device.drain()
    for channel in (INBOX, GROUP):
        assert device.messages(channel) == of_others(device, channel)
    assert list(device.platform.stored) == list(dict.fromkeys(device.platform.stored))
    assert set(device.platform.stored) == set(keys), "nothing that was sent is lost"
    for key in keys:
        (outcome,) = device.outcomes[SEND + key]
        assert isinstance(outcome, Sent)
        assert outcome.message_id == device.platform.stored[key]["message_id"]


@settings(max_examples=200)
@given(steps=st.lists(STEPS, max_size=60))
def test_a_program_that_crashes_handles_each_message_once(steps: list[tuple[Any, ...]]) -> None:
    """What it was given and had not handled comes again; its own messages of an earlier life may come as well."""
    device = started()
    play(device, steps, restarts=True)
    device.restart()
    device.drain()
    for channel in (INBOX, GROUP):
        own = {one["seq"] for one in device.platform.logs[channel].frames if one["from"] == "me"}
        assert [seq for seq in device.messages(channel) if seq not in own] == of_others(device, channel)


@settings(max_examples=200)
@given(steps=st.lists(STEPS, max_size=60))
def test_received_never_tells_of_more_than_was_handled(steps: list[tuple[Any, ...]]) -> None:
    device = started()
    for step in steps:
        play(device, [step])
        for channel, told in device.platform.received.items():
            unhandled = set(of_others(device, channel)) - set(device.messages(channel))
            assert all(seq > told for seq in unhandled)


# One by one ---------------------------------------------------------------------------------------------------------

WELCOME: Frame = {
    "type": "welcome", "user_id": "me", "device_id": "d", "heartbeat_s": 25, "max_frame_bytes": 1000,
    "inbox": {"epoch": "e", "seq": 7},
}  # fmt: skip


def message(seq: int, channel: str = INBOX, **more: Any) -> Frame:
    frame = {"type": "message", "channel": channel, "epoch": "e", "seq": seq, "message_id": f"m{seq}", "from": "you"}
    return frame | {"conversation": "you", "content": seq, "sent_at": seq, "kind": "text"} | more


def subscribed(channel: str, since: int, asked: int | None = None, **more: Any) -> Frame:
    """`asked`: the number of the question that it answers; None when the server says so by itself."""
    frame = {"type": "subscribed", "channel": channel, "epoch": "e", "seq": since, "since": since, "recovered": True}
    return frame | ({"id": f"ask-{asked}"} if asked is not None else {}) | more


def connected(
    *, saved: dict[str, Cursor] | None = None, limits: Limits | None = None, user: str = "me"
) -> tuple[Session, list[Frame]]:
    """A welcome session, and what it wrote at once."""
    session = Session(limits or Limits(), Saved("d", user, saved or {}), fresh=True)
    session.opened(0.0)
    return session, written(session.on_frame(WELCOME, 0.0))


def written(actions: list[Action]) -> list[Frame]:
    return [action.frame for action in actions if isinstance(action, Write)]


def events(session: Session) -> list[Event]:
    """All that wait, handled one after the other."""
    found = []
    while session.mailbox:
        item = session.mailbox.take()
        handled(item)
        found.append(item.event)
    return found


def entry(key: str = "k" * 16, content: Any = "hi", deadline: float = 90.0) -> Entry:
    return Entry(key, Target(to="you"), {"content": content}, deadline)


def ack(key: str = "k" * 16, seq: int = 8) -> Frame:
    frame = {"type": "ack", "id": key, "dedup_id": key, "message_id": f"of-{key}", "channel": INBOX, "epoch": "e"}
    return frame | {"seq": seq, "sent_at": 1}


def test_a_new_device_tells_where_it_began_and_leaves_the_resume_to_the_server() -> None:
    session, frames = connected()
    assert frames == [{"type": "received", "channel": INBOX, "seq": 7}]
    assert not session.channels.resumes, "the server knows better until something came"
    assert session.channels.cursors() == {}


def test_a_device_that_the_server_may_know_waits_for_its_word() -> None:
    session = Session(Limits(), Saved("d"))
    session.opened(0.0)
    assert written(session.on_frame(WELCOME, 0.0)) == []
    assert written(session.tick(11.9)) == []
    assert written(session.tick(12.0)) == [{"type": "received", "channel": INBOX, "seq": 7}]


def test_a_new_device_that_is_cut_off_before_the_server_knew_it_says_what_it_may_have_missed() -> None:
    session, _ = connected()
    for seq, gaps in ((7, []), (9, [Gap(INBOX, "no_cursor")])):
        session.cut()
        session.opened(1.0)
        events(session)
        session.on_frame(WELCOME | {"inbox": {"epoch": "e", "seq": seq}}, 1.0)
        assert events(session)[1:] == gaps


def test_the_servers_own_resume_sets_the_cursor_back() -> None:
    session, _ = connected()
    session.on_frame(subscribed(INBOX, 5), 0.0)
    for seq in (6, 7, 8):
        session.on_frame(message(seq), 0.0)
    assert [one.content for one in events(session) if isinstance(one, Message)] == [6, 7, 8]
    assert session.channels.cursors() == {INBOX: Cursor("e", 8)}


def test_what_the_server_is_about_to_send_again_does_not_count_as_handled() -> None:
    session = Session(Limits(), Saved("d"))
    session.opened(0.0)
    session.on_frame(WELCOME, 0.0)
    session.on_frame(subscribed(INBOX, 5), 0.0)
    assert session.channels.cursors() == {INBOX: Cursor("e", 5)}, "a crash now must not pass over 6 and 7"


def test_saved_cursors_are_resumed_first_the_inbox_and_topics_when_asked_for() -> None:
    saved = {"topic:t": Cursor("t", 3), GROUP: Cursor("g", 4), INBOX: Cursor("e", 5)}
    session, (resume,) = connected(saved=saved)
    places = {INBOX: {"epoch": "e", "seq": 5}, GROUP: {"epoch": "g", "seq": 4}}
    assert resume == {"type": "resume", "id": "ask-1", "channels": places}
    assert list(resume["channels"]) == [INBOX, GROUP]
    (asked,) = written(session.subscribe("topic:t"))
    assert (asked["type"], asked["since"]) == ("subscribe", {"epoch": "t", "seq": 3})
    assert session.channels.cursors() == saved


def test_the_state_of_another_user_counts_for_nothing() -> None:
    saved = {"user:other": Cursor("e", 5), GROUP: Cursor("e", 5)}
    session = Session(Limits(), Saved("d", "other", saved))
    assert session.channels.resumes
    session.opened(0.0)
    assert session.on_frame(WELCOME, 0.0) == [HangUp("what was saved is of another user")]
    session.cut()
    assert not session.channels.resumes, "so the server goes on by itself, if it knows this user's device"
    session.opened(1.0)
    assert session.on_frame(WELCOME, 1.0) == []
    assert session.channels.cursors() == {}


def test_live_messages_before_the_answer_to_a_resume_come_again_in_their_place() -> None:
    session, _ = connected(saved={INBOX: Cursor("e", 5)})
    session.on_frame(message(8), 0.0)
    session.on_frame(ack(seq=9), 0.0)
    session.on_frame(subscribed(INBOX, 5, 1), 0.0)
    for seq in (6, 7, 8):
        session.on_frame(message(seq), 0.0)
    assert [one.content for one in events(session) if isinstance(one, Message)] == [6, 7, 8]


@pytest.mark.parametrize("epoch", ["e", "new"])
def test_what_cannot_be_sent_again_is_a_gap_and_what_came_meanwhile_is_not_lost(epoch: str) -> None:
    session, _ = connected(saved={INBOX: Cursor("e", 5)})
    session.on_frame(message(20, epoch=epoch), 0.0)
    session.on_frame(subscribed(INBOX, 20, 1, epoch=epoch, recovered=False, reason="too_old"), 0.0)
    session.on_frame(message(21, epoch=epoch), 0.0)
    heard = events(session)[1:]
    assert heard[0] == Gap(INBOX, "too_old")
    assert [one.content for one in heard[1:] if isinstance(one, Message)] == [20, 21]
    assert session.channels.cursors() == {INBOX: Cursor(epoch, 21)}


def test_a_log_that_was_set_back_is_followed_from_its_end() -> None:
    session, _ = connected(saved={INBOX: Cursor("e", 50)})
    session.on_frame(subscribed(INBOX, 20, 1, recovered=False, reason="epoch_changed"), 0.0)
    session.on_frame(message(21), 0.0)
    assert [one.content for one in events(session) if isinstance(one, Message)] == [21]


def test_its_own_message_on_the_channel_confirms_a_send_whose_ack_was_lost() -> None:
    session, _ = connected()
    session.on_frame(message(8), 0.0)
    (frame,) = written(session.send(entry(), 0.0))
    session.cut()
    session.opened(1.0)
    again = written(session.on_frame(WELCOME, 1.0))
    assert [one["type"] for one in again] == ["resume", "send_message"]
    assert again[1] == frame, "the same key, the same message"
    session.on_frame(subscribed(INBOX, 8, 1), 1.0)
    actions = session.on_frame(message(9, dedup_id="k" * 16, **{"from": "me"}), 1.0)
    assert actions == [Settle(SEND + "k" * 16, Sent("m9", Target(to="you"), 9))]
    assert session.on_frame(ack(seq=9) | {"duplicate": True}, 1.0) == []
    assert [one.content for one in events(session) if isinstance(one, Message)] == [8]


def test_somebody_elses_dedup_id_settles_nothing() -> None:
    session, _ = connected()
    session.send(entry(), 0.0)
    session.on_frame(message(8, dedup_id="k" * 16), 0.0)
    assert len(session.outbox) == 1


def test_too_fast_or_unavailable_is_the_same_frame_again_when_the_server_says() -> None:
    session, _ = connected()
    session.send(entry(), 0.0)
    error = {"type": "error", "id": "k" * 16, "code": "unavailable", "message": "", "retry_after_ms": 1500}
    assert session.on_frame(error, 0.0) == []
    assert written(session.tick(1.4)) == []
    assert [one["type"] for one in written(session.tick(1.6))] == ["send_message"]
    slow = {"type": "error", "code": "rate_limited", "message": "", "retry_after_ms": 1000}
    session.on_frame(slow, 2.0)
    assert written(session.send(entry("other".ljust(16)), 2.1)) == [], "slow down is for all of them"
    assert len(written(session.tick(3.1))) == 2


def test_a_refusal_is_the_end_of_its_send() -> None:
    session, _ = connected()
    session.send(entry(), 0.0)
    (settled,) = session.on_frame({"type": "error", "id": "k" * 16, "code": "forbidden", "message": "blocked"}, 0.0)
    assert isinstance(settled, Settle)
    assert isinstance(settled.outcome, Refused)
    assert settled.outcome.code == "forbidden"


@pytest.mark.parametrize(
    ("connect", "deadline", "ends", "sent"), [(True, 50, 50, True), (True, 500, 500, True), (False, 50, 50, False)]
)
def test_a_send_ends_at_its_deadline(connect: bool, deadline: float, ends: float, sent: bool) -> None:
    session = connected()[0] if connect else Session(Limits(), Saved("d"))
    session.send(entry(deadline=deadline), 0.0)
    assert not [one for one in session.tick(ends - 0.1) if isinstance(one, Settle)]
    if connect:
        session.on_frame({"type": "pong"}, ends)
    (settled,) = [one for one in session.tick(ends) if isinstance(one, Settle)]
    assert isinstance(settled.outcome, Unconfirmed)
    assert settled.outcome.sent is sent


def test_after_two_minutes_the_history_is_asked_and_its_ack_moves_no_cursor() -> None:
    session, _ = connected()
    session.on_frame(message(8), 0.0)
    (first,) = written(session.send(entry(deadline=500), 0.0))
    session.cut()
    session.opened(120.0)
    again = written(session.on_frame(WELCOME, 120.0))[-1]
    assert again == first | {"retry": True}
    session.on_frame(subscribed(INBOX, 8, 1), 120.0)
    (settled,) = session.on_frame(ack(seq=0) | {"epoch": "", "duplicate": True}, 120.0)
    assert isinstance(settled, Settle)
    assert isinstance(settled.outcome, Sent)
    events(session)
    assert session.channels.cursors() == {INBOX: Cursor("e", 8)}


def test_a_message_over_the_limit_is_refused_here() -> None:
    session, _ = connected()
    session.send(entry(content="x" * 1000), 0.0)
    (settled,) = [one for one in session.tick(0.1) if isinstance(one, Settle)]
    assert isinstance(settled.outcome, Refused)
    assert settled.outcome.code == "too_large"


def test_only_so_many_sends_wait_on_the_wire() -> None:
    session, _ = connected(limits=Limits(window=2))
    frames = [frame for number in range(5) for frame in written(session.send(entry(f"{number}".ljust(16)), 0.0))]
    assert [frame["id"].strip() for frame in frames] == ["0", "1"]
    assert [frame["id"].strip() for frame in written(session.on_frame(ack("0".ljust(16)), 0.0))] == ["2"]


def test_a_subscription_stays_over_a_cut_with_a_cursor_or_without() -> None:
    session, _ = connected()
    (asked,) = written(session.subscribe("topic:t"))
    assert asked == {"type": "subscribe", "id": asked["id"], "channel": "topic:t"}
    session.cut()
    session.opened(1.0)
    assert written(session.on_frame(WELCOME, 1.0))[0] == asked | {"id": "ask-2"}
    settled = session.on_frame(subscribed("topic:t", 3), 1.0)
    assert settled == [Settle(SUBSCRIBE + "topic:t", Subscribed("topic:t", Cursor("e", 3)))]
    session.on_frame(message(4, "topic:t"), 1.0)
    session.cut()
    session.opened(2.0)
    assert written(session.on_frame(WELCOME, 2.0))[0]["since"] == {"epoch": "e", "seq": 4}


def test_a_topic_that_is_refused_and_one_that_is_not_to_be_had_now() -> None:
    session, _ = connected()
    (asked,) = written(session.subscribe("topic:t"))
    error = {"type": "error", "id": asked["id"], "channel": "topic:t", "message": ""}
    assert session.on_frame(error | {"code": "unavailable", "retry_after_ms": 2000}, 0.0) == []
    assert not [one for one in written(session.tick(1.9)) if one["type"] == "subscribe"]
    (again,) = [one for one in written(session.tick(2.0)) if one["type"] == "subscribe"]
    (settled,) = session.on_frame(error | {"id": again["id"], "code": "forbidden"}, 2.0)
    assert isinstance(settled, Settle)
    assert isinstance(settled.outcome, Refused)
    session.cut()
    session.opened(3.0)
    assert written(session.on_frame(WELCOME, 3.0)) == []


def test_what_was_left_is_not_heard_any_more() -> None:
    session, _ = connected()
    session.subscribe("topic:t")
    session.on_frame(subscribed("topic:t", 3), 0.0)
    assert written(session.unsubscribe("topic:t")) == [{"type": "unsubscribe", "channel": "topic:t"}]
    session.on_frame(message(4, "topic:t"), 0.0)
    assert not [one for one in events(session) if isinstance(one, Message)]


def change(what: str, channel: str, seq: int, **more: Any) -> Frame:
    frame = {"type": "membership", "channel": channel, "epoch": "e", "seq": seq, "prev": 0, "change": what}
    return frame | {"message_id": f"c{seq}", "group_id": "g", "by": "you", "user_ids": ["me"], "sent_at": 1} | more


def test_who_is_added_reads_the_group_from_there_on_and_who_is_removed_does_not() -> None:
    session, _ = connected()
    since = {"epoch": "e", "seq": 4}
    (asked,) = written(session.on_frame(change("added", INBOX, 8, since=since, name="Team", role="member"), 0.0))
    assert (asked["channel"], asked["since"]) == (GROUP, since)
    session.on_frame(subscribed(GROUP, 4), 0.0)
    session.on_frame(subscribed(GROUP, 4, id=asked["id"]), 0.0)
    session.on_frame(change("added", GROUP, 5), 0.0)
    session.on_frame(message(6, GROUP, conversation=GROUP), 0.0)
    session.on_frame(change("removed", GROUP, 7), 0.0)
    session.on_frame(message(8, GROUP, conversation=GROUP), 0.0)
    heard = events(session)
    changes = [(one.change, one.mine) for one in heard if isinstance(one, Membership)]
    assert changes == [("added", True), ("added", False), ("removed", False)]
    assert [one.content for one in heard if isinstance(one, Message)] == [6]
    assert GROUP not in session.channels.cursors()


def test_where_the_server_begins_by_itself_is_no_answer_to_where_this_device_goes_on() -> None:
    session, _ = connected(saved={INBOX: Cursor("e", 5), GROUP: Cursor("e", 5)})
    session.on_frame(subscribed(GROUP, 9), 0.0)  # the server has not heard the `resume` yet
    session.on_frame(message(10, GROUP, conversation=GROUP), 0.0)
    session.on_frame(subscribed(GROUP, 5, 1), 0.0)
    for seq in (7, 9, 10):
        session.on_frame(message(seq, GROUP, conversation=GROUP), 0.0)
    assert [one.content for one in events(session) if isinstance(one, Message)] == [7, 9, 10]
    assert session.channels.cursors()[GROUP] == Cursor("e", 10)


def test_a_group_that_was_joined_while_away_is_read_from_its_beginning_wherever_the_server_began() -> None:
    session, _ = connected(saved={INBOX: Cursor("e", 5)})
    session.on_frame(subscribed(INBOX, 5, 1), 0.0)
    session.on_frame(change("added", INBOX, 6, since={"epoch": "e", "seq": 4}), 0.0)
    session.on_frame(subscribed(GROUP, 9), 0.0)  # was on its way before the server heard the question
    session.on_frame(subscribed(GROUP, 4, 2), 0.0)
    for seq in (5, 9):
        session.on_frame(message(seq, GROUP, conversation=GROUP), 0.0)
    assert [one.content for one in events(session) if isinstance(one, Message)] == [5, 9]


def test_a_group_that_the_server_joined_too_late_is_read_from_its_beginning() -> None:
    session, _ = connected(saved={INBOX: Cursor("e", 5)})
    session.on_frame(subscribed(GROUP, 9), 0.0)
    session.on_frame(subscribed(INBOX, 5, 1), 0.0)
    since = {"epoch": "e", "seq": 4}
    (asked,) = written(session.on_frame(change("added", INBOX, 6, since=since), 0.0))
    assert (asked["channel"], asked["since"]) == (GROUP, since)
    session.on_frame(message(10, GROUP, conversation=GROUP), 0.0)
    session.on_frame(subscribed(GROUP, 4, 2), 0.0)
    for seq in (5, 10):
        session.on_frame(message(seq, GROUP, conversation=GROUP), 0.0)
    assert [one.content for one in events(session) if isinstance(one, Message)] == [5, 10]
    assert session.channels.cursors()[GROUP] == Cursor("e", 10)


def test_a_group_that_the_server_joined_too_late_and_that_went_on_is_a_gap() -> None:
    session, _ = connected(saved={INBOX: Cursor("e", 5)})
    session.on_frame(subscribed(GROUP, 9), 0.0)
    session.on_frame(message(10, GROUP, conversation=GROUP), 0.0)
    session.on_frame(subscribed(INBOX, 5, 1), 0.0)
    assert written(session.on_frame(change("added", INBOX, 6, since={"epoch": "e", "seq": 4}), 0.0)) == []
    assert Gap(GROUP, "no_cursor") in events(session)


def test_received_is_cumulative_and_comes_at_most_once_a_second() -> None:
    session, _ = connected()
    for seq in (8, 9):
        session.on_frame(message(seq), 0.1)
    assert written(session.tick(0.5)) == []
    events(session)
    assert written(session.tick(0.9)) == []
    assert written(session.tick(1.0)) == [{"type": "received", "channel": INBOX, "seq": 9}]
    assert written(session.tick(9.0)) == []


def test_read_is_told_again_after_a_cut_and_only_where_the_channel_is_read() -> None:
    session, _ = connected()
    session.on_frame(message(8), 0.0)
    events(session)
    session.read(INBOX, Cursor("e", 8), "you")
    told = {"type": "read", "channel": INBOX, "seq": 8, "conversation": "you"}
    assert written(session.tick(0.1))[-1] == told
    session.cut()
    session.opened(1.0)
    session.on_frame(WELCOME, 1.0)
    assert told not in written(session.tick(1.1)), "the server would not take it before it is resumed"
    session.on_frame(subscribed(INBOX, 8, 1), 1.2)
    session.read(INBOX, Cursor("e", 7), "you")
    assert told in written(session.tick(1.3))


def test_typing_ends_by_itself_and_is_said_every_three_seconds() -> None:
    session, _ = connected()
    session.tick(0.0)
    frame = {"type": "typing", "recipient_id": "you", "state": "start"}
    said = [bool(session.type("you", frame, now)) for now in (0.0, 1.0, 2.9, 3.0, 4.0)]
    assert said == [True, False, False, True, False]
    assert session.type("you", frame | {"state": "stop"}, 4.0)
    assert not session.type("you", frame | {"state": "stop"}, 4.1)
    events(session)
    for now in (0.0, 2.0):
        session.on_frame({"type": "typing", "from": "you", "state": "start"}, now)
    session.tick(7.9)
    assert events(session) == [Typing("you", "you", "start")]
    session.tick(8.0)
    assert events(session) == [Typing("you", "you", "stop")]


def test_it_pings_when_idle_and_takes_a_silent_connection_for_dead() -> None:
    session, _ = connected()
    assert written(session.tick(24.9)) == []
    assert written(session.tick(25.0)) == [{"type": "ping"}]
    assert not any(isinstance(one, HangUp) for one in session.tick(39.9))
    assert HangUp("no answer") in session.tick(40.0)


def test_an_application_that_does_not_read_is_no_reason_to_hang_up() -> None:
    session, _ = connected(limits=Limits(events=1))
    session.tick(1.0)
    session.tick(26.0)
    assert not any(isinstance(one, HangUp) for one in session.tick(50.0))


def test_a_gateway_that_announced_its_end_and_does_not_close_is_left() -> None:
    session, _ = connected()
    session.on_frame({"type": "reconnect", "after_ms": 700, "reason": "drain"}, 0.0)
    assert session.leave_at == pytest.approx(0.7)
    assert not any(isinstance(one, HangUp) for one in session.tick(0.6))
    assert any(isinstance(one, HangUp) for one in session.tick(0.7))


def test_the_end_of_the_client_settles_everything() -> None:
    session, _ = connected()
    session.send(entry(), 0.0)
    session.subscribe("topic:t")
    keys = [one.key for one in session.end(Unconfirmed(sent=True)) if isinstance(one, Settle)]
    assert keys == [SEND + "k" * 16, SUBSCRIBE + "topic:t"]


def test_unknown_frames_are_ignored_and_what_is_logged_keeps_its_place() -> None:
    session, _ = connected()
    session.on_frame({"type": "news", "x": 1}, 0.0)
    session.on_frame({"type": "notification", "channel": INBOX, "epoch": "e", "seq": 8}, 0.0)
    (event,) = events(session)
    assert isinstance(event, Connected)
    assert session.channels.cursors() == {INBOX: Cursor("e", 8)}
