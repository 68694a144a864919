"""One channel as this device reads it. Pure.

Two cursors: `read` is how far the socket came, and what repeats are told by; `handed` is how far the application came.
Only the second one is told to the server and kept over a restart: a message that was read but not handled yet comes
again after a crash.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from push_client.events import Cursor, Frame

RECEIVED_SECONDS: Final = 1.0


class Channel:
    """`waiting`: its `subscribed` is awaited. Messages that come meanwhile are laid aside: they come again in their
    place, unless the answer is that they cannot. `question`: the id of the frame that asked for it. `provisional`: the
    welcome's word, before the server says where it goes on; `sure_at`: if it has not by then, there is nothing to go on
    with."""

    def __init__(self, name: str, cursor: Cursor | None, early: int) -> None:
        self.name = name
        self.read = cursor
        self.handed = cursor
        self.provisional = False
        self.sure_at = 0.0
        self.waiting = True
        self.asked_at: float | None = float("-inf")  # when to ask, None: it is asked already
        self.question = ""
        self._begun = cursor  # where it was first read from
        self._unhandled = 0
        self._told: Cursor | None = None
        self._told_at = float("-inf")
        self._early: deque[Frame] = deque(maxlen=early)

    @property
    def resumable(self) -> Cursor | None:
        """What this device itself knows of where it goes on."""
        return None if self.provisional else self.read

    def goes_on_with(self, answered: str | None) -> bool:
        """Does a `subscribed` say where it goes on? While this device's own question is under way only the answer to
        that does: a server that has not heard it yet may begin at the end, and that would pass over what was missed."""
        return not self.waiting or self.resumable is None or answered == self.question

    def skipped(self, since: Cursor) -> bool:
        """Was it read from a later place on than this one, of which nobody knew then?"""
        begun = self._begun
        return begun is not None and begun.epoch == since.epoch and begun.seq > since.seq

    def go_back(self, since: Cursor) -> bool:
        """To where it should have been read from; False when something came since, which cannot come in order then."""
        if self.waiting or self.read != self._begun:
            return False
        self.read = self._begun = since
        self.waiting = True
        self.asked_at = float("-inf")
        return True

    def lost(self) -> None:
        """The connection is gone: the server has to be asked again where it goes on."""
        self.waiting = True
        self.asked_at = float("-inf")
        self._told = None
        self._early.clear()

    def start(self, cursor: Cursor, *, provisional: bool = False) -> None:
        """From here on what comes is followed."""
        if self.provisional:
            self.handed = cursor  # nothing was handed yet: the welcome's word may have been ahead of what is missing
        self.read = cursor
        self.provisional = provisional
        self.waiting = False
        self.asked_at = None
        self._begun = self._begun or cursor

    def lay_aside(self, frame: Frame) -> None:
        self._early.append(frame)

    def take_early(self) -> list[Frame]:
        early = list(self._early)
        self._early.clear()
        return early

    def takes(self, place: Cursor) -> bool:
        """Moves the read cursor; False for what was read before."""
        if self.read is not None and self.read.epoch == place.epoch and place.seq <= self.read.seq:
            return False
        self.read = place
        self.provisional = False
        return True

    def queued(self) -> None:
        """What stands at the read cursor waits for the application."""
        self._unhandled += 1

    def passed(self) -> None:
        """What stands there is nothing to the application."""
        if not self._unhandled:
            self.handed = self.read

    def handle(self, place: Cursor) -> None:
        """The application is done with what stood there; with nothing else waiting it is done with all of it."""
        self._unhandled -= 1
        self.handed = place if self._unhandled else self.read

    def due(self, now: float, *, at_once: bool = False) -> int | None:
        """The seq to tell in a `received` now."""
        if self.waiting or self.handed is None or self.handed == self._told:
            return None
        if self.provisional and now < self.sure_at:
            return None  # it would hide what the server is about to send again
        if now - self._told_at < RECEIVED_SECONDS and not at_once:
            return None
        self._told, self._told_at = self.handed, now
        return self.handed.seq
