"""What an application is told, and what its sends come to. Pure: frames in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

Frame = dict[str, Any]
TEXT = "text"


class Cursor(NamedTuple):
    """A place in a channel: everything up to and including `seq` has been seen."""

    epoch: str
    seq: int


class Target(NamedTuple):
    """Where a message goes: to one user, or to a group or topic."""

    to: str | None = None
    channel: str | None = None

    @property
    def fields(self) -> Frame:
        return {"recipient_id": self.to} if self.to is not None else {"channel": self.channel}

    @property
    def conversation(self) -> str:
        return self.to if self.to is not None else self.channel or ""


class Referable(Protocol):
    """What can be edited, deleted or reacted to: a message that came, or one that was sent."""

    @property
    def message_id(self) -> str: ...
    @property
    def target(self) -> Target: ...


@dataclass(frozen=True, slots=True)
class Message:
    """`conversation`: the other user's id, or the channel of a group or topic. `sent_at` is in Unix milliseconds.
    `place` is None for one that the history gave. `mine`: written by this user, on another device."""

    message_id: str
    sender: str
    conversation: str
    content: Any
    sent_at: int
    kind: str = TEXT
    ref: str | None = None
    channel: str = ""
    place: Cursor | None = None
    replayed: bool = False
    mine: bool = False

    @property
    def target(self) -> Target:
        if self.conversation.startswith(("group:", "topic:")):
            return Target(channel=self.conversation)
        return Target(to=self.conversation)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a send came to: the message is durable."""

    message_id: str
    target: Target
    sent_at: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """`by` has received or read everything of the conversation up to this message. `conversation`: the other user's
    id, or the channel of a group. `by` the user itself: another of its devices read it."""

    kind: Literal["delivered", "read"]
    by: str
    conversation: str
    message_id: str
    sent_at: int


@dataclass(frozen=True, slots=True)
class Typing:
    """`conversation` as in a Message. `state` becomes "stop" by itself after 6 s."""

    sender: str
    conversation: str
    state: Literal["start", "stop"]


@dataclass(frozen=True, slots=True)
class Presence:
    """Of a user who is watched. Whom this user may not see is offline and was never seen. `last_seen`: the last
    disconnect, in Unix milliseconds."""

    user_id: str
    status: Literal["online", "away", "offline"]
    last_seen: int | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A change of a group. It stands in the group's channel for everybody; `mine` ones, in the inbox, tell this user
    that it was added or removed. `name`: of the group, with added and renamed; `role`: with added and role."""

    change: str
    group_id: str
    by: str
    user_ids: tuple[str, ...]
    channel: str
    message_id: str
    sent_at: int
    role: str | None = None
    name: str | None = None
    since: Cursor | None = None
    mine: bool = False


@dataclass(frozen=True, slots=True)
class Subscribed:
    """From here on a channel is read: what comes after `since` follows."""

    channel: str
    since: Cursor


@dataclass(frozen=True, slots=True)
class Gap:
    """Not all that was missed on this channel can be sent again: read the history. `reason` as in docs/clients.md."""

    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Connected:
    """`again`: after a cut; what was missed follows."""

    user_id: str
    device_id: str
    again: bool


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The next attempt comes in `retry_in` seconds."""

    reason: str
    retry_in: float


Event = Message | Receipt | Typing | Presence | Membership | Subscribed | Gap | Connected | Disconnected


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what is kept. `window`: sends that wait for their ack on the wire."""

    outbox: int = 1000
    events: int = 1000
    window: int = 64
    early: int = 1000
    ids: int = 5000


@dataclass(frozen=True, slots=True)
class Saved:
    """What a device keeps over a restart of its program. `user_id`: whose cursors they are, empty before the first
    welcome."""

    device_id: str
    user_id: str = ""
    cursors: Mapping[str, Cursor] = field(default_factory=dict)


def message_of(frame: Frame, me: str = "") -> Message:
    """From a frame, or from a line of the history."""
    sender = frame["from"]
    conversation = frame.get("conversation") or frame.get("channel") or ""
    place = Cursor(frame["epoch"], frame["seq"]) if "seq" in frame else None
    return Message(
        message_id=frame["message_id"],
        sender=sender,
        conversation=conversation,
        content=frame.get("content"),
        sent_at=frame["sent_at"],
        kind=frame.get("kind") or TEXT,
        ref=frame.get("ref"),
        channel=frame.get("channel", ""),
        place=place,
        replayed=bool(frame.get("replayed")),
        mine=sender == me,
    )


def membership_of(frame: Frame, inbox: str) -> Membership:
    since = frame.get("since")
    return Membership(
        change=frame["change"],
        group_id=frame["group_id"],
        by=frame["by"],
        user_ids=tuple(frame.get("user_ids", ())),
        channel=f"group:{frame['group_id']}",
        message_id=frame["message_id"],
        sent_at=frame["sent_at"],
        role=frame.get("role"),
        name=frame.get("name"),
        since=Cursor(since["epoch"], since["seq"]) if since else None,
        mine=frame["channel"] == inbox,
    )


def receipt_of(frame: Frame) -> Receipt:
    conversation = frame.get("channel") or frame.get("conversation") or frame["by"]
    return Receipt(frame["kind"], frame["by"], conversation, frame["message_id"], frame["sent_at"])


def typing_of(frame: Frame) -> Typing:
    return Typing(frame["from"], frame.get("channel") or frame["from"], frame["state"])


def presence_of(frame: Frame) -> Presence:
    return Presence(frame["user_id"], frame["status"], frame.get("last_seen"))
