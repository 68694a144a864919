"""Messages as history keeps them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from push_workloads.common.subjects import token

MAX_PAGE: Final = 200
DEFAULT_PAGE: Final = 50
CURSOR: Final = r"([0-9]{1,15})\.([A-Za-z0-9_-]{1,64})"
_CURSOR = re.compile(CURSOR)


class Payload(Struct, rename={"sender": "from"}):
    """What a gateway writes into the log: one copy of a direct message."""

    message_id: str
    sender: str
    recipient_id: str
    conversation: str
    content: Raw
    sent_at: int
    kind: str = "text"
    ref: str | None = None


class Message(NamedTuple):
    """One row of history. `conversation` is the pair's own key, the same from both sides."""

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


class Latest(NamedTuple):
    """A line of a user's conversation list: with whom, its place in the list, and the last message."""

    other: str
    place: Position
    message: Message


_decode_payload = msgspec.json.Decoder(Payload).decode


def decode_payload(raw: bytes) -> Payload:
    """Raises msgspec.DecodeError when this is no message of a gateway, BadId when an id in it is not well-formed."""
    payload: Payload = _decode_payload(raw)
    token(payload.sender)
    token(payload.recipient_id)
    return payload


def conversation_key(one: str, other: str) -> str:
    """The key of a pair of users, whichever is named first. Tokens hold no '|', so no two pairs share a key."""
    return "|".join(sorted((token(one), token(other))))


def row_of(payload: Payload) -> Message:
    """Both copies of a message become the same row: writing either, or both, or twice, is one message."""
    return Message(
        conversation=conversation_key(payload.sender, payload.recipient_id),
        sent_at=payload.sent_at,
        message_id=payload.message_id,
        sender=payload.sender,
        recipient_id=payload.recipient_id,
        kind=payload.kind,
        ref=payload.ref,
        content=bytes(payload.content),
    )


def position(message: Message) -> Position:
    return Position(message.sent_at, message.message_id)


def listings(messages: Iterable[Message]) -> Iterator[tuple[str, str, Message]]:
    """What a batch changes in conversation lists: whose, with whom, and the last message. Of many messages of one
    conversation only the last counts, so a busy conversation costs a batch no more than a quiet one."""
    last: dict[str, Message] = {}
    for message in messages:
        held = last.setdefault(message.conversation, message)
        if position(message) > position(held):
            last[message.conversation] = message
    for message in last.values():
        for user, other in sides(message):
            yield user, other, message


def sides(message: Message) -> set[tuple[str, str]]:
    """The two lists that a message stands in, each with the other user; one for a note to oneself."""
    return {(message.sender, message.recipient_id), (message.recipient_id, message.sender)}


def format_cursor(position: Position) -> str:
    return f"{position.sent_at}.{position.message_id}"


def parse_cursor(text: str) -> Position:
    """Raises ValueError when it is not one that `format_cursor` made."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError("not a cursor")
    return Position(int(found[1]), found[2])
