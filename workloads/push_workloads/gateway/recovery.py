"""Catching up on a channel. Pure: what a cursor is worth, and what is kept of the live messages meanwhile.

While a socket is behind, the log is read in pages from its cursor on. Live messages wait; when too many do, the oldest
are let go and read from the log instead. So what waits is always the end of the channel without a hole, memory is
bounded, and nothing is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from push_workloads.common.changes import PREFIX, Change, decode
from push_workloads.gateway.frames import Place, logged_frame, sender_of

EPOCH_CHANGED: Final = "epoch_changed"  # the log was rebuilt: what lies between is in the history
TOO_OLD: Final = "too_old"  # the log has forgotten part of it: it is in the history
NO_CURSOR: Final = "no_cursor"  # how far this device had come is not known: it is in the history
MAX_HELD: Final = 32
MAX_HELD_BYTES: Final = 65_536


class Entry(NamedTuple):
    """One message of the log."""

    seq: int
    message_id: str
    payload: bytes


class Delivered(Struct, gc=False):
    """A message of the log as it goes to the sockets: encoded once for all of them. `sender` "" when that does not
    matter; `change`: of a group's members, when it is that."""

    message_id: str
    seq: int
    frame: bytes
    sender: str = ""
    change: Change | None = None


class Told(Struct, gc=False):
    """What is told to the readers of a channel and not stored: a whole frame, of a kind, by a user."""

    frame: bytes
    type: str
    sender: str


class LogState(NamedTuple):
    """What a log holds now: everything from `first` to `last`."""

    epoch: str
    first: int
    last: int


class Behind:
    """A channel that is being caught up with. `goal`: up to here the log must be read; what is newer is held, or comes
    live. `asked`: a frame of the client wants a `subscribed` for it, `told`: it was sent."""

    __slots__ = ("_bytes", "asked", "goal", "held", "identifier", "told")

    def __init__(self, *, asked: bool, identifier: str | None = None) -> None:
        self.asked = asked
        self.identifier = identifier
        self.told = False
        self.goal = 0
        self.held: deque[Delivered] = deque()
        self._bytes = 0

    def hold(self, message: Delivered) -> None:
        self.held.append(message)
        self._bytes += len(message.frame)
        while len(self.held) > MAX_HELD or self._bytes > MAX_HELD_BYTES:
            oldest = self.held.popleft()
            self._bytes -= len(oldest.frame)
            self.reach(oldest.seq)

    def reach(self, seq: int) -> None:
        """The log must be read at least up to here."""
        self.goal = max(seq, self.goal)


def judge(place: Place, epoch: str, state: LogState) -> str | None:
    """Why what came after a cursor cannot be had from the log; None when it can."""
    # Beyond the end: of a log that is no more, or made up. Going on from there would hide what comes next.
    if place.epoch != epoch or place.seq > state.last:
        return EPOCH_CHANGED
    return TOO_OLD if place.seq < state.first - 1 else None


def delivered(head: bytes, entry: Entry, prev: int, *, replayed: bool = False) -> Delivered:
    """`prev`: the seq of the message before it, 0 when that is not known."""
    frame = logged_frame(head, entry.seq, prev, entry.payload, replayed=replayed)
    change = _change(entry.payload) if entry.payload.startswith(PREFIX) else None  # asked here: most are messages
    return Delivered(entry.message_id, entry.seq, frame, sender_of(entry.payload), change)


def replay(head: bytes, after: int, entries: Iterable[Entry]) -> Iterator[Delivered]:
    """A page of the log. `after`: the seq of the message before it, 0 when that is not known."""
    for entry in entries:
        yield delivered(head, entry, after, replayed=True)
        after = entry.seq


def _change(payload: bytes) -> Change | None:
    try:
        return decode(payload)
    except msgspec.DecodeError:
        return None  # of a later version: the client is shown it all the same


class _Ephemeral(Struct, rename={"sender": "from"}):
    type: str
    sender: str = ""


_decode_ephemeral: Final = msgspec.json.Decoder(_Ephemeral).decode


def told(payload: bytes) -> Told | None:
    """What is not stored, as it came over the bus; None when it is no frame."""
    try:
        read = _decode_ephemeral(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Told(payload, read.type, read.sender)
