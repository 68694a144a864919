"""Answers what the push service asks: has a user read this message, and how many are unread in all?

Many jobs of one user come at once, and each wants the count. Nothing is kept for later, since a count must hold the
message that it is asked for; but of those who wait while one is being made, all share the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

from push_workloads.common import questions
from push_workloads.common.questions import Unread, UnreadAsked
from push_workloads.common.subjects import channel_subject
from push_workloads.message.access import Access
from push_workloads.message.answering import Question
from push_workloads.message.doors import USER
from push_workloads.message.lines import subject_of
from push_workloads.message.model import SYSTEM, Position, conversation_key
from push_workloads.message.store import HistoryStore

COUNT_SECONDS: Final = 1.0  # of the two that the push service waits
COUNTS_AT_ONCE: Final = 8  # each may be hundreds of reads, and history has more to do


class _Lane:
    """The counts of one user, one after the other. `begun`: how many so far; `counted`: by the last of them."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.begun = 0
        self.counted: int | None = None


class Shared:
    """`make`, for each user once at a time; who asks gets what was begun after that."""

    def __init__(self, make: Callable[[str], Awaitable[int]]) -> None:
        self._make = make
        self._lanes: WeakValueDictionary[str, _Lane] = WeakValueDictionary()  # of those who are asked about now

    async def of(self, user_id: str) -> int:
        lane = self._lanes.setdefault(user_id, _Lane())
        begun_before = lane.begun
        async with lane.lock:
            if lane.counted is None or lane.begun == begun_before:
                lane.begun, lane.counted = lane.begun + 1, None  # None stays when it fails
                lane.counted = await self._make(user_id)
            return lane.counted


def unread_question(store: HistoryStore, access: Access) -> Question:

    async def count(user_id: str) -> int:
        return await store.unread_in_all(user_id, [subject_of(room) for room in await access.rooms(user_id)])

    slots = asyncio.Semaphore(COUNTS_AT_ONCE)

    async def in_turn(user_id: str) -> int:
        async with slots:
            return await count(user_id)

    counts = Shared(in_turn)

    async def unread(asked: UnreadAsked) -> Unread:
        read = await _is_read(store, asked)
        return Unread(read, await _in_time(counts.of(asked.user_id)) if asked.counted else None)

    return Question(questions.UNREAD, UnreadAsked, unread)


async def _in_time(counting: Awaitable[int]) -> int | None:
    """Whoever asked needs to know what was read: that does not wait for a count for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(COUNT_SECONDS):
            return await counting
    return None


async def _is_read(store: HistoryStore, asked: UnreadAsked) -> bool:
    """Whoever is added to a group is marked to have read it up to the very change that says so, since what was there
    before is not unread: that alone is no reading of the change."""
    place = Position(asked.sent_at, asked.message_id)
    marks = await store.marks(key_of(asked.user_id, asked.conversation), asked.user_id)
    read = next((mark.place for mark in marks if mark.kind == "read"), None)
    if read is None or read != place:
        return read is not None and read > place
    row = await store.message(asked.message_id)
    return row is None or row.kind != SYSTEM


def key_of(user_id: str, conversation: str) -> str:
    """What history calls the conversation that is `user:<other user>`, `group:<id>` or `topic:<name>` to a user.
    Raises BadId."""
    if conversation.startswith(USER):
        return conversation_key(user_id, conversation.removeprefix(USER))
    return channel_subject(conversation)
