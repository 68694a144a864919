"""The session machine: tables and properties, no sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from push_workloads.common.errors import Unauthorized, Unavailable
from push_workloads.common.ids import message_id_of
from push_workloads.common.outgoing import too_deep
from push_workloads.common.questions import KnownMessage
from push_workloads.common.sending import SEND_SECONDS, Find, Publish, Stored, digest
from push_workloads.common.tokens import Identity
from push_workloads.gateway.actions import (
    Action,
    AskBlocks,
    AskGroups,
    AskKnown,
    Close,
    Cursor,
    Limits,
    Ping,
    ShowToken,
    Start,
    Who,
)
from push_workloads.gateway.frames import logged_frame, message_head
from push_workloads.gateway.joining import JOIN_SECONDS, MAX_EARLY_FRAMES, Joining
from push_workloads.gateway.manners import FAULTS_TO_CLOSE
from push_workloads.gateway.outbox import MAX_SENDS_IN_FLIGHT
from push_workloads.gateway.recovery import Delivered
from push_workloads.gateway.session import At, Session

INBOX = "user:ann"
WALL = 1_700_000_000_000
KEY = "a-random-dedup-id"
GENEROUS = Limits(heartbeat_s=25, max_frame_bytes=4096, frames_per_second=1000, burst=10_000)


def who(ends_at: float = 1e9, *, places_itself: bool = False) -> Who:
    return Who("ann", "phone", "s1", ends_at, places_itself=places_itself)


def opened(limits: Limits = GENEROUS, *, head: int = 10, ends_at: float = 1e9) -> Session:
    session, actions = Joining(who(ends_at), limits, 0.0).welcome("e1", head, at(0.0))
    assert [decoded["type"] for decoded in sent(actions)] == ["welcome"]
    assert isinstance(one(actions, AskGroups), AskGroups)
    return session


def at(now: float = 1.0, wall_ms: int = WALL, entropy: bytes = bytes(range(10))) -> At:
    return At(now, wall_ms, entropy)


def says(session: Session | Joining, frame: Any, now: float = 1.0) -> list[Action]:
    """The actions; whether a recipient blocks the user is answered at once: no."""
    text = frame if isinstance(frame, str) else json.dumps(frame)
    return allowing(session, session.on_frame(text, at(now)))


def allowing(session: Session | Joining, actions: Iterable[Action]) -> list[Action]:
    made: list[Action] = []
    for action in actions:
        if isinstance(action, AskBlocks) and isinstance(session, Session):
            made += session.allowed(action.message_id)
        else:
            made.append(action)
    return made


def passed(session: Session, message: Delivered, channel: str = INBOX) -> list[Action]:
    return list(session.deliver(channel, message))


def welcomed(joining: Joining, head: int = 10, now: float = 1.0, start: Start = None) -> tuple[Session, list[Action]]:
    session, actions = joining.welcome("e1", head, at(now), start)
    return session, allowing(session, actions)


def sent(actions: Iterable[Action]) -> list[dict[str, Any]]:
    return [json.loads(action) for action in actions if isinstance(action, bytes)]


def message(seq: int, message_id: str = "other") -> Delivered:
    return Delivered(message_id, seq, b'{"type":"message","seq":%d}' % seq)


def one(actions: Iterable[Action], kind: type[Any]) -> Any:
    found = [action for action in actions if isinstance(action, kind)]
    assert len(found) == 1, found
    return found[0]


# Bad input: an error that names the fault, and the socket stays open.

BAD = [
    ("nonsense", "bad_frame", "one JSON object"),
    ("[]", "bad_frame", "array"),
    ("1", "bad_frame", ""),
    ('"send_message"', "bad_frame", ""),
    ("null", "bad_frame", ""),
    ("{}", "bad_frame", "type"),
    ('{"type":1}', "bad_frame", "str"),
    ('{"type":"look","user_ids":[]}', "unknown_type", "watch"),
    ('{"type":"watch","user_ids":[]}', "bad_frame", "$.user_ids"),
    ('{"type":"watch","user_ids":["\\ud800"]}', "bad_frame", ""),
    ('{"type":"watch","user_ids":["' + "é" * 100 + '"]}', "bad_frame", "user_ids"),
    ('{"type":"status","status":"offline"}', "bad_frame", "$.status"),
    ('{"type":"Ping"}', "unknown_type", "Ping"),
    ('{"type":"send_message","content":1}', "bad_frame", "recipient_id"),
    ('{"type":"send_message","recipient_id":"bob"}', "bad_frame", "content"),
    ('{"type":"send_message","recipient_id":7,"content":1}', "bad_frame", "$.recipient_id"),
    ('{"type":"send_message","recipient_id":"","content":1}', "bad_frame", "$.recipient_id"),
    ('{"type":"send_message","recipient_id":"bob","content":1,"dedup_id":"short"}', "bad_frame", "$.dedup_id"),
    ('{"type":"send_message","recipient_id":"bob","content":1,"kind":"system"}', "bad_frame", "$.kind"),
    ('{"type":"send_message","recipient_id":"bob","content":1,"kind":"edit"}', "bad_frame", "ref"),
    ('{"type":"send_message","recipient_id":"bob","content":1,"retry":true}', "bad_frame", "dedup_id"),
    ('{"type":"send_message","recipient_id":"bob","content":1,"ref":"abc\\n"}', "bad_frame", "$.ref"),
    ('{"type":"send_message","recipient_id":"bob","content":' + "[" * 65 + "]" * 65 + "}", "bad_frame", "64 levels"),
    ('{"type":"send_message","recipient_id":"\\ud800","content":1}', "bad_frame", ""),
    ('{"type":"send_message","recipient_id":"' + "é" * 100 + '","content":1}', "bad_frame", "recipient_id"),
    ('{"type":"received","channel":"user:ann","seq":-1}', "bad_frame", "$.seq"),
    ('{"type":"received","channel":"user:bob","seq":1}', "not_found", "channel"),
    ('{"type":"ping","id":""}', "bad_frame", "$.id"),
    ('{"type":"ping","id":"' + "x" * 65 + '"}', "bad_frame", "$.id"),
    ('{"type":"ping"', "bad_frame", "JSON"),
    ("[" * 3000, "bad_frame", ""),
    ('{"type":"send_message","recipient_id":"bob","content":' + "[" * 3000, "bad_frame", ""),
    ('{"type":"ping","pad":"' + "x" * 5000 + '"}', "too_large", "4096"),
    ('{"type":"ping","pad":"' + "é" * 2500 + '"}', "too_large", "4096"),
]


@pytest.mark.parametrize(("text", "code", "names"), BAD, ids=[f"{n}-{row[1]}" for n, row in enumerate(BAD)])
def test_a_bad_frame_gets_an_error_that_names_the_fault(text: str, code: str, names: str) -> None:
    session = opened()
    (error,) = sent(says(session, text))
    assert (error["type"], error["code"]) == ("error", code)
    assert names in error["message"]
    assert sent(says(session, {"type": "ping", "id": "p"})) == [{"type": "pong", "id": "p", "server_time": WALL}]


def test_an_error_repeats_the_id_when_it_can_be_read() -> None:
    assert sent(says(opened(), {"type": "nope", "id": "7"}))[0]["id"] == "7"
    assert sent(says(opened(), {"type": "send_message", "id": "7"}))[0]["id"] == "7"


@given(st.text())
def test_no_text_raises(text: str) -> None:
    actions = says(opened(), text)
    assert all(isinstance(action, bytes | Publish | Cursor) for action in actions)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["type", "id", "recipient_id", "content", "seq"]), inner)
        ),
    )
)
def test_no_json_raises(value: Any) -> None:
    says(opened(), json.dumps(value))


def test_repeated_faults_close_with_4400_and_time_forgives() -> None:
    session = opened()
    for number in range(int(FAULTS_TO_CLOSE)):
        assert not any(isinstance(action, Close) for action in says(session, "x", now=1.0 + number / 1000))
    assert one(says(session, "x", now=1.1), Close).code == 4400
    patient = opened()
    for number in range(200):
        assert not any(isinstance(action, Close) for action in says(patient, "x", now=float(number * 3)))


def test_too_fast_is_rate_limited_and_says_when_to_come_back() -> None:
    session = opened(Limits(frames_per_second=10, burst=3))
    for _ in range(3):
        assert sent(says(session, {"type": "ping"}))[0]["type"] == "pong"
    (error,) = sent(says(session, {"type": "ping", "id": "p"}))
    assert (error["code"], error["retry_after_ms"], error["id"]) == ("rate_limited", 101, "p")
    assert sent(says(session, {"type": "ping"}, now=1.0 + 0.11))[0]["type"] == "pong"


@given(st.lists(st.integers(0, 60_000), min_size=1, max_size=400), st.integers(1, 200), st.integers(1, 300))
def test_a_client_that_waits_as_it_is_told_is_never_closed(sizes: list[int], rate: int, burst: int) -> None:
    session, now = opened(Limits(frames_per_second=rate, burst=burst)), 1.0
    for size in sizes:
        frame = {"type": "ping", "pad": "x" * size}
        while (answer := sent(says(session, frame, now=now))[0])["type"] == "error":
            assert answer["code"] == "rate_limited"
            now += answer["retry_after_ms"] / 1000
    assert not any(isinstance(action, Close) for action in says(session, {"type": "ping"}, now=now))


def test_a_client_that_does_not_wait_is_closed() -> None:
    session = opened(Limits(frames_per_second=10, burst=3))
    codes = [
        action.code for number in range(1000) for action in says(session, {"type": "ping"}) if isinstance(action, Close)
    ]
    assert codes[0] == 4400


def test_a_large_frame_costs_more_than_a_small_one() -> None:
    session = opened(Limits(frames_per_second=10, burst=20))
    assert sent(says(session, {"type": "ping", "pad": "x" * 65_000}))[0]["type"] == "pong"
    assert sent(says(session, {"type": "ping", "pad": "x" * 65_000}))[0]["code"] == "rate_limited"
    assert sent(says(session, {"type": "ping"}))[0]["type"] == "pong"


# Sending


def send(session: Session, **more: Any) -> list[Action]:
    return says(session, {"type": "send_message", "id": "1", "recipient_id": "bob", "content": {"a": 1}, **more})


def test_a_direct_message_is_the_recipients_copy_then_ours_then_the_ack_in_its_place() -> None:
    session = opened()
    theirs = one(send(session, dedup_id=KEY), Publish)
    assert (theirs.subject, theirs.twin) == ("u.bob", None)
    assert theirs.message_id == message_id_of("ann", "u.bob", KEY)
    assert json.loads(theirs.payload) == {
        "message_id": theirs.message_id,
        "from": "ann",
        "recipient_id": "bob",
        "conversation": "ann",
        "kind": "text",
        "content": {"a": 1},
        "sent_at": WALL,
    }
    ours = one(session.published(theirs.message_id, "e1", 40, duplicate=False), Publish)
    assert (ours.subject, ours.twin) == ("u.ann", "u.bob")
    assert json.loads(ours.payload) == json.loads(theirs.payload) | {"conversation": "bob", "dedup_id": KEY}

    assert list(session.published(ours.message_id, "e1", 12, duplicate=False)) == []  # 11 was not delivered yet
    assert passed(session, message(11)) == [message(11).frame]
    (ack,) = passed(session, message(12, ours.message_id))
    assert isinstance(ack, bytes)
    assert json.loads(ack) == {
        "type": "ack",
        "id": "1",
        "message_id": ours.message_id,
        "dedup_id": KEY,
        "channel": "user:ann",
        "epoch": "e1",
        "seq": 12,
        "sent_at": WALL,
    }


def test_the_delivery_of_our_copy_before_its_answer_is_the_ack() -> None:
    session = opened()
    theirs = one(send(session), Publish)
    list(session.published(theirs.message_id, "e1", 11, duplicate=False))
    (ack,) = passed(session, message(12, theirs.message_id))
    assert isinstance(ack, bytes) and json.loads(ack)["seq"] == 12
    assert list(session.published(theirs.message_id, "e1", 12, duplicate=False)) == []


def test_the_hint_for_a_push_goes_with_the_recipients_copy_only() -> None:
    session = opened()
    theirs = one(send(session, push={"title": "Hi", "silent": True}), Publish)
    assert json.loads(theirs.hint) == {"title": "Hi", "silent": True}
    assert one(session.published(theirs.message_id, "e1", 11, duplicate=False), Publish).hint is None


def repeated(content: Any, stored: Stored | None) -> list[Action]:
    session = opened()
    theirs = one(send(session, dedup_id=KEY, content=content), Publish)
    find = one(session.published(theirs.message_id, "e1", 5, duplicate=True), Find)
    assert (find.subject, find.seq) == ("u.bob", 5)
    return list(session.found(find.message_id, "e1", find.seq, stored)) + list(
        session.published(theirs.message_id, "e1", 6, duplicate=True)
    )


def test_a_repeat_with_the_same_content_is_acknowledged_as_the_first_was() -> None:
    actions = repeated({"a": 1, "b": 2}, Stored(Raw(b'{ "b":2, "a":1 }'), sent_at=77))
    assert json.loads(one(actions, Publish).payload)["sent_at"] == 77
    (ack,) = sent(actions)
    assert (ack["type"], ack["duplicate"], ack["sent_at"], ack["seq"]) == ("ack", True, 77, 6)


@pytest.mark.parametrize(
    "stored",
    [
        Stored(Raw(b'{"a":2}'), 77),
        Stored(Raw(b'{"a":1}'), 77, kind="edit", ref="m"),
        Stored(Raw(b"1"), 77),
        Stored(Raw(b'"\\ud800"'), 77),
    ],
)
def test_a_repeat_with_other_content_is_a_conflict(stored: Stored) -> None:
    (error,) = sent(repeated({"a": 1}, stored))
    assert (error["code"], error["id"]) == ("conflict", "1")


def test_a_repeat_whose_first_is_gone_from_the_log_is_acknowledged() -> None:
    assert sent(repeated({"a": 1}, None))[-1]["type"] == "ack"


def test_a_retry_asks_the_history_first() -> None:
    session = opened()
    asked = one(send(session, dedup_id=KEY, retry=True), AskKnown)
    assert (asked.subject, asked.message_id) == ("u.bob", message_id_of("ann", "u.bob", KEY))
    assert one(session.known(asked.message_id, None, "e1"), Publish).subject == "u.bob"

    for content, kind in (({"a": 1}, "ack"), ({"a": 2}, "error")):
        session = opened()
        asked = one(send(session, dedup_id=KEY, retry=True), AskKnown)
        held = KnownMessage(asked.message_id, 77, digest("text", None, json.dumps(content).encode()))
        (answer,) = sent(session.known(asked.message_id, held, "e1"))
        assert answer["type"] == kind
        if kind == "ack":
            assert (answer["duplicate"], answer["sent_at"], answer["seq"], answer["epoch"]) == (True, 77, 0, "e1")
        else:
            assert answer["code"] == "conflict"
        assert list(session.known(asked.message_id, None, "e1")) == []


@pytest.mark.parametrize("end", ["new", "known", "failed"])
def test_what_follows_a_retry_to_the_same_target_waits_behind_it(end: str) -> None:
    session = opened()
    first = one(send(session, dedup_id=KEY, retry=True), AskKnown)
    assert send(session, dedup_id="another-dedup-id-1") == []
    assert send(session, dedup_id="another-dedup-id-2", retry=True) == []
    assert send(session, dedup_id="another-dedup-id-3") == []
    assert one(send(session, recipient_id="cid"), Publish).subject == "u.cid", "to others nothing waits"
    if end == "failed":
        _, *rest = session.failed(first.message_id, "away")
    else:
        held = KnownMessage(first.message_id, 7, digest("text", None, b'{"a":1}')) if end == "known" else None
        answer, *rest = session.known(first.message_id, held, "e1")
        assert isinstance(answer, bytes if held else Publish)
    assert [type(step) for step in rest] == [Publish, AskKnown]
    second = one(rest, AskKnown)
    steps = session.known(second.message_id, None, "e1")
    assert [step.message_id for step in steps if isinstance(step, Publish)] == [
        second.message_id, message_id_of("ann", "u.bob", "another-dedup-id-3"),
    ]  # fmt: skip


def test_a_failure_a_lost_bus_and_silence_are_told_and_may_be_tried_again() -> None:
    ways: list[Callable[[Session, Publish], Iterable[Action]]] = [
        lambda session, publication: session.failed(publication.message_id, "why"),
        lambda session, _: session.bus_lost(),
        lambda session, _: session.tick(1.0 + SEND_SECONDS + 0.1),
    ]
    for fail in ways:
        session = opened()
        first = one(send(session, dedup_id=KEY), Publish)
        (error,) = sent(fail(session, first))
        assert (error["code"], error["id"], error["retry_after_ms"]) == ("unavailable", "1", 1000)
        assert one(send(session, dedup_id=KEY), Publish).message_id == first.message_id


def test_what_is_on_its_way_is_bounded() -> None:
    session = opened()
    for _ in range(MAX_SENDS_IN_FLIGHT):
        # Each has its own entropy in production; here the clock of the session makes the ids differ.
        one(send(session), Publish)
    assert sent(send(session))[0]["code"] == "unavailable"


def test_two_messages_of_one_millisecond_keep_their_order_in_time() -> None:
    session = opened()
    times = [json.loads(one(send(session), Publish).payload)["sent_at"] for _ in range(5)]
    assert times == [WALL + number for number in range(5)]


@settings(max_examples=300)
@given(st.data())
def test_every_send_ends_in_one_answer_and_acks_follow_every_lower_seq(data: st.DataObject) -> None:
    """Answers of the log and deliveries race in any order; what the client sees does not show it."""
    session = opened(head=0)
    seq, seen, open_sends = 0, [], {}
    log: list[tuple[int, str]] = []  # our inbox, in order
    waiting: list[tuple[str, int]] = []  # answers on their way
    for number in range(data.draw(st.integers(1, 8))):
        publication = one(send(session, id=str(number)), Publish)
        open_sends[str(number)] = publication.message_id
        waiting.append((publication.message_id, -1))
    while waiting or log:
        moves = ["answer"] * bool(waiting) + ["deliver"] * bool(log) + ["other"]
        move = data.draw(st.sampled_from(moves))
        actions: list[Action] = []
        if move == "answer":
            message_id, place = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            for action in session.published(message_id, "e1", 1000 if place < 0 else place, duplicate=False):
                if isinstance(action, Publish):
                    seq += 1
                    log.append((seq, message_id))
                    waiting.append((message_id, seq))
                else:
                    actions.append(action)
        elif move == "deliver":
            place, message_id = log.pop(0)
            actions += passed(session, message(place, message_id))
        elif seq < 30:
            seq += 1
            log.append((seq, "other"))
        seen += sent(actions)
    assert [frame["seq"] for frame in seen] == list(range(1, seq + 1))
    assert {frame["id"] for frame in seen if frame["type"] == "ack"} == set(open_sends)


@given(
    st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
    st.integers(0, 70),
)
def test_depth_is_counted_as_a_reader_would(value: Any, more: int) -> None:
    def depth(node: Any) -> int:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    for _ in range(more):
        value = [value, "[{[{" * 20 + '\\"']
    assert too_deep(json.dumps(value).encode()) == (depth(value) > 64)


# Receiving


def test_a_repeat_of_a_delivery_is_dropped() -> None:
    session = opened(head=10)
    assert passed(session, message(10)) == []
    assert passed(session, message(11)) == [message(11).frame]
    assert passed(session, message(11)) == []


@pytest.mark.parametrize(("said", "kept"), [(5, 5), (10, 10), (11, 10), (2**60, 10)])
def test_a_cursor_is_clamped_to_what_was_sent(said: int, kept: int) -> None:
    cursor = one(says(opened(head=10), {"type": "received", "channel": "user:ann", "seq": said}), Cursor)
    assert (cursor.channel, cursor.epoch, cursor.seq) == ("user:ann", "e1", kept)


def test_a_message_frame_is_json_whatever_the_names_are() -> None:
    head = message_head('user:"\\', "e")
    assert json.loads(logged_frame(head, 3, 2, b'{"content":1}')) == {
        "type": "message",
        "channel": 'user:"\\',
        "epoch": "e",
        "seq": 3,
        "prev": 2,
        "content": 1,
    }


# Time


def test_the_heartbeat_pings_a_quiet_client_then_gives_it_up() -> None:
    session = opened()
    assert list(session.tick(25.0)) == []
    assert isinstance(one(session.tick(26.0), Ping), Ping)
    assert list(session.tick(27.0)) == []
    session.heard(30.0)
    assert list(session.tick(54.0)) == []
    assert one(session.tick(30.0 + 2.5 * 25 + 1), Close).code == 4408


def test_an_expired_token_closes_with_4401() -> None:
    session = opened(ends_at=100.0)
    session.heard(99.0)
    assert list(session.tick(99.9)) == []
    assert one(session.tick(100.0), Close).code == 4401


# Joining


def test_what_arrives_before_the_welcome_comes_after_it_once_and_in_order() -> None:
    joining = Joining(who(), GENEROUS, 0.0)
    assert says(joining, {"type": "ping", "id": "a"}) == []
    for seq in (9, 10, 11, 12):
        assert list(joining.deliver(INBOX, message(seq))) == []
    session, actions = welcomed(joining)
    frames = sent(actions)
    assert [frame["type"] for frame in frames] == ["welcome", "message", "message", "pong"]
    assert frames[0]["inbox"] == {"epoch": "e1", "seq": 10}
    assert [frame["seq"] for frame in frames[1:3]] == [11, 12]
    assert passed(session, message(12)) == []


def test_two_messages_before_the_welcome_have_two_ids() -> None:
    joining = Joining(who(), GENEROUS, 0.0)
    for _ in range(2):
        says(joining, {"type": "send_message", "recipient_id": "bob", "content": 1})
    _, actions = welcomed(joining, head=0)
    ids = {action.message_id for action in actions if isinstance(action, Publish)}
    assert len(ids) == 2


def test_joining_is_bounded_in_frames_and_in_time() -> None:
    joining = Joining(who(), GENEROUS, 0.0)
    for _ in range(MAX_EARLY_FRAMES):
        says(joining, {"type": "ping"})
    assert one(says(joining, {"type": "ping"}), Close).code == 4400
    assert list(joining.tick(JOIN_SECONDS)) == []
    assert one(joining.tick(JOIN_SECONDS + 0.1), Close).code == 1013


def test_a_newer_token_of_the_same_user_keeps_the_socket() -> None:
    session = opened(ends_at=100.0)
    (asked,) = says(session, {"type": "refresh", "id": "1", "token": "newer"})
    assert asked == ShowToken("newer", "1")
    others, newer = Identity("bob", 500, "l9", 50), Identity("ann", 500, "l2", 60)
    assert sent(session.refreshed(asked, others, 400.0, 1.0))[0]["code"] == "forbidden"
    assert sent(session.not_refreshed(asked, Unauthorized("no"), 1.0))[0]["code"] == "unauthorized"
    away = Unavailable("later", retry_after_ms=1000)
    (told,) = sent(session.not_refreshed(asked, away, 1.0))
    assert (told["code"], told["retry_after_ms"], told["id"]) == ("unavailable", 1000, "1")
    assert session.who.ends_at == 100.0
    assert sent(session.refreshed(asked, newer, 400.0, 1.0)) == [
        {"type": "refreshed", "expires_at": 500_000, "id": "1"}
    ]
    assert (session.who.ends_at, session.who.login_id, session.who.issued_at) == (400.0, "l2", 60)
    session.heard(100.0)
    assert not [one for one in session.tick(100.0) if isinstance(one, Close)]
    assert [one.code for one in session.tick(400.0) if isinstance(one, Close)] == [4401]


def test_a_token_that_is_too_long_is_not_looked_at() -> None:
    limits = Limits(max_frame_bytes=65_536, frames_per_second=1000, burst=10_000)
    (refused,) = sent(says(opened(limits), {"type": "refresh", "token": "x" * 4097}))
    assert refused["code"] == "bad_frame"
