"""When somebody wants to be told: mutes, and quiet hours in every time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.common.errors import BadRequest, Conflict
from push_workloads.push.preferences import (
    FOR_EVER,
    MAX_MUTES,
    Preferences,
    QuietHours,
    is_muted,
    muted,
    quiet_until,
    quieted,
    unmuted,
)
from push_workloads.push.zones import first_zone, zone

NOW = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
ZONES = sorted(name for name in available_timezones() if zone(name) is not None)
NIGHT = QuietHours("22:00", "07:00", "Europe/Berlin")


def _ms(text: str) -> int:
    """A time with its offset, in Unix milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("mutes", "conversation", "muted"),
    [
        ({}, "user:bob", False),
        ({"user:bob": FOR_EVER}, "user:bob", True),
        ({"user:bob": FOR_EVER}, "group:bob", False),
        ({"user:bob": NOW + 1}, "user:bob", True),
        ({"user:bob": NOW}, "user:bob", False),
        ({"*": FOR_EVER}, "user:bob", True),
        ({"*": NOW - 1, "user:bob": NOW + 1}, "user:bob", True),
        ({"*": NOW - 1, "user:bob": NOW - 1}, "user:bob", False),
        ({"user:bob": FOR_EVER}, "", False),
        ({"*": NOW + 1}, "", True),
    ],
)
def test_who_is_muted(mutes: dict[str, int], conversation: str, muted: bool) -> None:
    assert is_muted(Preferences(mutes=mutes), conversation, NOW) is muted


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (None, "2026-06-01T03:00+00:00", None),
        (NIGHT, "2026-06-01T21:59:59.999+02:00", None),
        (NIGHT, "2026-06-01T22:00+02:00", "2026-06-02T07:00+02:00"),
        (NIGHT, "2026-06-02T00:00+02:00", "2026-06-02T07:00+02:00"),
        (NIGHT, "2026-06-02T06:59:59.999+02:00", "2026-06-02T07:00+02:00"),
        (NIGHT, "2026-06-02T07:00+02:00", None),
        # The night in which the clock goes back from 3:00 to 2:00 is longer, the one in which it goes ahead is shorter.
        (NIGHT, "2026-10-24T22:00+02:00", "2026-10-25T07:00+01:00"),
        (NIGHT, "2026-03-28T22:00+01:00", "2026-03-29T07:00+02:00"),
        # The end comes twice: it is the first.
        (QuietHours("22:00", "02:30", "Europe/Berlin"), "2026-10-25T02:29+02:00", "2026-10-25T02:30+02:00"),
        (QuietHours("22:00", "02:30", "Europe/Berlin"), "2026-10-25T02:29+01:00", None),
        # The end is left out: the clock says 3:30 when it would have been 2:30.
        (QuietHours("22:00", "02:30", "Europe/Berlin"), "2026-03-29T03:29+02:00", "2026-03-29T03:30+02:00"),
        # One night begins in another: 2:50 is 3:50 there, and 3:10 is before it.
        (QuietHours("03:10", "02:50", "Europe/Berlin"), "2026-03-29T01:00+01:00", "2026-03-30T02:50+02:00"),
        # By day, without midnight in it.
        (QuietHours("12:00", "14:00", "America/New_York"), "2026-06-01T12:00-04:00", "2026-06-01T14:00-04:00"),
        (QuietHours("12:00", "14:00", "America/New_York"), "2026-06-01T11:59-04:00", None),
        # Samoa had no 30 December 2011.
        (QuietHours("22:00", "07:00", "Pacific/Apia"), "2011-12-29T23:00-10:00", "2011-12-31T07:00+14:00"),
        # The device's time zone, where there is no other one.
        (QuietHours("22:00", "07:00"), "2026-06-01T23:00+09:00", "2026-06-02T07:00+09:00"),
        (QuietHours("22:00", "07:00"), "2026-06-01T23:00+00:00", None),
        # A zone that is none any more: the next that is one.
        (QuietHours("22:00", "07:00", "Europe/Atlantis"), "2026-06-01T23:00+09:00", "2026-06-02T07:00+09:00"),
    ],
)
def test_when_quiet_hours_end(quiet: QuietHours | None, now: str, until: str | None) -> None:
    assert quiet_until(quiet, "Asia/Tokyo", _ms(now)) == (_ms(until) if until is not None else None)


def test_without_any_time_zone_it_is_utc() -> None:
    assert quiet_until(QuietHours("22:00", "07:00"), None, _ms("2026-06-01T23:00Z")) == _ms("2026-06-02T07:00Z")


@pytest.mark.parametrize(
    "name", ["", "Europe", "Europe/", "Atlantis", "localtime", "right/UTC", "../UTC", "/UTC", "UTC\n", "U" * 65, "é"]
)
def test_what_is_no_zone(name: str) -> None:
    assert zone(name) is None
    assert first_zone(name, None) == ZoneInfo("UTC")


clocks = st.times().map(lambda at: f"{at:%H:%M}")
quiets = st.builds(QuietHours, clocks, clocks, st.sampled_from(ZONES)).filter(lambda quiet: quiet.start != quiet.end)
moments = st.integers(_ms("2000-01-01T00:00Z"), _ms("2037-01-01T00:00Z"))


@given(quiets, moments)
def test_at_their_end_it_is_not_quiet_and_never_for_longer_than_two_days(quiet: QuietHours, now: int) -> None:
    until = quiet_until(quiet, None, now)
    if until is not None:
        assert now < until <= now + 2 * DAY + 2 * HOUR
        assert quiet_until(quiet, None, until) is None


@given(quiets, moments, st.floats(0, 1, exclude_max=True))
def test_all_the_time_until_the_end_has_the_same_end(quiet: QuietHours, now: int, part: float) -> None:
    until = quiet_until(quiet, None, now)
    if until is not None:
        assert quiet_until(quiet, None, now + int((until - now) * part)) == until


@given(quiets, moments)
def test_where_no_clock_changes_it_is_quiet_by_the_clock(quiet: QuietHours, now: int) -> None:
    here = datetime.fromtimestamp(now / 1000, ZoneInfo(str(quiet.time_zone)))
    around = {
        (here.astimezone(UTC) + timedelta(hours=hour)).astimezone(here.tzinfo).utcoffset() for hour in range(-75, 76)
    }
    if len(around) > 1:
        return
    at = f"{here:%H:%M}"
    in_it = quiet.start <= at < quiet.end if quiet.start < quiet.end else not quiet.end <= at < quiet.start
    until = quiet_until(quiet, None, now)
    assert (until is not None) == in_it
    if until is not None:
        assert until - now <= DAY
        assert f"{datetime.fromtimestamp(until / 1000, here.tzinfo):%H:%M:%S}" == f"{quiet.end}:00"


def test_a_mute_is_added_and_taken_away_and_what_has_ended_goes() -> None:
    old = Preferences(NIGHT, {"user:a": FOR_EVER, "user:b": NOW, "user:c": NOW + 1})
    assert muted(old, "*", NOW + HOUR, NOW).mutes == {"user:a": FOR_EVER, "user:c": NOW + 1, "*": NOW + HOUR}
    assert muted(old, "user:c", FOR_EVER, NOW).mutes == {"user:a": FOR_EVER, "user:c": FOR_EVER}
    assert unmuted(old, "user:a", NOW).mutes == {"user:c": NOW + 1}
    assert unmuted(old, "group:never", NOW).mutes == {"user:a": FOR_EVER, "user:c": NOW + 1}
    assert quieted(old, None, NOW) == Preferences(None, {"user:a": FOR_EVER, "user:c": NOW + 1})
    assert quieted(Preferences(), NIGHT, NOW) == Preferences(NIGHT)


def test_so_many_mutes_and_no_more() -> None:
    full = Preferences(mutes={f"user:{number}": NOW + 10 for number in range(MAX_MUTES)})
    assert len(muted(full, "user:3", FOR_EVER, NOW).mutes) == MAX_MUTES
    with pytest.raises(Conflict, match="unmute one"):
        muted(full, "user:one more", FOR_EVER, NOW)
    assert muted(full, "user:one more", FOR_EVER, NOW + 10).mutes == {"user:one more": FOR_EVER}


@pytest.mark.parametrize(
    ("conversation", "until", "field"),
    [
        ("", 0, "conversation"),
        ("bob", 0, "conversation"),
        ("user:", 0, "conversation"),
        ("topic:news", 0, "conversation"),
        ("group:" + "g" * 129, 0, "conversation"),
        ("user:\ud800", 0, "conversation"),
        ("**", 0, "conversation"),
        ("user:bob", NOW, "until"),
        ("user:bob", 1, "until"),
        ("user:bob", -1, "until"),
        ("user:bob", 2**53, "until"),
    ],
)
def test_a_bad_mute_is_told_its_fault(conversation: str, until: int, field: str) -> None:
    with pytest.raises(BadRequest, match=f"^{field}: "):
        muted(Preferences(), conversation, until, NOW)


@pytest.mark.parametrize(
    ("quiet", "field"),
    [
        (QuietHours("24:00", "07:00"), "quiet.start"),
        (QuietHours("7:00", "08:00"), "quiet.start"),
        (QuietHours("22:00:00", "07:00"), "quiet.start"),
        (QuietHours("٢٢:00", "07:00"), "quiet.start"),
        (QuietHours("22:00", "07:60"), "quiet.end"),
        (QuietHours("22:00", ""), "quiet.end"),
        (QuietHours("22:00", "07:00\n"), "quiet.end"),
        (QuietHours("22:00", "22:00"), "quiet.end"),
        (QuietHours("22:00", "07:00", "CEST"), "quiet.time_zone"),
        (QuietHours("22:00", "07:00", ""), "quiet.time_zone"),
    ],
)
def test_bad_quiet_hours_are_told_their_fault(quiet: QuietHours, field: str) -> None:
    with pytest.raises(BadRequest, match=f"^{field}: "):
        quieted(Preferences(), quiet, NOW)
