"""Messages over HTTP: sending them, and their history."""

from __future__ import annotations

from msgspec import Raw, Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call, Query, Route
from push_workloads.common.subjects import BadId
from push_workloads.message.model import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Message,
    Position,
    conversation_key,
    format_cursor,
    parse_cursor,
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
    """Newest first. `next` goes into `before` for the page of older messages; null when there is none."""

    messages: list[HistoryMessage]
    next: str | None


def routes(store: HistoryStore, sender: Sender, max_bytes: int) -> list[Route]:
    async def conversation(call: Call) -> HistoryPage:
        other = call.path["user_id"]
        limit = _limit(call.query.get("limit"))
        try:
            key = conversation_key(call.user_id, other)
        except BadId as error:
            raise BadRequest(f"user_id: {error}") from error
        rows = await store.page(key, _before(call.query.get("before")), limit + 1)
        shown = rows[:limit]
        more = len(rows) > limit
        return HistoryPage(
            messages=[_shown(row, other) for row in shown],
            next=format_cursor(Position(shown[-1].sent_at, shown[-1].message_id)) if more else None,
        )

    return [
        send_route(sender, max_bytes),
        Route(
            "GET",
            "/conversations/{user_id}/messages",
            conversation,
            "The messages between the caller and one other user, newest first",
            HistoryPage,
            query=(
                Query("before", "a `next` of an earlier answer: older messages than that page"),
                Query("limit", f"how many, 1 to {MAX_PAGE}; {DEFAULT_PAGE} when left out"),
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


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) else 0
    if not 1 <= number <= MAX_PAGE:
        raise BadRequest(f"limit: a whole number from 1 to {MAX_PAGE}")
    return number


def _before(text: str | None) -> Position | None:
    if text is None:
        return None
    try:
        return parse_cursor(text)
    except ValueError as error:
        raise BadRequest("before: the `next` of an earlier answer") from error
