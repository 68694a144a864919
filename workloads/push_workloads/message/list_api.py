"""The conversation list over HTTP."""

from __future__ import annotations

from msgspec import Struct

from push_workloads.common.http import Call, Query, Route
from push_workloads.message.paging import LIMIT, limit_of
from push_workloads.message.store import HistoryStore
from push_workloads.message.views import PLACE, HistoryMessage, asked_place, next_page, shown


class ConversationView(Struct):
    """`user_id`: with whom."""

    user_id: str
    last_message: HistoryMessage


class ConversationPage(Struct):
    """The newest last message first. `next` goes into `after` for the page that follows; null when there is none."""

    conversations: list[ConversationView]
    next: str | None


def list_route(store: HistoryStore) -> Route:
    async def conversations(call: Call) -> ConversationPage:
        limit = limit_of(call)
        lines = await store.conversations(call.user_id, asked_place(call, "after"), limit + 1)
        views = [ConversationView(line.other, shown(line.message, line.other)) for line in lines[:limit]]
        return ConversationPage(views, next_page([line.place for line in lines], limit))

    return Route(
        "GET",
        "/conversations",
        conversations,
        "The caller's conversations, the one with the newest last message first",
        ConversationPage,
        query=(Query("after", "a `next` of an earlier answer: what follows that page", schema=PLACE), LIMIT),
        errors=(400,),
    )
