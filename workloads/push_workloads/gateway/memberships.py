"""Which groups a session may read and write. Pure.

The message service is asked at the welcome, and again after any change that the inbox tells of: its answer is the whole
truth each time, so no order of events leaves a right that is none. A frame about a group that is not known waits for a
fresh answer: the user may have been added a moment ago.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from push_workloads.common.questions import Membership
from push_workloads.common.subjects import group
from push_workloads.gateway.frames import MAX_CHANNELS, Place, SendMessage, Subscribe, Typing

MAX_HELD: Final = 64  # of messages and the like
MAX_HELD_BYTES: Final = 262_144  # of their content
MAX_SUBSCRIBES: Final = 2 * MAX_CHANNELS  # a `resume` of all channels, and more: refusing one would lose its messages
Waiting = SendMessage | Subscribe | Typing


class Memberships:
    """`known` None until the first answer. `asking`: a question is under way, and `again`: what it will say may be
    older than the last change. `_ended`: where in its log each group was left."""

    __slots__ = ("_ended", "again", "asking", "held", "known")

    def __init__(self) -> None:
        self.known: dict[str, Membership] | None = None
        self.asking = self.again = False
        self.held: list[Waiting] = []
        self._ended: dict[str, Place] | None = None  # made when first needed

    def ask(self) -> bool:
        """Whether to ask now; else it is asked when the answer to the last question is there."""
        self.again = self.asking
        first, self.asking = not self.asking, True
        return first

    def hold(self, frame: Waiting) -> bool:
        """Keeps a frame for the next answer; False when too many wait."""
        if isinstance(frame, Subscribe):
            return self._add(frame, sum(isinstance(one, Subscribe) for one in self.held) < MAX_SUBSCRIBES)
        others = [one for one in self.held if not isinstance(one, Subscribe)]
        size = sum(map(_size, [*others, frame]))
        return self._add(frame, len(others) < MAX_HELD and size <= MAX_HELD_BYTES)

    def _add(self, frame: Waiting, has_room: bool) -> bool:
        if not has_room:
            return False
        self.held.append(frame)
        return True

    def answered(self, memberships: Iterable[Membership]) -> tuple[list[str], list[str], list[Waiting]]:
        """The channels that are new, those that are gone, and the frames that waited."""
        before = self.known or {}
        self.known = {group(one.group_id): one for one in memberships if not self._is_over(one)}
        self.asking = False
        # A frame that came after the question: the answer may be too old to refuse it.
        held = [frame for frame in self.held if not self.again or frame.channel in self.known]
        self.held = [frame for frame in self.held if self.again and frame.channel not in self.known]
        # One that is about to leave may have its removal behind the end of the log, where reading would begin.
        begun = {channel for channel, one in before.items() if not one.leaving}
        new = [channel for channel, one in self.known.items() if channel not in begun and not one.leaving]
        return new, [old for old in before if old not in self.known], held

    def end(self, channel: str, place: Place) -> None:
        """A membership ended there. An answer that is on its way may not know it yet; and what is known may be the next
        membership already."""
        ended = self._ended = self._ended if self._ended is not None else {}
        ended[channel] = place
        held = self.get(channel)
        if self.known is not None and held is not None and self._is_over(held):
            del self.known[channel]

    def _is_over(self, membership: Membership) -> bool:
        ended = self._ended.get(group(membership.group_id)) if self._ended is not None else None
        return ended is not None and ended.epoch == membership.epoch and membership.seq < ended.seq

    def get(self, channel: str) -> Membership | None:
        return self.known.get(channel) if self.known is not None else None

    def leaves(self, channel: str) -> bool:
        membership = self.get(channel)
        return membership is not None and membership.leaving


def _size(frame: Waiting) -> int:
    return len(bytes(frame.content)) if isinstance(frame, SendMessage) else 0


def begin_at(membership: Membership, place: Place | None) -> Place | None:
    """From where on a member reads: a cursor, but never before it became a member."""
    if place is not None and place.epoch == membership.epoch:
        return Place(place.epoch, max(place.seq, membership.seq))
    return place


def joined(membership: Membership) -> Place:
    return Place(membership.epoch, membership.seq)
