"""Messages as history keeps them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct

from push_workloads.common import changes
from push_workloads.common.subjects import BadId, token

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 50
TEXT: Final = "text"
SYSTEM: Final = "system"  # the kind of a row that is a change of its group: its content is the change
CURSOR: Final = r"([0-9]{1,15})\.([A-Za-z0-9_-]{1,64})"
MAX_MARKS: Final = 1000  # of one conversation that are read at once
MAX_UNREAD: Final = 100  # counted up to here: 100 is 100 or more
UNREAD_READ: Final = 1000  # messages after a mark among which is counted: those of a user who never reads have no end
UNREAD_LISTED: Final = 100  # direct conversations, those with the newest messages, over which is counted in all
MarkKind = Literal["delivered", "read"]
_CURSOR = re.compile(CURSOR)
_MESSAGE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Payload(Struct, rename={"sender": "from"}):
    """What a message is in the log: one copy of a direct one, or the one of a group or topic, which has no
    `recipient_id`."""

    message_id: str
    sender: str
    conversation: str
    content: Raw
    sent_at: int
    recipient_id: str | None = None
    kind: str = "text"
    ref: str | None = None


class Message(NamedTuple):
    """One row of history. `conversation` is the pair's own key, the same from both sides, or the subject of a group or
    topic: then `recipient_id` is empty. The two never meet: a pair's key holds a '|', which no subject does."""

    conversation: str
    sent_at: int
    message_id: str
    sender: str
    recipient_id: str
    kind: str
    ref: str | None
    content: bytes


class Position(NamedTuple):
    """A place in a conversation; history is ordered by (sent_at, message_id) everywhere."""

    sent_at: int
    message_id: str


OLDEST: Final = Position(0, "")


class Mark(NamedTuple):
    """How far a user has come in a conversation: all up to there is on a device of theirs, or was read."""

    user_id: str
    conversation: str
    kind: MarkKind
    place: Position


class Latest(NamedTuple):
    """A line of a user's conversation list: with whom, its place in the list, and the last message."""

    other: str
    place: Position
    message: Message


_decode_payload = msgspec.json.Decoder(Payload).decode


def decode_payload(raw: bytes) -> Payload | changes.Change:
    """Raises msgspec.DecodeError when this is neither a message nor a change, BadId when an id in it is not
    well-formed, or it has no place in a conversation: a store that refused it would be given it for ever."""
    entry: Payload | changes.Change = changes.decode(raw) or _decode_payload(raw)
    if not _CURSOR.fullmatch(format_cursor(Position(entry.sent_at, entry.message_id))):
        raise BadId("message_id, sent_at: no place in a conversation")
    return entry if isinstance(entry, changes.Change) else _well_formed(entry)


def _well_formed(payload: Payload) -> Payload:
    token(payload.sender)
    if payload.recipient_id is not None:
        token(payload.recipient_id)
    return payload


def conversation_key(one: str, other: str) -> str:
    """The key of a pair of users, whichever is named first. Tokens hold no '|', so no two pairs share a key."""
    return "|".join(sorted((token(one), token(other))))


def is_inbox(channel_subject: str) -> bool:
    return channel_subject.startswith("u.")


def row_of(subject: str, entry: Payload | changes.Change) -> Message | None:
    """The row that an entry of a channel's log becomes; None for a change in an inbox, which stands in the group's.

    Both copies of a direct message become the same row: writing either, or both, or twice, is one message.

    Raises BadId when it is not of that channel's kind: a direct message in a group, or the other way round.
    """
    if isinstance(entry, changes.Change):
        return None if is_inbox(subject) else _system(subject, entry)
    if is_inbox(subject) == (entry.recipient_id is None):
        raise BadId("a message of another kind of channel")
    recipient_id = entry.recipient_id or ""
    return Message(
        conversation=conversation_key(entry.sender, recipient_id) if recipient_id else subject,
        sent_at=entry.sent_at,
        message_id=entry.message_id,
        sender=entry.sender,
        recipient_id=recipient_id,
        kind=entry.kind,
        ref=entry.ref,
        content=bytes(entry.content),
    )


def _system(subject: str, change: changes.Change) -> Message:
    return Message(
        conversation=subject,
        sent_at=change.sent_at,
        message_id=change.message_id,
        sender=change.by,
        recipient_id="",
        kind=SYSTEM,
        ref=None,
        content=changes.encode(change),
    )


def position(message: Message) -> Position:
    return Position(message.sent_at, message.message_id)


def listings(messages: Iterable[Message]) -> Iterator[tuple[str, str, Message]]:
    """What a batch changes in conversation lists: whose, with whom, and the last message. Of many messages of one
    conversation only the last counts, so a busy conversation costs a batch no more than a quiet one. Groups and topics
    stand in no list: which of them a user reads is not the history's to know."""
    last: dict[str, Message] = {}
    for message in filter(is_direct, messages):
        held = last.setdefault(message.conversation, message)
        if position(message) > position(held):
            last[message.conversation] = message
    for message in last.values():
        for user, other in sides(message):
            yield user, other, message


def is_direct(message: Message) -> bool:
    return bool(message.recipient_id)


def sides(message: Message) -> set[tuple[str, str]]:
    """The two lists that a message stands in, each with the other user; one for a note to oneself."""
    return {(message.sender, message.recipient_id), (message.recipient_id, message.sender)}


def furthest(marks: Iterable[Mark]) -> list[Mark]:
    """Of each user, conversation and kind the mark that is furthest."""
    best: dict[tuple[str, ...], Mark] = {}
    for mark in marks:
        held = best.setdefault(mark[:3], mark)
        if mark.place > held.place:
            best[mark[:3]] = mark
    return list(best.values())


def is_unread(message: Message, user_id: str) -> bool:
    """Whether a message after the user's mark counts: edits, reactions and changes do not, nor do one's own."""
    return message.kind == TEXT and message.sender != user_id


def is_message_id(text: str) -> bool:
    return _MESSAGE_ID.fullmatch(text) is not None


def just_after(place: Position) -> Position:
    """The least place that comes after this one: nothing is between them."""
    return Position(place.sent_at, place.message_id + "\x00")


def format_cursor(position: Position) -> str:
    return f"{position.sent_at}.{position.message_id}"


def parse_cursor(text: str) -> Position:
    """Raises ValueError when it is not one that `format_cursor` made."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError("not a cursor")
    return Position(int(found[1]), found[2])
