"""People with phones, and which of them a message has to reach: the push proof's own table of what policy demands.

Written from the rules in docs/push.md and not from the code that carries them out. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, Literal, NamedTuple

Platform = Literal["apns", "fcm", "webpush"]
PLATFORMS: Final[tuple[Platform, ...]] = ("apns", "fcm", "webpush")
Wanted = Literal["alert", "badge", "nothing"]


class Mood(StrEnum):
    """What a person is doing when the message comes, in thirds: online, away, not to be disturbed."""

    AT_ALL = "every device has a socket and holds the message"
    AT_ONE = "one device has a socket and holds the message, the others are in a pocket"
    READS = "one device has a socket, and the message is read there before the hold-off ends"
    GONE = "no socket anywhere"
    IDLE = "one socket, of a browser that is frozen: it says it is away and confirms nothing"
    LEFT = "was there, and has closed every socket"
    MUTED = "the conversation is muted"
    MUTED_ALL = "everything is muted"
    QUIET = "quiet hours that leave the badge"
    HELD = "quiet hours that hold what comes until they end"


ONLINE: Final = (Mood.AT_ALL, Mood.AT_ONE, Mood.READS)
AWAY: Final = (Mood.GONE, Mood.IDLE, Mood.LEFT)
UNDISTURBED: Final = (Mood.MUTED, Mood.MUTED_ALL, Mood.QUIET, Mood.HELD)
_FIRST_HAS_SOCKET: Final = (Mood.AT_ONE, Mood.READS, Mood.IDLE)


class Phone(NamedTuple):
    """A device of somebody. `has_socket` when the message comes."""

    user_id: str
    device_id: str
    platform: Platform
    has_socket: bool
    wanted: Wanted


class Person(NamedTuple):
    user_id: str
    mood: Mood
    phones: tuple[Phone, ...]


def people(count: int, seed: int) -> Iterator[Person]:
    """A third online, a third away, a third muted or in quiet hours; each with one to three devices of any platform."""
    chance = random.Random(seed)  # noqa: S311 - the same people at every run
    for number in range(count):
        mood = chance.choice((ONLINE, AWAY, UNDISTURBED)[number % 3])
        user_id = f"person-{number:04}"
        devices = chance.randint(1, 3)
        phones = tuple(_phone(user_id, index, chance.choice(PLATFORMS), mood) for index in range(devices))
        yield Person(user_id, mood, phones)


def _phone(user_id: str, index: int, platform: Platform, mood: Mood) -> Phone:
    return Phone(user_id, f"{user_id}-{index}", platform, _has_socket(mood, index), _wanted(mood, index))


def _has_socket(mood: Mood, index: int) -> bool:
    return mood is Mood.AT_ALL or (mood in _FIRST_HAS_SOCKET and index == 0)


def _wanted(mood: Mood, index: int) -> Wanted:
    if mood in (Mood.GONE, Mood.IDLE, Mood.LEFT):
        return "alert"
    if mood is Mood.AT_ONE:
        return "nothing" if index == 0 else "alert"
    return "badge" if mood is Mood.QUIET else "nothing"
