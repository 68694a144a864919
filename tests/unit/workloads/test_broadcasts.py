"""Segments, and each step of a broadcast's way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.errors import BadRequest
from push_workloads.push.broadcast import model, segments
from push_workloads.push.broadcast.model import Broadcast, Ends, Going, NewBroadcast, NotGoing, Stage
from push_workloads.push.broadcast.segments import Segment, compared, version_of
from push_workloads.push.cancels import owner_of
from push_workloads.push.devices import Device
from push_workloads.push.preferences import FOR_EVER, Preferences, QuietHours

NOW = 1_800_000_000_000  # 2027-01-15 08:00 UTC
BYTES = bytes(range(10))
PHONE = Device("ann", "phone", "fcm", "t", None, None, "com.example", 1, 1, "de-CH", "Europe/Zurich", "4.10.2")


@pytest.mark.parametrize(
    ("segment", "is_in"),
    [
        (Segment(), True),
        (Segment(platforms=["fcm"]), True),
        (Segment(platforms=["apns", "webpush"]), False),
        (Segment(app="com.example"), True),
        (Segment(app="com.other"), False),
        (Segment(locales=["fr", "de"]), True),
        (Segment(locales=["DE-ch"]), True),
        (Segment(locales=["de-AT"]), False),
        (Segment(locales=["den", "dec"]), False),
        (Segment(app_version="4.10.2"), True),
        (Segment(app_version="=4.10.2"), True),
        (Segment(app_version="4.10"), False),
        (Segment(app_version=">=4.9, <5"), True),
        (Segment(app_version=">4.10.2"), False),
        (Segment(app_version="<4.9"), False),
        (Segment(platforms=["fcm"], app_version="<5", locales=["de"], app="com.example"), True),
        (Segment(platforms=["fcm"], app_version="<4", locales=["de"], app="com.example"), False),
    ],
)
def test_who_is_in_a_segment(segment: Segment, is_in: bool) -> None:
    segments.check(segment)
    assert segments.has(segment, PHONE) is is_in


def test_a_device_that_says_nothing_is_in_no_segment_that_asks() -> None:
    silent = PHONE._replace(app=None, locale=None, app_version=None)
    for segment in (Segment(app="a"), Segment(locales=["de"]), Segment(app_version=">=0"), Segment(app_version="<9")):
        assert not segments.has(segment, silent)
    assert segments.has(Segment(), silent)


@pytest.mark.parametrize("text", ["", ">", "4..,", "=>4", "4 5", ">=4,,<5", "a" * 65, "1,2,3,4,5", "~4", "4;"])
def test_no_version(text: str) -> None:
    with pytest.raises(BadRequest, match=r"segment\.app_version"):
        segments.check(Segment(app_version=text))


def test_no_locale() -> None:
    with pytest.raises(BadRequest, match=r"segment\.locales: 'd e'"):
        segments.check(Segment(locales=["de", "d e"]))


def test_versions_in_their_order() -> None:
    rising = ["1.0-alpha", "1.0-alpha.1", "1.0-beta", "1.0-rc.1", "1.0", "1.0.1", "1.2", "1.10", "2", "10"]
    for at, lower in enumerate(rising):
        for higher in rising[at + 1 :]:
            assert compared(version_of(lower), version_of(higher)) < 0 < compared(version_of(higher), version_of(lower))
    for same in (("4", "4.0.0"), ("4.2+build.7", "4.2"), ("4.02", "4.2"), ("1-A", "1-a")):
        assert compared(version_of(same[0]), version_of(same[1])) == 0


@given(st.text("0123456789.ab+-", max_size=12), st.text("0123456789.ab+-", max_size=12))
def test_every_two_versions_have_an_order(one: str, other: str) -> None:
    left, right = version_of(one), version_of(other)
    assert compared(left, right) == -compared(right, left)
    assert compared(left, left) == 0


# Orders ---------------------------------------------------------------------------------------------------------------


def _asked(**fields: Any) -> NewBroadcast:
    given: dict[str, Any] = {"title": "News", "segment": Segment(), **fields}
    return NewBroadcast(**given)


def _made(**fields: Any) -> tuple[Broadcast, NewBroadcast]:
    asked = _asked(**fields)
    return model.broadcast_of(asked, NOW, BYTES), asked


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"segment": None}, "one of the fields `segment` and `topic`"),
        ({"topic": "news"}, "one of the fields `segment` and `topic`"),
        ({"segment": None, "topic": "ä" * 65}, "topic: an id"),
        ({"title": None}, "one of the two is required"),
        ({"send_at": NOW + 31 * 86_400_000}, "at most 30 days ahead"),
        ({"segment": Segment(app_version="?")}, "segment.app_version"),
    ],
)
def test_faults_are_named(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequest) as raised:
        model.check(_asked(**fields), NOW)
    assert told in raised.value.message


def test_what_is_asked_is_kept() -> None:
    held, asked = _made(segment=Segment(platforms=["fcm"], app_version=">=4"), data={"a": [1]}, ttl_s=60)
    model.check(asked, NOW)
    assert model.order_of(held) == asked
    assert (held.stage, held.version, held.is_open) == (Stage.RUNNING, 1, True)
    assert model.expires_ms(held, asked) == NOW + 60_000
    later, asked = _made(send_at=NOW + 5000)
    assert (later.stage, model.begins_at(later, asked)) == (Stage.SCHEDULED, NOW + 5000)
    assert model.expires_ms(later, asked) == NOW + 5000 + 86_400_000


def test_the_same_dedup_id_is_the_same_broadcast() -> None:
    one, other = (_made(dedup_id="0123456789abcdef", title=title)[0] for title in ("a", "b"))
    assert one.broadcast_id == other.broadcast_id
    assert one.digest != other.digest


@given(st.text(min_size=1, max_size=40))
def test_a_user_has_one_message_id(user_id: str) -> None:
    made = model.message_id("0199-a", user_id)
    assert made == model.message_id("0199-a", user_id)
    assert made in model.message_ids("0199-a")
    assert owner_of(made) == "0199-a"


def test_the_job_of_a_user() -> None:
    held, asked = _made(template="offer", title=None, data={"a": 1})
    job = model.job_for(held, asked, "ann")
    assert (job.user_id, job.channel, job.kind, job.message_id) == (
        "ann", "", "offer", model.message_id(held.broadcast_id, "ann"),
    )  # fmt: skip
    assert job.hint is not None
    assert (job.hint.data, job.hint.ttl_s, job.sent_at) == ({"a": 1}, 86_400, NOW)


HELD = QuietHours("08:00", "10:00", "UTC", "hold")
EXPIRES = NOW + 3 * 3_600_000


@pytest.mark.parametrize(
    ("preferences", "silent", "decision"),
    [
        (Preferences(), False, Going()),
        (Preferences(mutes={"*": FOR_EVER}), False, NotGoing("muted")),
        (Preferences(mutes={"*": NOW}), False, Going()),
        (Preferences(mutes={"user:bob": FOR_EVER}), False, Going()),
        (Preferences(HELD), False, Going(NOW + 2 * 3_600_000)),
        (Preferences(HELD), True, Going()),
        (Preferences(QuietHours("08:00", "12:00", "UTC", "hold")), False, NotGoing("quiet")),
        (Preferences(QuietHours("08:00", "10:00", "UTC", "silent")), False, NotGoing("quiet")),
        (Preferences(QuietHours("08:59", "10:00", None, "hold")), False, Going(NOW + 3_600_000)),
        (Preferences(HELD, {"*": FOR_EVER}), False, NotGoing("muted")),
    ],
)
def test_what_a_user_wants_is_respected(preferences: Preferences, silent: bool, decision: Going | NotGoing) -> None:
    asked = _asked(silent=silent, **({"title": None, "data": {"a": 1}} if silent else {}))
    assert model.decided(asked, PHONE, preferences, EXPIRES, NOW) == decision


def test_what_takes_calls_alone_gets_no_broadcast() -> None:
    ringing = PHONE._replace(platform="apns", app="com.example.voip")
    assert model.decided(_asked(), ringing, Preferences(), EXPIRES, NOW) == NotGoing("calls_only")


# The way --------------------------------------------------------------------------------------------------------------


def test_a_place_moves_on() -> None:
    held, _ = _made()
    first = model.moved(held, "p1", 500, 20, NOW + 5)
    assert (first.stage, first.place, first.seen, first.queued, first.started_at) == (
        Stage.RUNNING, "p1", 500, 20, NOW + 5,
    )  # fmt: skip
    last = model.moved(first, None, 3, 3, NOW + 9)
    assert (last.stage, last.place, last.seen, last.queued, last.started_at) == (Stage.SENDING, None, 503, 23, NOW + 5)


@pytest.mark.parametrize(
    ("stage", "ends", "after_ms", "ended"),
    [
        (Stage.RUNNING, Ends(10), 0, None),
        (Stage.SENDING, Ends(5, 2, 2), 0, None),
        (Stage.SENDING, Ends(5, 3, 2), 0, (Stage.DONE, Ends(5, 3, 2))),
        (Stage.SENDING, Ends(5), 86_400_000 + 3_600_000, None),
        (Stage.SENDING, Ends(5), 86_400_000 + 3_600_001, (Stage.DONE, Ends(5))),
        (Stage.STOPPED, Ends(5, 1), 59_999, None),
        (Stage.STOPPED, Ends(5, 1), 60_000, (Stage.STOPPED, Ends(5, 1, 4))),
        (Stage.STOPPED, Ends(10, 1, 2), 60_000, (Stage.STOPPED, Ends(10, 1, 2))),
    ],
)
def test_the_end(stage: Stage, ends: Ends, after_ms: int, ended: tuple[Stage, Ends] | None) -> None:
    held, asked = _made()
    held = held._replace(stage=stage, queued=10)
    made = model.ended(held, ends, model.expires_ms(held, asked), NOW + after_ms)
    assert (made and (made.stage, made.ends)) == ended


def test_rates() -> None:
    held = _made()[0]._replace(queued=100, started_at=NOW)
    assert model.rate_of(held, Ends(50), NOW + 10_000) == (5.0, None)
    sending = held._replace(stage=Stage.SENDING)
    assert model.rate_of(sending, Ends(50), NOW + 10_000) == (5.0, 10.0)
    assert model.rate_of(sending, Ends(), NOW + 10_000) == (0.0, None)
    done = sending._replace(stage=Stage.DONE, ends=Ends(100), changed_at=NOW + 20_000)
    assert model.rate_of(done, Ends(100), NOW + 99_000).per_second == 5.0


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 50)), max_size=50))
def test_no_more_than_the_pace(steps: list[tuple[float, int]]) -> None:
    """Whenever they come: what went by any moment is at most the rate times the time, and one portion."""
    now = next_at = 0.0
    gone = 0
    for late, count in steps:
        now += late
        wait, next_at = model.paced(next_at, now, count, 100)
        now += wait
        assert gone <= now * 100 + 1e-6
        gone += count
