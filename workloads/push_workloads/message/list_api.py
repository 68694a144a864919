"""The conversation list over HTTP: direct conversations and groups, with what is unread in each."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from push_workloads.common.http import Call, Query, Route
from push_workloads.common.subjects import group
from push_workloads.common.tasks import together
from push_workloads.message.access import Access
from push_workloads.message.lines import Line, merged, subject_of
from push_workloads.message.model import MarkKind, Position
from push_workloads.message.paging import LIMIT, limit_of
from push_workloads.message.store import HistoryStore
from push_workloads.message.views import PLACE, HistoryMessage, Place, asked_place, next_page, shown, shown_place

AFTER: Final = Query("after", "a `next` of an earlier answer: what follows that page", schema=PLACE)


class ConversationView(Struct, omit_defaults=True):
    """`user_id`: with whom; or `channel` and its `name`. `unread`: messages of others of kind `text` after `read`, how
    far the caller has read; 100 means 100 or more. `their_read`, `their_delivered`: how far the other user has."""

    unread: int
    user_id: str | None = None
    channel: str | None = None
    name: str | None = None
    last_message: HistoryMessage | None = None
    read: Place | None = None
    their_read: Place | None = None
    their_delivered: Place | None = None


class ConversationPage(Struct):
    """The newest last message first. `next` goes into `after` for the page that follows; null when there is none."""

    conversations: list[ConversationView]
    next: str | None


def list_route(store: HistoryStore, access: Access) -> Route:
    async def conversations(call: Call) -> ConversationPage:
        limit, after = limit_of(call), asked_place(call, "after")
        rooms = await access.rooms(call.user_id)
        last = await store.latest([subject_of(room) for room in rooms])
        direct = await store.conversations(call.user_id, after, limit + 1)
        lines = merged(call.user_id, direct, rooms, last, after, limit + 1)
        views = await together(_view(store, call.user_id, line) for line in lines[:limit])
        return ConversationPage(views, next_page([line.place for line in lines], limit))

    return Route(
        "GET",
        "/conversations",
        conversations,
        "The caller's conversations and groups, the one with the newest last message first",
        ConversationPage,
        query=(AFTER, LIMIT),
        errors=(400,),
    )


async def _view(store: HistoryStore, user_id: str, line: Line) -> ConversationView:
    # Of a group only the caller's own marks: each member has one.
    found = await store.marks(line.conversation, user_id if line.room is not None else None)
    places: dict[tuple[str, MarkKind], Position] = {(mark.user_id, mark.kind): mark.place for mark in found}
    read = places.get((user_id, "read"))
    view = ConversationView(await store.unread(user_id, line.conversation, read), read=shown_place(read))
    if line.room is not None:
        view.channel, view.name = group(line.room.group_id), line.room.name
    elif line.other is not None:
        view.user_id = line.other
    if line.other is not None and line.other != user_id:
        view.their_read = shown_place(places.get((line.other, "read")))
        view.their_delivered = shown_place(places.get((line.other, "delivered")))
    if line.message is not None:
        view.last_message = shown(line.message, view.channel or view.user_id or "")
    return view
