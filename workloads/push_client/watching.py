"""Whom the application watches, and what its user is. Pure: said again after each cut, told when it is news."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from push_client.events import Frame, Presence

MAX_WATCHED: Final = 500
PAGE: Final = 250  # of one frame, whatever the ids are
AGAIN_SECONDS: Final = 5.0  # a `watch` that was refused for now is said again after that
Mood = Literal["online", "away"]


class Watching:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self.mood: Mood = "online"
        self._known: dict[str, Presence | None] = {}
        self._again_at: float | None = None

    def watch(self, user_ids: Iterable[str]) -> list[Frame]:
        """Said again of somebody, it is asked again. Raises ValueError when they become too many."""
        wanted = list(dict.fromkeys(user_ids))
        new = [one for one in wanted if one not in self._known]
        if len(self._known) + len(new) > MAX_WATCHED:
            raise ValueError(f"a device watches at most {MAX_WATCHED} users")
        self._known.update(dict.fromkeys(new))
        return _frames("watch", wanted)

    def unwatch(self, user_ids: Iterable[str]) -> list[Frame]:
        gone = [one for one in dict.fromkeys(user_ids) if one in self._known]
        for one in gone:
            del self._known[one]
        return _frames("unwatch", gone)

    def status(self, mood: Mood) -> list[Frame]:
        if mood == self.mood:
            return []
        self.mood = mood
        return [{"type": "status", "status": mood}]

    def heard(self, presence: Presence) -> bool:
        """Whether that is news: after a reconnect all of them are told again."""
        if presence.user_id not in self._known or self._known[presence.user_id] == presence:
            return False
        self._known[presence.user_id] = presence
        return True

    def connected(self) -> list[Frame]:
        """What the server does not know of this connection. The status stood in its address."""
        self._again_at = None
        return _frames("watch", list(self._known))

    def lost(self) -> None:
        self._again_at = None

    def refused(self, now: float) -> None:
        """A frame that nobody asked about was: it may have been one of these."""
        if self._known:
            self._again_at = now + AGAIN_SECONDS

    def due(self, now: float) -> list[Frame]:
        if self._again_at is None or now < self._again_at:
            return []
        return self.connected()


def _frames(kind: str, user_ids: list[str]) -> list[Frame]:
    return [{"type": kind, "user_ids": user_ids[at : at + PAGE]} for at in range(0, len(user_ids), PAGE)]
