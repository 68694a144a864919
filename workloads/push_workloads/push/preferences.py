"""What a user wants to be told, and when. Pure; the port and its twin in memory are in `preference_store.py`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from push_workloads.push.zones import first_zone

MAX_MUTES: Final = 1000
FOR_EVER: Final = 0
ALL: Final = "*"


class QuietHours(Struct, frozen=True):
    """Every day from `start` to `end`, each `HH:MM` of the wall clock in `time_zone` (IANA), over midnight where the
    end is the smaller one. `mode`: `silent` sends nothing but the badge; `hold` tells it when they end."""

    start: str
    end: str
    time_zone: str | None = None
    mode: Literal["silent", "hold"] = "silent"


class Preferences(Struct, frozen=True):
    """`mutes`: conversation (`user:<id>`, `group:<id>`) or `*` for all → until when, Unix milliseconds, FOR_EVER for
    ever. `quiet` without a time zone of its own takes the device's."""

    quiet: QuietHours | None = None
    mutes: dict[str, int] = {}


def is_muted(preferences: Preferences, conversation: str, now_ms: int) -> bool:
    """Whether the user wants no notification of this conversation now. `conversation` "" is of none: only the mute of
    all counts for it."""
    untils = (preferences.mutes.get(name) for name in (ALL, conversation))
    return any(lasts(until, now_ms) for until in untils if until is not None)


def lasts(until: int, now_ms: int) -> bool:
    """Whether a mute until then still counts."""
    return until == FOR_EVER or until > now_ms


def quiet_until(quiet: QuietHours | None, device_time_zone: str | None, now_ms: int) -> int | None:
    """When the quiet hours that it is now in end, Unix milliseconds; None when it is in none.

    They are in the time zone of their own, else of the device, else in UTC. Where clocks change, RFC 5545 (§3.3.5)
    holds: a time that comes twice is the first one; one that is left out is as long after the change as it would have
    been after the hour before. So nights are longer and shorter by what the clock jumps, and none has a hole.
    """
    if quiet is None:
        return None
    zone = first_zone(quiet.time_zone, device_time_zone)
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    end = now_ms
    # From two days back: a country that leaves out a day has a night of that length.
    for begins, ends in sorted(_night(quiet, today + timedelta(days=day), zone) for day in (-2, -1, 0, 1)):
        if begins <= end < ends:  # at a change of the clock one night can begin within another
            end = ends
    return end if end > now_ms else None


def _night(quiet: QuietHours, day: date, zone: ZoneInfo) -> tuple[int, int]:
    """From when to when they are that begin on this day."""
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    last = day + timedelta(days=1) if end < start else day
    return _instant(day, start, zone), _instant(last, end, zone)


def _instant(day: date, at: time, zone: ZoneInfo) -> int:
    """Unix milliseconds. With `fold` 0 Python takes of two the first, and what is left out by the offset of before."""
    moment = datetime.combine(day, at, zone).astimezone(UTC)
    return round(moment.timestamp() * 1000)
