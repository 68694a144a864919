"""The channels that one session reads, and may read: the inbox, the groups of the user, topics. Pure.

Rights to groups are in `memberships.py`; what one may do on a topic is asked each time, and kept by whoever answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from push_workloads.common.changes import Change
from push_workloads.common.questions import Membership
from push_workloads.common.sending import RETRY_AFTER_MS
from push_workloads.common.subjects import BadId, channel_subject, inbox, inbox_subject
from push_workloads.gateway import codes
from push_workloads.gateway.actions import ASK_GROUPS, Action, AskTopic, Leave, Recover, Start
from push_workloads.gateway.frames import Place, Subscribe, Typing, Unsubscribe, error_frame, unsubscribed_frame
from push_workloads.gateway.memberships import Memberships, Waiting, begin_at, joined
from push_workloads.gateway.reading import Reading

MAX_TOPICS: Final = 100
MAX_WAITING: Final = 2 * MAX_TOPICS
UNKNOWN: Final = "channel: user:ID, group:ID or topic:NAME"
NOT_YOURS: Final = "channel: not yours to use so"
NOT_A_MEMBER: Final = "channel: you are in no such group"
BUSY: Final = "a resume of this channel is on its way: wait for its `subscribed`"
TOO_MANY: Final = f"channel: a socket reads at most {MAX_TOPICS} topics: unsubscribe from one"


class Channels:
    """`inbox` is read from the welcome on; `_others` and `_topics` are made when first needed. `_later`: groups that
    wait for the client to say where it goes on, until `_resume_by`; that is None when it has, or need not."""

    __slots__ = ("_asked", "_began", "_later", "_others", "_resume_by", "_topics", "groups", "inbox")

    def __init__(self, user_id: str, epoch: str, head: int) -> None:
        self.inbox = Reading(inbox(user_id), inbox_subject(user_id), epoch, head)
        self.groups = Memberships()
        self._others: dict[str, Reading] | None = None
        self._topics: dict[str, list[Waiting]] | None = None
        self._began: Start = None
        self._asked = False
        self._resume_by: float | None = None
        self._later: Sequence[str] = ()

    def get(self, channel: str) -> Reading | None:
        """What is read of a channel now."""
        if channel == self.inbox.channel:
            return self.inbox
        return self._others.get(channel) if self._others is not None else None

    def start(self, start: Start, *, asked: bool, resume_by: float | None) -> list[Action]:
        """At the welcome: goes on, or says why not; a new device has nothing to go on with, and nor has one that has
        `asked` for what it wants itself, or will by `resume_by`."""
        self._began = None if asked else start
        self._asked = asked
        self._resume_by = resume_by
        actions = self.ask_groups()
        if isinstance(self._began, Place):
            return [*self._go_on(self.inbox, self._began, None, asked=False), *actions]
        return [self.inbox.subscribed(self._began, None), *actions] if self._began is not None else actions

    # What the client asks for

    def subscribe(self, frame: Subscribe) -> list[Action]:
        """To the inbox, a group that the user is in, or a topic that may be read."""
        reading = self.get(frame.channel)
        if reading is None:
            return self._open(frame.channel, self._allowed(frame), frame.id, asked=True)
        if frame.since is None and not reading.stopped:
            return [reading.subscribed(None, frame.id)]  # it reads it, and goes on as it did
        return self._go_on(reading, self._allowed(frame), frame.id, asked=True)

    def unsubscribe(self, reading: Reading, frame: Unsubscribe) -> list[Action]:
        """A topic is left. The inbox and groups stay joined: their changes say what the user may do."""
        reading.stop()
        left = self._close(frame.channel) if is_topic(frame.channel) else []
        return [unsubscribed_frame(frame.channel, frame.id), *left]

    def _allowed(self, frame: Subscribe) -> Place | None:
        membership = self.groups.get(frame.channel)
        return begin_at(membership, frame.since) if membership is not None else frame.since

    def _open(
        self, channel: str, place: Place | None, identifier: str | None, *, asked: bool, reason: str | None = None
    ) -> list[Action]:
        others = self._others = self._others if self._others is not None else {}
        if is_topic(channel) and sum(map(is_topic, others)) >= MAX_TOPICS:
            return [error_frame(codes.FORBIDDEN, TOO_MANY, identifier, None, channel)]
        others[channel] = reading = Reading(channel, channel_subject(channel), "", 0)
        return [Recover(reading, reading.begin(identifier, asked=asked), place, reason)]

    def _go_on(self, reading: Reading, place: Place | None, identifier: str | None, *, asked: bool) -> list[Action]:
        """Goes on from `place`, wherever it is now."""
        if reading.waits:
            return [error_frame(codes.UNAVAILABLE, BUSY, identifier, RETRY_AFTER_MS, reading.channel)]
        if reading.goes_on_at(place):
            return [reading.subscribed(None, identifier)]
        return [Recover(reading, reading.begin(identifier, asked=asked), place)]

    def _close(self, channel: str) -> list[Action]:
        reading = self._others.pop(channel, None) if self._others is not None else None
        if reading is None:
            return []
        reading.stop()  # nothing more of it is shown, whatever is on its way
        return [Leave(channel)]

    # Groups

    def ask_groups(self) -> list[Action]:
        return [ASK_GROUPS] if self.groups.ask() else []

    def wait_for_groups(self, frame: Waiting) -> list[Action]:
        """A group that is not known: it may be new."""
        if not self.groups.hold(frame):
            channel = None if isinstance(frame, Typing) else frame.channel
            return [error_frame(codes.UNAVAILABLE, "too much waits for your groups", frame.id, RETRY_AFTER_MS, channel)]
        return self.ask_groups()

    def answered(self, memberships: Iterable[Membership]) -> tuple[list[str], list[Action], list[Waiting]]:
        """The groups that are new, what becomes of those that are gone, and the frames that waited."""
        new, gone, held = self.groups.answered(memberships)
        actions = [action for channel in gone for action in self._close(channel)]
        return new, [*actions, *(self.ask_groups() if self.groups.again else ())], held

    def join_all(self, channels: Sequence[str], places: Places, *, first: bool) -> list[Action]:
        """Reads groups without being asked. Where those of the welcome go on may be in a `resume` that is still on its
        way: to begin them at the end meanwhile would tell the client to pass over what it has missed."""
        if first and self._resume_by is not None:
            self._later = channels
            return []
        return [action for channel in channels for action in self.join(channel, places.get(channel), first=first)]

    def placed(self, *, asked: bool = True) -> list[Action]:
        """The client has said where it goes on, or (not `asked`) it is as if it were new: groups wait no longer."""
        if self._resume_by is None:
            return []
        self._asked, self._resume_by = asked, None
        later, self._later = self._later, ()
        return self.join_all([channel for channel in later if not self.groups.leaves(channel)], {}, first=True)

    def tick(self, now: float) -> list[Action]:
        return self.placed(asked=False) if self._resume_by is not None and now > self._resume_by else []

    def join(self, channel: str, cursor: Place | None, *, first: bool) -> list[Action]:
        """Reads a group without being asked: at the welcome (`first`) from the device's cursor on, later from where the
        user became a member."""
        membership = self.groups.get(channel)
        if membership is None or self.get(channel) is not None:
            return []
        if cursor is not None:
            return self._open(channel, begin_at(membership, cursor), None, asked=False)
        # Who says where it goes on would have named this group if it had ever read it.
        if first and not self._asked and not isinstance(self._began, Place):
            return self._open(channel, None, None, asked=False, reason=self._began)
        return self._open(channel, joined(membership), None, asked=False)

    def changed(self, reading: Reading, seq: int, change: Change, user_id: str) -> list[Action]:
        """A change of a group's members, in the inbox or in the group's own log, was delivered. Whoever was removed and
        is a member again goes on where that begins."""
        if reading is self.inbox:
            return self.ask_groups()
        removed = change.change == "removed" and user_id in change.user_ids
        if not removed and change.change != "deleted":
            return []
        self.groups.end(reading.channel, Place(reading.epoch, seq))
        return [*self._close(reading.channel), *self.join(reading.channel, None, first=False)]

    # Topics

    def wait_for_topic(self, channel: str, frame: Waiting) -> list[Action]:
        topics = self._topics = self._topics if self._topics is not None else {}
        if sum(map(len, topics.values())) >= MAX_WAITING:
            return [error_frame(codes.UNAVAILABLE, "too much waits for topics", frame.id, RETRY_AFTER_MS, channel)]
        topics.setdefault(channel, []).append(frame)
        return [AskTopic(channel)] if len(topics[channel]) == 1 else []

    def ask_topics(self) -> list[Action]:
        return [AskTopic(channel) for channel in self._others or () if is_topic(channel)]

    def no_longer(self, channel: str) -> list[Action]:
        """A topic may not be read any more."""
        left = self._close(channel)
        return [error_frame(codes.FORBIDDEN, NOT_YOURS, None, None, channel), *left] if left else []

    def topic_frames(self, channel: str) -> list[Waiting]:
        """The frames that waited for what one may do on a topic."""
        return self._topics.pop(channel, []) if self._topics else []


def is_topic(channel: str) -> bool:
    return channel.startswith("topic:")


def is_inbox(channel: str) -> bool:
    return channel.startswith("user:")


def well_formed(channel: str) -> bool:
    try:
        channel_subject(channel)
    except BadId:
        return False
    return True


Places = Mapping[str, Place]
"""By channel: where this device stopped."""
