"""What a user wants to be told, and when. Pure; the port and its twin in memory are in `preference_store.py`."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

MAX_MUTES: Final = 1000
FOR_EVER: Final = 0


class QuietHours(Struct, frozen=True):
    """Every day from `start` to `end`, each `HH:MM` of the wall clock in `time_zone` (IANA), over midnight where the
    end is the smaller one. `mode`: `silent` sends nothing but the badge; `hold` tells it when they end."""

    start: str
    end: str
    time_zone: str
    mode: Literal["silent", "hold"] = "silent"


class Preferences(Struct, frozen=True):
    """`mutes`: conversation (`user:<id>`, `group:<id>`) or `*` for all → until when, Unix milliseconds, FOR_EVER for
    ever. `quiet` without a time zone of its own takes the device's."""

    quiet: QuietHours | None = None
    mutes: dict[str, int] = {}
