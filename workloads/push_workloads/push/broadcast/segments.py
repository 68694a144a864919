"""Which devices a segment has. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from push_workloads.common.errors import BadRequest
from push_workloads.push.devices import Device, Platform

_CONDITION: Final = re.compile(r"(>=|<=|>|<|=)?([A-Za-z0-9][A-Za-z0-9._+-]{0,63})", re.ASCII)
_PART: Final = re.compile(r"[0-9]+|[A-Za-z]+", re.ASCII)
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)
MAX_CONDITIONS: Final = 4


class Segment(Struct, frozen=True, omit_defaults=True):
    """All that is said must hold; what is left out holds for all. `app_version`: `4.2.1`, or a range such as
    `>=4.2,<5`. `locales`: `de` has the devices in `de-CH` too. A device that does not say what is asked for is not in
    it."""

    platforms: Annotated[list[Platform], Meta(min_length=1, max_length=3)] | None = None
    app: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    app_version: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    locales: Annotated[list[str], Meta(min_length=1, max_length=50)] | None = None


Version = tuple[tuple[int, int, str], ...]


class Condition(NamedTuple):
    sign: str
    version: Version


def check(segment: Segment) -> None:
    """Raises BadRequest that names the field."""
    if segment.app_version is not None:
        conditions(segment.app_version)
    for locale in segment.locales or ():
        if len(locale) > 35 or not _LOCALE.fullmatch(locale):
            raise BadRequest(f"segment.locales: {locale[:40]!r} is no locale such as de or de-CH")


def has(segment: Segment, device: Device) -> bool:
    """Whether the device is in it."""
    return (
        (segment.platforms is None or device.platform in segment.platforms)
        and (segment.app is None or device.app == segment.app)
        and (segment.app_version is None or _in_range(device.app_version, conditions(segment.app_version)))
        and (segment.locales is None or _speaks(device.locale, segment.locales))
    )


def conditions(text: str) -> list[Condition]:
    """Raises BadRequest."""
    parts = [part.strip() for part in text.split(",")]
    found = [_CONDITION.fullmatch(part) for part in parts]
    if len(parts) > MAX_CONDITIONS or not all(found):
        raise BadRequest("segment.app_version: a version such as 4.2.1, or a range such as >=4.2,<5")
    return [Condition(one[1] or "=", version_of(one[2])) for one in found if one is not None]


def version_of(text: str) -> Version:
    """Numbers as numbers; words, as in `4.2-beta`, come before whatever else there is, and before nothing. What a plus
    begins is a build, and counts for nothing (as in semver). Zeros at the end do not count: 4.2 is 4.2.0."""
    parts = [_part(found) for found in _PART.findall(text.partition("+")[0])]
    while parts and parts[-1] == _NOTHING:
        parts.pop()
    return tuple(parts)


_NOTHING: Final = (1, 0, "")


def _part(text: str) -> tuple[int, int, str]:
    return (1, int(text), "") if text.isdecimal() else (0, 0, text.lower())


def compared(one: Version, other: Version) -> int:
    """Below 0, 0 or above 0, as `one` is lower, the same, or higher."""
    length = max(len(one), len(other))
    left, right = ((*version, *[_NOTHING] * (length - len(version))) for version in (one, other))
    return (left > right) - (left < right)


def _in_range(version: str | None, wanted: Sequence[Condition]) -> bool:
    if version is None:
        return False
    own = version_of(version)
    return all(_holds(compared(own, one.version), one.sign) for one in wanted)


def _holds(order: int, sign: str) -> bool:
    return {"=": order == 0, ">": order > 0, ">=": order >= 0, "<": order < 0, "<=": order <= 0}[sign]


def _speaks(locale: str | None, wanted: Sequence[str]) -> bool:
    if locale is None:
        return False
    own = locale.lower().replace("_", "-")
    return any(own == one.lower() or own.startswith(f"{one.lower()}-") for one in wanted)
