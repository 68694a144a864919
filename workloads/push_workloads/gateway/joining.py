"""A socket whose inbox position is not known yet. Pure; becomes a `Session` with the welcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from push_workloads.common.subjects import inbox
from push_workloads.gateway import codes, frames
from push_workloads.gateway.actions import Action, Close, Limits, Start, Who
from push_workloads.gateway.frames import Resume
from push_workloads.gateway.recovery import Delivered, Told
from push_workloads.gateway.session import At, Session

JOIN_SECONDS: Final = 10.0
RESUME_SECONDS: Final = 10.0  # who places itself has done so by then, or begins like a new device
MAX_EARLY_FRAMES: Final = 64
MAX_EARLY_MESSAGES: Final = 1000


class Joining:
    """Subscribed, but the head of the inbox is still being asked for. Keeps a bounded amount of what arrives."""

    __slots__ = ("_deadline", "_frames", "_limits", "_messages", "who")

    def __init__(self, who: Who, limits: Limits, now: float) -> None:
        self.who = who
        self._limits = limits
        self._deadline = now + JOIN_SECONDS
        self._frames: list[str] = []
        self._messages: list[tuple[str, Delivered]] = []

    def on_frame(self, text: str, at: At) -> Iterable[Action]:
        if len(self._frames) >= MAX_EARLY_FRAMES:
            return (Close(codes.ABUSE, "too many frames before the welcome"),)
        self._frames.append(text)
        return ()

    def deliver(self, channel: str, message: Delivered) -> Iterable[Action]:
        if len(self._messages) >= MAX_EARLY_MESSAGES:
            return (Close(codes.OVERLOADED, "too many messages before the welcome"),)
        self._messages.append((channel, message))
        return ()

    def told(self, channel: str, told: Told) -> bytes | None:
        return None  # not stored, and nobody is here yet

    def heard(self, now: float) -> None:
        """Nothing to note: only the welcome ends this state."""

    def tick(self, now: float) -> Iterable[Action]:
        return (Close(codes.OVERLOADED, "the log does not answer"),) if now > self._deadline else ()

    def bus_lost(self) -> Iterable[Action]:
        return ()  # the head is asked for again when the bus is back, within the deadline

    def left(self) -> Iterable[Action]:
        return ()

    def welcome(self, epoch: str, head: int, at: At, start: Start = None) -> tuple[Session, list[Action]]:
        """The session that this becomes, and what it starts with: the welcome, then what came meanwhile, in order."""
        session = Session(self.who, self._limits, epoch, head, at.now)
        first = frames.decode(self._frames[0]) if self._frames else None
        asked = isinstance(first, Resume)
        resumes = inbox(self.who.user_id) in first.channels if isinstance(first, Resume) else start is not None
        resume_by = at.now + RESUME_SECONDS if self.who.places_itself and not asked else None
        actions: list[Action] = [
            session.welcome_frame(at.wall_ms, resumes=resumes),
            *session.start(start, asked=asked, resume_by=resume_by),
        ]
        for channel, message in self._messages:
            actions += session.deliver(channel, message)
        for number, text in enumerate(self._frames):
            actions += session.on_frame(text, at.other(number))
        return session, actions
