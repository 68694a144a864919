"""What history looks like over HTTP, and the parameters that its routes share. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call
from push_workloads.message.model import (
    CURSOR,
    Message,
    Position,
    format_cursor,
    parse_cursor,
)

PLACE: Final = {"type": "string", "pattern": f"^{CURSOR}$"}


class HistoryMessage(Struct, rename={"sender": "from"}, omit_defaults=True):
    """A message as history gives it: the same fields as in a `message` frame, without its place in the log. Of kind
    `system` it is a change of the group, and the change is its content."""

    message_id: str
    sender: str
    conversation: str
    kind: str
    content: Raw
    sent_at: int
    recipient_id: str | None = None
    ref: str | None = None


class Place(Struct):
    """A place in a conversation: everything up to this message."""

    message_id: str
    sent_at: int


def shown(row: Message, conversation: str) -> HistoryMessage:
    """`conversation` as the caller calls it: the other user, or the channel."""
    return HistoryMessage(
        message_id=row.message_id,
        sender=row.sender,
        conversation=conversation,
        kind=row.kind,
        content=Raw(row.content),
        sent_at=row.sent_at,
        recipient_id=row.recipient_id or None,
        ref=row.ref,
    )


def shown_place(place: Position | None) -> Place | None:
    return Place(place.message_id, place.sent_at) if place is not None else None


def asked_place(call: Call, name: str) -> Position | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        return parse_cursor(text)
    except ValueError as error:
        raise BadRequest(f"{name}: the `next` of an earlier answer") from error


def next_page(read: Sequence[Position], limit: int) -> str | None:
    """Where the page that follows begins, if more was found than was asked for."""
    return format_cursor(read[limit - 1]) if len(read) > limit else None
