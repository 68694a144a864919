"""What gateways ask the message service over the bus, and its answers: JSON both ways. Pure.

The message service answers in a queue group, so any replica does. It may be away: then gateways go on with what they
know, or wait; messages flow without it. An answer is the struct named here, or a `Failure`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from push_workloads.common.changes import Role
from push_workloads.common.outgoing import MessageId

QUEUE: Final = "message"
MEMBERSHIPS: Final = "svc.message.memberships"  # UserAsked → Memberships
TOPIC: Final = "svc.message.topic"  # TopicAsked → TopicRights
BLOCKS: Final = "svc.message.blocks"  # UserAsked → Blocks
RECEIPTS: Final = "svc.message.receipts"  # Reports → Done, once all of them are stored
KNOWN: Final = "svc.message.known"  # KnownAsked → Known
UNREAD: Final = "svc.message.unread"  # UnreadAsked → Unread
MEMBERS: Final = "svc.message.members"  # MembersAsked → Members
WATCH: Final = "svc.message.watch"  # WatchAsked → Watchable

# Told by the message service to all gateways: what they keep of these answers is void.
BLOCKS_CHANGED: Final = "ctl.blocks."  # + token of the user who blocks
PRIVACY_CHANGED: Final = "ctl.privacy."  # + token of the user whose settings these are
TOPICS_CHANGED: Final = "ctl.topics"

MAX_REPORTS: Final = 500
MAX_KNOWN: Final = 100
MAX_MEMBERS_PAGE: Final = 500
MAX_WATCHED: Final = 500  # pairs of one question; users whom one socket watches


class Failure(Struct, tag_field="answer", tag="failure"):
    """As in an error answer over HTTP."""

    code: str
    message: str
    retry_after_ms: int | None = None


class UserAsked(Struct):
    user_id: str


class Membership(Struct):
    """A group that a user is in: since the message `seq` of its log, under that epoch of its shard. `leaving`: the end
    of that is decided, and perhaps in the log already: who reads it will see it, nobody begins to."""

    group_id: str
    role: Role
    epoch: str
    seq: int
    members: int
    leaving: bool = False


class Memberships(Struct, tag_field="answer", tag="memberships"):
    groups: list[Membership]


class TopicAsked(Struct):
    user_id: str
    topic: str  # the name alone, without "topic:"


class TopicRights(Struct, tag_field="answer", tag="topic"):
    """`for_everyone`: the same for all users, so it may be kept for the topic."""

    read: bool
    write: bool
    for_everyone: bool


class Blocks(Struct, tag_field="answer", tag="blocks"):
    """The users from whom this one takes no direct messages."""

    user_ids: list[str]


class Report(Struct, omit_defaults=True):
    """This user's device holds, or the user has read, everything on the channel up to `seq`. `conversation`: with which
    other user, on an inbox; a `delivered` on an inbox names each sender it concerns."""

    kind: Literal["delivered", "read"]
    user_id: str
    channel: str
    epoch: str
    seq: int
    conversation: str | None = None


class Reports(Struct):
    reports: list[Report]


class Done(Struct, tag_field="answer", tag="done"):
    """It is stored."""


class KnownAsked(Struct):
    """Which of these messages of a channel are stored already? For sends that say `retry`, with the ids that their
    dedup_ids stand for. `subject`: of the channel, for a direct message of the recipient's inbox.

    What is not in the answer was not stored more than a minute ago, and the log drops repeats of two minutes: so it may
    be published within 50 s of the question. History that is further behind answers `unavailable`.
    """

    subject: str
    message_ids: list[MessageId]


class KnownMessage(Struct):
    """`digest`: of kind, ref and content (`common/sending.digest`): another one is a conflict."""

    message_id: str
    sent_at: int
    digest: str


class Known(Struct, tag_field="answer", tag="known"):
    messages: list[KnownMessage]


class UnreadAsked(Struct):
    """Has the user read this message of a conversation (`user:<other user>` or `group:<id>`), and how many messages are
    unread in all? For the push service. `counted` False: how many is of no use, and not looked up, which is most of
    what an answer costs."""

    user_id: str
    conversation: str
    sent_at: int
    message_id: MessageId
    counted: bool = True


class Unread(Struct, tag_field="answer", tag="unread"):
    """`count`: over all groups and the hundred direct conversations with the newest messages, 100 and more of one count
    as 100. None when it was not to be counted, or that takes too long now."""

    read: bool
    count: int | None


class MembersAsked(Struct):
    """A page of a group's members, behind `after`. For the push service. `sender`: those who block that user are left
    out; they read in the group what it says, and are not called for it. `limit`: at most MAX_MEMBERS_PAGE."""

    group_id: str
    after: str | None
    limit: int
    sender: str | None = None


class Members(Struct, tag_field="answer", tag="members"):
    """In the order of their ids; fewer than asked for: that was the last page."""

    user_ids: list[str]


class WatchAsked(Struct):
    """Of each pair: may the first user see the second's presence? At most MAX_WATCHED."""

    pairs: Annotated[list[tuple[str, str]], Meta(max_length=MAX_WATCHED)]


class Watchable(Struct, tag_field="answer", tag="watchable"):
    """In the order of the pairs."""

    allowed: list[bool]


Answer = Failure | Memberships | TopicRights | Blocks | Done | Known | Unread | Members | Watchable
