"""Time zones by their IANA names. Pure: the zone database is a constant."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

MAX_ZONE: Final = 64
UTC: Final = "UTC"
# Not what else lies in a database's folder: `localtime`, `posixrules`, `right/…` with leap seconds.
_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo | None:
    """The zone, None when there is none of this name."""
    if len(name) > MAX_ZONE or not _NAME.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # none, no zone's file, a folder
        return None


def first_zone(*names: str | None) -> ZoneInfo:
    """The first of these that is one, UTC when none is: a name that was stored may have left the database since."""
    zones = (zone(name) for name in names if name is not None)
    return next((one for one in zones if one is not None), ZoneInfo(UTC))
