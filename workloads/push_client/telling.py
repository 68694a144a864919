"""What is told now and then and may be lost: who types, and how far the user has read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from push_client.events import Cursor, Frame, Typing

TYPING_SECONDS: Final = 6.0  # a typist who says nothing more has stopped
TYPING_AGAIN_SECONDS: Final = 3.0  # as often as a typist says so
MAX_TYPISTS: Final = 1000
MAX_READS: Final = 32  # conversations; told again after a cut, as nobody answers them


class _Read:
    __slots__ = ("place", "told")

    def __init__(self, place: Cursor) -> None:
        self.place = place
        self.told = False


class Telling:
    def __init__(self) -> None:
        self._typists: dict[tuple[str, str], float] = {}
        self._typed: dict[str, float] = {}
        self._reads: dict[tuple[str, str | None], _Read] = {}

    def lost(self) -> None:
        """The connection is gone, and perhaps what was told last with it."""
        self._typed.clear()
        for read in self._reads.values():
            read.told = False

    # Others

    def heard(self, typing: Typing, now: float) -> bool:
        """True when that is news."""
        key = (typing.sender, typing.conversation)
        known = self._typists.pop(key, None) is not None
        if typing.state == "stop":
            return known
        self._typists[key] = now + TYPING_SECONDS
        if len(self._typists) > MAX_TYPISTS:
            del self._typists[next(iter(self._typists))]
        return not known

    def typing_ended(self, now: float) -> list[Typing]:
        over = [key for key, until in self._typists.items() if until <= now]
        for key in over:
            del self._typists[key]
        return [Typing(sender, conversation, "stop") for sender, conversation in over]

    # This user

    def types(self, target: str, state: str, now: float) -> bool:
        """Whether to say so now: an application may call for every key."""
        last = self._typed.pop(target, None)
        if state == "stop":
            return last is not None
        due = last is None or now - last >= TYPING_AGAIN_SECONDS
        self._typed[target] = now if due or last is None else last
        if len(self._typed) > MAX_TYPISTS:
            del self._typed[next(iter(self._typed))]
        return due

    def read(self, channel: str, place: Cursor, conversation: str | None) -> None:
        """Only forward, and only the newest of each conversation."""
        known = self._reads.pop((channel, conversation), None)
        forward = known is None or known.place.epoch != place.epoch or known.place.seq < place.seq
        self._reads[channel, conversation] = _Read(place) if forward or known is None else known
        if len(self._reads) > MAX_READS:
            del self._reads[next(iter(self._reads))]

    def reads_due(self, live: Mapping[str, Cursor]) -> list[Frame]:
        """For channels that are being read: the server does not take it before. One of another log is void."""
        frames: list[Frame] = []
        for (channel, conversation), read in self._reads.items():
            if read.told or channel not in live or live[channel].epoch != read.place.epoch:
                continue
            read.told = True
            frame: Frame = {"type": "read", "channel": channel, "seq": read.place.seq}
            frames.append(frame if conversation is None else frame | {"conversation": conversation})
        return frames
