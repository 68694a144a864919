"""What a user wants to be told, and when. Pure; the port and its twin in memory are in `preference_store.py`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from push_workloads.common.errors import BadRequest, Conflict
from push_workloads.common.subjects import BadId, token
from push_workloads.push.zones import first_zone, zone

MAX_MUTES: Final = 1000
FOR_EVER: Final = 0
ALL: Final = "*"
LATEST: Final = 2**53 - 1  # what JavaScript can count to
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


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


def muted(preferences: Preferences, conversation: str, until: int, now_ms: int) -> Preferences:
    """With a mute more, and without those that have ended. Raises BadRequest, and Conflict when there are MAX_MUTES
    others."""
    _check_conversation(conversation)
    if not lasts(until, now_ms) or not 0 <= until <= LATEST:
        raise BadRequest("until: Unix milliseconds that are to come, or 0 for ever")
    mutes = {**lasting(preferences.mutes, now_ms), conversation: until}
    if len(mutes) > MAX_MUTES:
        raise Conflict(f"a user mutes at most {MAX_MUTES} conversations: unmute one, or mute {ALL} for all")
    return replace(preferences, mutes=mutes)


def unmuted(preferences: Preferences, conversation: str, now_ms: int) -> Preferences:
    """Without this mute, and without those that have ended. Raises BadRequest."""
    _check_conversation(conversation)
    left = {name: until for name, until in lasting(preferences.mutes, now_ms).items() if name != conversation}
    return replace(preferences, mutes=left)


def quieted(preferences: Preferences, quiet: QuietHours | None, now_ms: int) -> Preferences:
    """With other quiet hours, and without the mutes that have ended. Raises BadRequest that names the field."""
    if quiet is not None:
        _check_quiet(quiet)
    return replace(preferences, quiet=quiet, mutes=lasting(preferences.mutes, now_ms))


def lasting(mutes: dict[str, int], now_ms: int) -> dict[str, int]:
    return {name: until for name, until in mutes.items() if lasts(until, now_ms)}


def _check_conversation(name: str) -> None:
    kind, colon, user_or_group = name.partition(":")
    if name == ALL:
        return
    if not colon or kind not in ("user", "group"):
        raise BadRequest(f"conversation: user:ID, group:ID, or {ALL} for all")
    try:
        token(user_or_group)
    except BadId as error:
        raise BadRequest(f"conversation: {error}") from error


def _check_quiet(quiet: QuietHours) -> None:
    for field, text in (("start", quiet.start), ("end", quiet.end)):
        if not _CLOCK.fullmatch(text):
            raise BadRequest(f"quiet.{field}: a time of day as 22:00")
    if quiet.start == quiet.end:
        raise BadRequest(f"quiet.end: not the same as the start; to be told nothing at all, mute {ALL}")
    if quiet.time_zone is not None and zone(quiet.time_zone) is None:
        raise BadRequest("quiet.time_zone: a name of the IANA database, as Europe/Zurich")


def quiet_until(quiet: QuietHours | None, device_time_zone: str | None, now_ms: int) -> int | None:
    """When the quiet hours that it is now in end, Unix milliseconds; None when it is in none.

    They are in the time zone of their own, else of the device, else in UTC. Where clocks change, RFC 5545 (§3.3.5)
    holds: a time that comes twice is the first one; one that is left out is as long after the change as it would have
    been after the hour before. So nights are longer and shorter by what the clock jumps, and none has a hole.
    """
    if quiet is None:
        return None
    where = first_zone(quiet.time_zone, device_time_zone)
    today = datetime.fromtimestamp(now_ms / 1000, where).date()
    end = now_ms
    # From two days back: a country that leaves out a day has a night of that length.
    for begins, ends in sorted(_night(quiet, today + timedelta(days=day), where) for day in (-2, -1, 0, 1)):
        if begins <= end < ends:  # at a change of the clock one night can begin within another
            end = ends
    return end if end > now_ms else None


def _night(quiet: QuietHours, day: date, where: ZoneInfo) -> tuple[int, int]:
    """From when to when they are that begin on this day."""
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    last = day + timedelta(days=1) if end < start else day
    return _instant(day, start, where), _instant(last, end, where)


def _instant(day: date, at: time, where: ZoneInfo) -> int:
    """Unix milliseconds. With `fold` 0 Python takes of two the first, and what is left out by the offset of before."""
    moment = datetime.combine(day, at, where).astimezone(UTC)
    return round(moment.timestamp() * 1000)
