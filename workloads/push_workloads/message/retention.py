"""For how long history keeps what, by the kind of its channel. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

DAY_SECONDS: Final = 86_400


class Retention(NamedTuple):
    """In days; 0 is for ever."""

    direct: int = 0
    group: int = 0
    topic: int = 0

    def seconds(self, conversation: str) -> int:
        """How long a message of it is kept; 0 is for ever."""
        days = {"g.": self.group, "t.": self.topic}.get(conversation[:2], self.direct)
        return days * DAY_SECONDS

    def seconds_left(self, conversation: str, sent_at: int, now_ms: int) -> int | None:
        """How long a message that was sent then is kept from now on, in whole seconds, rounded up; not above 0 when it
        is no longer kept. None is for ever."""
        kept = self.seconds(conversation)
        return -((now_ms - sent_at - kept * 1000) // 1000) if kept else None

    def is_kept(self, conversation: str, sent_at: int, now_ms: int) -> bool:
        left = self.seconds_left(conversation, sent_at, now_ms)
        return left is None or left > 0

    def oldest(self, conversation: str, now_ms: int) -> int:
        """The time of the oldest message that is kept; 0 when all are."""
        kept = self.seconds(conversation)
        return now_ms - kept * 1000 if kept else 0


FOR_EVER: Final = Retention()
