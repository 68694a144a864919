"""The messages of a conversation, and of a group or topic, over HTTP: page after page, in both directions."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call, Query, Route
from push_workloads.common.subjects import BadId
from push_workloads.message.access import Access
from push_workloads.message.doors import reading
from push_workloads.message.model import conversation_key, position
from push_workloads.message.paging import LIMIT, limit_of
from push_workloads.message.store import HistoryStore
from push_workloads.message.views import PLACE, HistoryMessage, asked_place, next_page, shown


class HistoryPage(Struct):
    """Newest first, or oldest first with `after`. `next` goes into the same parameter for the page that follows; null
    when there is none now."""

    messages: list[HistoryMessage]
    next: str | None


_QUERY: Final = (
    Query("before", "a `next`, or `SENT_AT.MESSAGE_ID` of a message: those older, newest first", schema=PLACE),
    Query("after", "the same: those newer, oldest first. Not together with `before`", schema=PLACE),
    LIMIT,
)


def history_routes(store: HistoryStore, access: Access) -> list[Route]:
    async def direct(call: Call) -> HistoryPage:
        other = call.path["user_id"]
        return await _page(store, call, pair_key(call.user_id, other), other)

    async def channel(call: Call) -> HistoryPage:
        name = call.path["channel"]
        return await _page(store, call, await reading(access, call.bearer, name), name)

    return [
        Route(
            "GET",
            "/conversations/{user_id}/messages",
            direct,
            "The messages between the caller and one other user, newest first",
            HistoryPage,
            query=_QUERY,
            errors=(400,),
        ),
        Route(
            "GET",
            "/channels/{channel}/messages",
            channel,
            "The messages of a group (`group:ID`) or topic (`topic:NAME`), newest first",
            HistoryPage,
            query=_QUERY,
            errors=(400, 403, 404),
        ),
    ]


def pair_key(user_id: str, other: str) -> str:
    """Raises BadRequest."""
    try:
        return conversation_key(user_id, other)
    except BadId as error:
        raise BadRequest(f"user_id: {error}") from error


async def _page(store: HistoryStore, call: Call, conversation: str, name: str) -> HistoryPage:
    limit = limit_of(call)
    before, after = asked_place(call, "before"), asked_place(call, "after")
    if before is not None and after is not None:
        raise BadRequest("before, after: one of them")
    if after is not None:
        rows = await store.page_after(conversation, after, limit + 1)
    else:
        rows = await store.page(conversation, before, limit + 1)
    return HistoryPage([shown(row, name) for row in rows[:limit]], next_page([position(row) for row in rows], limit))
