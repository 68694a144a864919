"""Whom the sockets of a gateway watch, what is known of each, and what one session may ask."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.test_session import at, one, opened, says, sent

from push_workloads.common.announcements import Announcement, Announcer, Status, decode, subject_of
from push_workloads.gateway.actions import SetStatus, UnwatchUsers, WatchUsers
from push_workloads.gateway.watched import LOST_SECONDS, Watched, WatchTable
from push_workloads.gateway.watchlist import STATUS_SECONDS, USERS_BURST

NOW = 1000.0
STATUSES = st.sampled_from(["online", "away", "offline"])
USERS = st.sampled_from(["ann", "bob", "cid"])
SOCKETS = st.sampled_from(["s1", "s2", "s3"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "show", "hide", "leave"]), SOCKETS, USERS), max_size=60
)  # fmt: skip


def told(status: Status, revision: int, last_seen: int | None = None) -> Announcement:
    return Announcement("bob", status, revision, last_seen)


@given(st.lists(STATUSES, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_whatever_the_order_the_last_word_stays(statuses: list[Status], random: Any) -> None:
    watched: Watched[str] = Watched("bob")
    watched.read(told("offline", 0), 0, NOW)
    news = [told(status, number) for number, status in enumerate(statuses, 1)]
    shuffled = random.sample(news, len(news))
    for announcement in (*shuffled, *shuffled):  # and some of it twice
        watched.take(announcement)
    assert watched.status == statuses[-1]


def test_a_change_is_told_and_a_repeat_is_not() -> None:
    watched: Watched[str] = Watched("bob")
    assert not watched.read(told("online", 5), 0, NOW)  # the first: whoever asked is answered
    assert not watched.take(told("online", 6))
    assert watched.take(told("away", 7))
    assert not watched.take(told("online", 6))
    assert watched.status == "away"


def test_what_was_read_before_an_announcement_came_is_older() -> None:
    watched: Watched[str] = Watched("bob")
    watched.read(told("offline", 0), 0, NOW)
    since = watched.revision
    assert watched.take(told("online", 8))  # while the question was on its way
    assert not watched.read(told("offline", 0, 9), since, NOW)
    assert watched.status == "online"
    assert watched.read(told("offline", 0, 9), watched.revision, NOW)  # read later: an announcement was lost
    assert (watched.status, watched.revision) == ("offline", 8)


@pytest.mark.parametrize("last_seen", [None, 7])
def test_what_a_redis_that_was_emptied_does_not_know_is_believed_when_it_stays_so(last_seen: int | None) -> None:
    watched: Watched[str] = Watched("bob")
    watched.read(told("online", 8, last_seen), 0, NOW)
    nothing = told("offline", 0, last_seen)  # who went after 8 was seen after 8
    assert not watched.read(nothing, 8, NOW + 60)
    assert not watched.read(nothing, 8, NOW + 60 + LOST_SECONDS / 2)
    assert not watched.take(told("online", 9))  # its gateway has registered again
    assert not watched.read(nothing, 9, NOW + 60 + LOST_SECONDS)
    assert (watched.status, watched.revision) == ("online", 9)
    assert watched.read(nothing, 9, NOW + 60 + 2 * LOST_SECONDS)
    assert (watched.status, watched.revision) == ("offline", 9)


@given(STEPS)
def test_the_table_is_what_its_steps_say(steps: list[tuple[str, str, str]]) -> None:
    table: WatchTable[str] = WatchTable()
    model: dict[tuple[str, str], bool] = {}
    for step, socket, user in steps:
        if step == "add":
            assert table.add(socket, [user, user]) == []
            model.setdefault((socket, user), False)
        elif step == "remove":
            table.remove(socket, [user])
            model.pop((socket, user), None)
        elif step == "leave":
            table.remove(socket, table.of(socket))
            model = {pair: shown for pair, shown in model.items() if pair[0] != socket}
        else:
            shown = step == "show"
            is_new = (socket, user) in model and model[socket, user] != shown
            assert (table.show if shown else table.hide)(socket, user) == is_new
            if (socket, user) in model:
                model[socket, user] = shown
    assert table.pairs == len(model)
    assert set(table.users) == {user for _, user in model}
    assert set(table.watchers) == {socket for socket, _ in model}
    for user in table.users:
        found = table.get(user)
        assert found is not None
        assert found.shown_to == {socket for (socket, of), shown in model.items() if of == user and shown}
        assert found.hidden_from == {socket for (socket, of), shown in model.items() if of == user and not shown}


def test_there_is_room_for_so_many() -> None:
    table: WatchTable[str] = WatchTable(max_pairs=3)
    assert table.add("s1", ["a", "b"]) == []
    assert table.add("s2", ["a", "b"]) == ["b"]
    assert table.add("s1", ["a"]) == []  # it is watched already
    table.remove("s1", ["b"])
    assert table.add("s2", ["b"]) == []


# One session


def test_a_session_watches_and_unwatches() -> None:
    session = opened()
    assert one(says(session, {"type": "watch", "user_ids": ["bob", "bob", "cid"]}), WatchUsers).user_ids == [
        "bob", "cid"
    ]  # fmt: skip
    assert one(says(session, {"type": "unwatch", "user_ids": ["bob"]}), UnwatchUsers).user_ids == ["bob"]


def test_it_watches_at_most_500_users() -> None:
    session = opened()
    users = [f"u{number}" for number in range(500)]
    assert one(says(session, {"type": "watch", "user_ids": users}), WatchUsers)
    (error,) = sent(says(session, {"type": "watch", "user_ids": ["one more"], "id": "7"}))
    assert (error["code"], error["id"]) == ("bad_frame", "7")
    assert "500" in error["message"]
    says(session, {"type": "unwatch", "user_ids": users[:1]})
    assert one(says(session, {"type": "watch", "user_ids": ["one more"]}), WatchUsers)


def test_it_asks_for_so_many_a_second() -> None:
    session = opened()
    users = [f"u{number}" for number in range(500)]
    for _ in range(USERS_BURST // 500):
        assert one(says(session, {"type": "watch", "user_ids": users}), WatchUsers)
    (error,) = sent(says(session, {"type": "watch", "user_ids": users}))
    assert error["code"] == "rate_limited"
    assert 0 < error["retry_after_ms"] <= 10_001
    later = 1.0 + error["retry_after_ms"] / 1000
    assert one(says(session, {"type": "watch", "user_ids": users}, later), WatchUsers)


def test_those_for_whom_there_is_no_room_may_be_asked_for_again() -> None:
    session = opened()
    asked = one(says(session, {"type": "watch", "user_ids": ["bob"], "id": "7"}), WatchUsers)
    (error,) = sent(session.not_watched(asked, ["bob"]))
    assert (error["code"], error["id"]) == ("unavailable", "7")


def test_its_status_is_told_at_most_every_two_seconds_and_the_last_word_counts() -> None:
    session = opened()

    def status(word: str, now: float) -> list[Any]:
        return [one for one in says(session, {"type": "status", "status": word}, now) if isinstance(one, SetStatus)]

    assert status("online", 10.0) == []  # that is what it is
    assert len(status("away", 10.0)) == 1
    assert session.who.away
    assert status("online", 10.5) == status("away", 10.6) == []
    assert [one for one in session.tick(13.0) if isinstance(one, SetStatus)] == []  # it is what it was
    assert len(status("online", 13.0)) == 1
    assert status("away", 13.1) == []
    assert session.who.away is False
    assert len([one for one in session.tick(13.0 + STATUS_SECONDS) if isinstance(one, SetStatus)]) == 1
    assert session.who.away
    assert at().now == 1.0


# What is told


class Line:
    def __init__(self) -> None:
        self.is_connected = True
        self.told: list[tuple[str, Announcement]] = []

    def tell(self, subject: str, payload: bytes) -> None:
        self.told.append((subject, decode(payload)))


def test_while_the_bus_is_away_the_last_word_is_kept() -> None:
    line = Line()
    announcer = Announcer(line)
    announcer.announce(told("online", 1))
    line.is_connected = False
    announcer.announce(told("away", 2))
    announcer.announce(told("offline", 3))
    assert line.told == [(subject_of("bob"), told("online", 1))]
    line.is_connected = True
    announcer.back()
    announcer.back()
    assert line.told[1:] == [(subject_of("bob"), told("offline", 3))]


@given(st.text(min_size=1, max_size=30))
def test_a_subject_is_one_of_256(user_id: str) -> None:
    kind, _, bucket = subject_of(user_id).partition(".")
    assert kind == "presence"
    assert 0 <= int(bucket) < 256
