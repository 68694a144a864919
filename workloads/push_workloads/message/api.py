"""Messages over HTTP: sending them, and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call, Query, Route
from push_workloads.common.subjects import BadId
from push_workloads.message.model import (
    CURSOR,
    DEFAULT_PAGE,
    MAX_PAGE,
    Message,
    Position,
    conversation_key,
    format_cursor,
    parse_cursor,
    position,
)
from push_workloads.message.send_api import send_route
from push_workloads.message.sender import Sender
from push_workloads.message.store import HistoryStore


class HistoryMessage(Struct, rename={"sender": "from"}, omit_defaults=True):
    """A message as history gives it: the same fields as in a `message` frame, without its place in the log."""

    message_id: str
    sender: str
    recipient_id: str
    conversation: str
    kind: str
    content: Raw
    sent_at: int
    ref: str | None = None


class HistoryPage(Struct):
    """Newest first, or oldest first with `after`. `next` goes into the same parameter for the page that follows; null
    when there is none now."""

    messages: list[HistoryMessage]
    next: str | None


class ConversationView(Struct):
    """`user_id`: with whom."""

    user_id: str
    last_message: HistoryMessage


class ConversationPage(Struct):
    """The newest last message first. `next` goes into `after` for the page that follows; null when there is none."""

    conversations: list[ConversationView]
    next: str | None


_LIMIT: Final = Query(
    "limit",
    f"how many, 1 to {MAX_PAGE}; {DEFAULT_PAGE} when left out",
    schema={"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
)
_PLACE: Final = {"type": "string", "pattern": f"^{CURSOR}$"}


def routes(store: HistoryStore, sender: Sender, max_bytes: int) -> list[Route]:
    async def messages(call: Call) -> HistoryPage:
        other = call.path["user_id"]
        limit = _limit(call)
        before, after = _position(call, "before"), _position(call, "after")
        if before is not None and after is not None:
            raise BadRequest("before, after: one of them")
        try:
            key = conversation_key(call.user_id, other)
        except BadId as error:
            raise BadRequest(f"user_id: {error}") from error
        if after is not None:
            rows = await store.page_after(key, after, limit + 1)
        else:
            rows = await store.page(key, before, limit + 1)
        shown = rows[:limit]
        return HistoryPage([_shown(row, other) for row in shown], _next([position(row) for row in rows], limit))

    async def conversations(call: Call) -> ConversationPage:
        limit = _limit(call)
        lines = await store.conversations(call.user_id, _position(call, "after"), limit + 1)
        shown = [ConversationView(line.other, _shown(line.message, line.other)) for line in lines[:limit]]
        return ConversationPage(shown, _next([line.place for line in lines], limit))

    return [
        send_route(sender, max_bytes),
        Route(
            "GET",
            "/conversations",
            conversations,
            "The caller's conversations, the one with the newest last message first",
            ConversationPage,
            query=(Query("after", "a `next` of an earlier answer: what follows that page", schema=_PLACE), _LIMIT),
            errors=(400,),
        ),
        Route(
            "GET",
            "/conversations/{user_id}/messages",
            messages,
            "The messages between the caller and one other user, newest first",
            HistoryPage,
            query=(
                Query(
                    "before", "a `next`, or `SENT_AT.MESSAGE_ID` of a message: those older, newest first", schema=_PLACE
                ),
                Query("after", "the same: those newer, oldest first. Not together with `before`", schema=_PLACE),
                _LIMIT,
            ),
            errors=(400,),
        ),
    ]


def _shown(row: Message, other: str) -> HistoryMessage:
    return HistoryMessage(
        message_id=row.message_id,
        sender=row.sender,
        recipient_id=row.recipient_id,
        conversation=other,
        kind=row.kind,
        content=Raw(row.content),
        sent_at=row.sent_at,
        ref=row.ref,
    )


def _limit(call: Call) -> int:
    text = call.query.get("limit")
    if text is None:
        return DEFAULT_PAGE
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) else 0
    if not 1 <= number <= MAX_PAGE:
        raise BadRequest(f"limit: a whole number from 1 to {MAX_PAGE}")
    return number


def _position(call: Call, name: str) -> Position | None:
    text = call.query.get(name)
    if text is None:
        return None
    try:
        return parse_cursor(text)
    except ValueError as error:
        raise BadRequest(f"{name}: the `next` of an earlier answer") from error


def _next(read: Sequence[Position], limit: int) -> str | None:
    """Where the page that follows begins, if more was found than was asked for."""
    return format_cursor(read[limit - 1]) if len(read) > limit else None
