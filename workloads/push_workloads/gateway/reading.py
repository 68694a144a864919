"""One channel as one session reads it: live, or being caught up with, or not read at all. Pure.

A `Reading` says what goes to the client, in order; what that comes to as a frame is the session's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from push_workloads.gateway.frames import Place, subscribed_frame
from push_workloads.gateway.recovery import Behind, Delivered


class Unsubscribed:
    """The client wants nothing of it."""

    __slots__ = ()


class UpToHere:
    """Whatever has its place up to `delivered` goes out now."""

    __slots__ = ()


UNSUBSCRIBED: Final = Unsubscribed()
UP_TO_HERE: Final = UpToHere()
Shown = bytes | Delivered | UpToHere


class Reading:
    """`delivered`: the seq up to which the client was sent this channel. `epoch` "" until it is positioned."""

    __slots__ = ("aside", "channel", "delivered", "epoch", "subject")

    def __init__(self, channel: str, subject: str, epoch: str, delivered: int) -> None:
        self.channel = channel
        self.subject = subject
        self.epoch = epoch
        self.delivered = delivered
        self.aside: Behind | Unsubscribed | None = None  # None: what arrives is passed on

    @property
    def undecided(self) -> bool:
        """From where on it will be read is not known yet."""
        return isinstance(self.aside, Behind) and not self.aside.told

    @property
    def stopped(self) -> bool:
        return self.aside is UNSUBSCRIBED

    @property
    def waits(self) -> bool:
        """A client has asked where it goes on, and has no answer yet."""
        return isinstance(self.aside, Behind) and self.aside.asked and self.undecided

    def subscribed(self, reason: str | None, identifier: str | None, head: int | None = None) -> bytes:
        at = self.delivered if head is None else head
        return subscribed_frame(self.channel, self.epoch, at, self.delivered, reason, identifier)

    def takes(self, message: Delivered) -> bool:
        """The next message of the channel: is it to be shown now? A repeat is not, nor what has to wait."""
        if isinstance(self.aside, Behind):
            self.aside.hold(message)
        return self.aside is None and self._is_next(message)

    def goes_on_at(self, place: Place | None) -> bool:
        return self.aside is None and place == Place(self.epoch, self.delivered)

    def begin(self, identifier: str | None, *, asked: bool) -> Behind:
        """Goes on elsewhere. What comes live is held until that is decided."""
        self.aside = behind = Behind(asked=asked, identifier=identifier)
        return behind

    def stop(self) -> None:
        self.aside = UNSUBSCRIBED

    def positioned(self, behind: Behind, epoch: str, head: int, place: Place | None, reason: str | None) -> list[Shown]:
        """The channel ends at `head`; what follows `place` can be had from the log, or there is a `reason` why not."""
        if self.aside is not behind:
            return []
        self.epoch = epoch
        self.delivered = head if place is None or reason is not None else min(place.seq, head)
        behind.reach(head)
        behind.told = True
        return [self.subscribed(reason, behind.identifier, head), UP_TO_HERE, *self._settle(behind)]

    def wanted(self, behind: Behind) -> int | None:
        """The seq after which to read on; None when nothing is to be read any more."""
        return self.delivered if self.aside is behind and behind.told else None

    def replayed(self, behind: Behind, page: Iterable[Delivered]) -> list[Shown]:
        """The next messages of the log."""
        if self.aside is not behind:
            return []
        return [*(message for message in page if self._is_next(message)), *self._settle(behind)]

    def gave_up(self, behind: Behind, reason: str | None) -> list[Shown]:
        """The log has no more of what is missing: forgotten meanwhile, for a `reason`, or there was nothing more."""
        if self.aside is not behind:
            return []
        self.delivered = max(self.delivered, behind.goal)
        told = [self.subscribed(reason, None)] if reason is not None else []
        return [*told, UP_TO_HERE, *self._settle(behind)]

    def _settle(self, behind: Behind) -> list[Shown]:
        """Live again once the goal is reached: what was held follows without a hole."""
        if self.delivered < behind.goal:
            return []
        self.aside = None
        return [message for message in behind.held if self._is_next(message)]

    def _is_next(self, message: Delivered) -> bool:
        if message.seq <= self.delivered:
            return False
        self.delivered = message.seq
        return True
