"""`GET /trace/{message_id}`: this service's part of a message's way, for those who run the platform."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from push_workloads.common.errors import BadRequest, NotFound, Unavailable
from push_workloads.common.http import Call, Query, Route, service_only
from push_workloads.common.subjects import BadId, channel_name, identifier, token
from push_workloads.common.tasks import together
from push_workloads.message.groups.store import GroupStore
from push_workloads.message.known import HistoryLag
from push_workloads.message.log import Found
from push_workloads.message.model import Message, is_direct, is_message_id
from push_workloads.message.paging import LIMIT, limit_of
from push_workloads.message.store import HistoryStore
from push_workloads.message.trace import (
    Copy,
    Recipient,
    Trace,
    Whose,
    copies,
    direct_recipients,
    recipient,
    trace_id,
    traced,
    via_of,
)

LOOK_SECONDS: Final = 5.0  # for a copy in the log
CLOCKS_SECONDS: Final = 10.0  # by which the clock of who sent it may be ahead of the log's
BEHIND_SECONDS: Final = 1.0
_GROUP: Final = "g."
_AFTER: Final = Query("after", "a `next` of an earlier answer: the recipients that follow that page")


class Log(Protocol):
    """Each method raises Unavailable."""

    def epoch(self, channel: str) -> str: ...

    async def find(self, channel: str, message_id: str, since: float) -> Found | None: ...


class _Page(NamedTuple):
    members: int | None
    user_ids: Sequence[str]
    next: str | None


class Ways:
    """Finds messages in history at once, and their copies in the log as soon as `open` has given it that."""

    def __init__(self, store: HistoryStore, groups: GroupStore, shards: int) -> None:
        self._store = store
        self._groups = groups
        self._shards = shards
        self._log: Log | None = None
        self._lag: HistoryLag | None = None

    def open(self, log: Log, lag: HistoryLag) -> None:
        self._log, self._lag = log, lag

    async def trace(self, message_id: str, after: str, limit: int) -> Trace:
        """Raises NotFound, Unavailable."""
        row = await self._store.message(message_id)
        if row is None:
            raise NotFound(await self._why_not(message_id))
        page = await self._page(row, after, limit)
        found = await self._copies(row) if not after else None
        recipients = await together(self._recipient(row, user_id) for user_id in page.user_ids)
        places, copied = found if found is not None else (None, [])
        spans, via = trace_id(one.traceparent for one in copied), via_of(one.via for one in copied)
        return Trace(traced(row), via, places, spans, page.members, recipients, page.next)

    async def _why_not(self, message_id: str) -> str:
        words = f"history has no message {message_id}: the id is wrong, or it is older than history is kept"
        try:
            lags = [await self._lag.seconds(shard) for shard in range(self._shards)] if self._lag is not None else [0.0]
        except Unavailable:
            return f"{words}, or it is not written yet: the bus does not answer"
        late = max(lags)
        return f"{words}, or not written yet: history is {late:.0f} s behind" if late > BEHIND_SECONDS else words

    async def _page(self, row: Message, after: str, limit: int) -> _Page:
        if is_direct(row):
            return _Page(None, direct_recipients(row), None)
        if not row.conversation.startswith(_GROUP):
            return _Page(None, [], None)
        group_id = identifier(row.conversation.removeprefix(_GROUP))
        group = await self._groups.group(group_id)
        found = [one.user_id for one in await self._groups.members(group_id, after, limit + 1)]
        following = found[limit - 1] if len(found) > limit else None
        count = group.members if group is not None and not group.deleted else 0
        return _Page(count, [user_id for user_id in found[:limit] if user_id != row.sender], following)

    async def _recipient(self, row: Message, user_id: str) -> Recipient:
        return recipient(row, user_id, await self._store.marks(row.conversation, user_id))

    async def _copies(self, row: Message) -> tuple[list[Copy], list[Found]] | None:
        """And those of them that are there. None when the log does not answer."""
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                made = await together(self._copy(row, channel, whose) for channel, whose in copies(row))
        except (Unavailable, TimeoutError):
            return None
        return [copy for copy, _ in made], [found for _, found in made if found is not None]

    async def _copy(self, row: Message, channel: str, whose: Whose) -> tuple[Copy, Found | None]:
        if self._log is None:
            raise Unavailable("the log is away")
        place = Copy(channel_name(channel), whose, self._log.epoch(channel))
        found = await self._log.find(channel, row.message_id, row.sent_at / 1000 - CLOCKS_SECONDS)
        if found is not None:
            place.seq, place.stored_at = found.seq, round(found.stored_at * 1000)
        return place, found


def trace_route(ways: Ways) -> Route:
    async def trace(call: Call) -> Trace:
        service_only(call)
        message_id = call.path["message_id"]
        if not is_message_id(message_id):
            raise BadRequest("message_id: the id of a message")
        return await ways.trace(message_id, _after(call), limit_of(call))

    return Route(
        "GET",
        "/trace/{message_id}",
        trace,
        "Where a message is kept, and how far its recipients have come; without what it says",
        Trace,
        query=(_AFTER, LIMIT),
        errors=(400, 403, 404),
        scope="push",
    )


def _after(call: Call) -> str:
    after = call.query.get("after", "")
    try:
        if after:
            token(after)
    except BadId as error:
        raise BadRequest(f"after: the `next` of an earlier answer: {error}") from error
    return after
