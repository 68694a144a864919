"""Receipts over HTTP: for clients without a socket, and how far the members of a group have read."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.http import Call, Route
from push_workloads.common.subjects import BadId
from push_workloads.common.tasks import together
from push_workloads.message.access import Access
from push_workloads.message.doors import GROUP, reading
from push_workloads.message.model import CURSOR, Mark, Position, parse_cursor
from push_workloads.message.receipts.desk import ReceiptDesk
from push_workloads.message.receipts.reports import MAX_TOLD, direct, of_channel
from push_workloads.message.store import HistoryStore


class ReadUpTo(Struct):
    """`SENT_AT.MESSAGE_ID` of the last message that was read."""

    up_to: Annotated[str, Meta(pattern=rf"^{CURSOR}\Z")]


class MemberRead(Struct):
    user_id: str
    message_id: str
    sent_at: int


class ChannelReceipts(Struct):
    """How far each member has read; those who have read nothing are not in it."""

    receipts: list[MemberRead]


def receipt_routes(store: HistoryStore, access: Access, desk: ReceiptDesk) -> list[Route]:
    async def read_direct(call: Call) -> None:
        try:
            mine = direct(call.user_id, "read", call.path["user_id"])
        except BadId as error:
            raise BadRequest(f"user_id: {error}") from error
        await desk.read(mine, _up_to(call))

    async def read_channel(call: Call) -> None:
        channel = call.path["channel"]
        await reading(access, call.bearer, channel)
        await desk.read(of_channel(call.user_id, channel), _up_to(call))

    async def receipts(call: Call) -> ChannelReceipts:
        channel = call.path["channel"]
        subject = await reading(access, call.bearer, channel)
        if not channel.startswith(GROUP) or await access.members(channel) > MAX_TOLD:
            raise BadRequest(f"channel: only a group of at most {MAX_TOLD} members has receipts of each")
        marks = [mark for mark in await store.marks(subject) if mark.kind == "read"]
        # Those who left have marks too.
        there = await together(access.may_read(mark.user_id, channel) for mark in marks)
        return ChannelReceipts([_view(mark) for mark, is_member in zip(marks, there, strict=True) if is_member])

    return [
        Route(
            "PUT",
            "/conversations/{user_id}/read",
            read_direct,
            "Says how far the caller has read a direct conversation; never back",
            None,
            body=ReadUpTo,
        ),
        Route(
            "PUT",
            "/channels/{channel}/read",
            read_channel,
            "Says how far the caller has read a group or topic; never back",
            None,
            body=ReadUpTo,
            errors=(403, 404),
        ),
        Route(
            "GET",
            "/channels/{channel}/receipts",
            receipts,
            f"How far the members of a group have read; of at most {MAX_TOLD} members",
            ChannelReceipts,
            errors=(400, 403, 404),
        ),
    ]


def _up_to(call: Call) -> Position:
    asked: ReadUpTo = call.body
    return parse_cursor(asked.up_to)


def _view(mark: Mark) -> MemberRead:
    return MemberRead(mark.user_id, mark.place.message_id, mark.place.sent_at)
