"""Whom an application watches, over cuts."""

from __future__ import annotations

import pytest

from push_client.actions import Action, Write
from push_client.events import Connected, Event, Frame, Limits, Presence, Saved
from push_client.session import Session

WELCOME: Frame = {
    "type": "welcome", "user_id": "ann", "device_id": "d1", "session_id": "s1", "heartbeat_s": 25,
    "max_frame_bytes": 65_536, "server_time": 1, "inbox": {"epoch": "e1", "seq": 7},
}  # fmt: skip


def written(actions: list[Action]) -> list[Frame]:
    frames = [action.frame for action in actions if isinstance(action, Write)]
    return [frame for frame in frames if frame["type"] in ("watch", "unwatch", "status")]


def connected(session: Session, now: float = 0.0) -> list[Frame]:
    session.opened(now)
    return written(session.on_frame(WELCOME, now))


def told(session: Session, user_id: str, status: str) -> list[Event]:
    session.on_frame({"type": "presence", "user_id": user_id, "status": status, "last_seen": None}, 1.0)
    found = []
    while session.mailbox:
        found.append(session.mailbox.take().event)
    return [event for event in found if not isinstance(event, Connected)]


@pytest.fixture
def session() -> Session:
    return Session(Limits(), Saved("d1"))


def test_what_was_wished_before_the_welcome_goes_out_with_it(session: Session) -> None:
    assert session.watch(["bob", "cid"]) == session.unwatch(["cid"]) == session.status("away") == []
    assert connected(session) == [{"type": "watch", "user_ids": ["bob"]}]
    assert session.mood == "away"  # in the address of the connection


def test_it_is_said_again_after_a_cut_and_told_when_it_is_news(session: Session) -> None:
    connected(session)
    assert written(session.watch(["bob"])) == [{"type": "watch", "user_ids": ["bob"]}]
    assert told(session, "bob", "online") == [Presence("bob", "online")]
    session.cut()
    assert connected(session) == [{"type": "watch", "user_ids": ["bob"]}]
    assert told(session, "bob", "online") == []
    assert told(session, "bob", "offline") == [Presence("bob", "offline")]
    assert told(session, "eve", "online") == []  # unwatched, and this was on its way


def test_many_go_in_several_frames_and_too_many_not_at_all(session: Session) -> None:
    connected(session)
    users = [f"u{number}" for number in range(500)]
    assert [len(frame["user_ids"]) for frame in written(session.watch(users))] == [250, 250]
    with pytest.raises(ValueError, match="500"):
        session.watch(["one more"])
    assert written(session.unwatch(users[:1])) == [{"type": "unwatch", "user_ids": users[:1]}]
    session.watch(["one more"])


def test_a_status_is_said_once(session: Session) -> None:
    connected(session)
    assert written(session.status("away")) == [{"type": "status", "status": "away"}]
    assert session.status("away") == []


def test_what_was_refused_for_now_is_said_again(session: Session) -> None:
    connected(session)
    session.watch(["bob"])
    session.on_frame({"type": "error", "code": "rate_limited", "message": "", "retry_after_ms": 500}, 1.0)
    assert written(session.tick(2.0)) == []
    assert written(session.tick(7.0)) == [{"type": "watch", "user_ids": ["bob"]}]
    assert written(session.tick(13.0)) == []
