"""Reading a conversation from Cassandra, in both directions: day after day, all slices of a day merged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from push_workloads.common.cassandra import Cassandra, Statement
from push_workloads.common.tasks import together
from push_workloads.message.buckets import Bucket, day_of
from push_workloads.message.model import MAX_UNREAD, OLDEST, UNREAD_READ, Message, Position, is_unread, position

DAYS_READ: Final = 100
NEWEST: Final = Position(2**62, "")
_HEAD: Final = "conversation, sent_at, message_id, sender, recipient_id, kind, ref"
_DAYS: Final = "SELECT conversation, day, slice FROM {ks}.conversation_days WHERE conversation = ?"
_OF_BUCKET: Final = "FROM {ks}.messages WHERE conversation = ? AND day = ? AND slice = ?"
_ROWS: Final = f"SELECT {_HEAD}, content {_OF_BUCKET}"
_AFTER: Final = "AND (sent_at, message_id) > (?, ?) ORDER BY sent_at ASC, message_id ASC LIMIT ?"
STATEMENTS: Final = {
    "slices": f"{_DAYS} AND day = ?",
    "days_before": f"{_DAYS} AND day <= ? LIMIT ?",
    "days_after": f"{_DAYS} AND day >= ? ORDER BY day ASC, slice DESC LIMIT ?",
    "rows_before": f"{_ROWS} AND (sent_at, message_id) < (?, ?) LIMIT ?",
    "rows_after": f"{_ROWS} {_AFTER}",
    "rows_heads": f"SELECT {_HEAD} {_OF_BUCKET} {_AFTER}",
}


class _Way(NamedTuple):
    """Which way to read: the ends of the statements' names, the next day, and whether without content."""

    name: str
    step: int
    rows: str


_BACK, _FORTH, _HEADS = _Way("before", -1, "before"), _Way("after", 1, "after"), _Way("after", 1, "heads")


class Pages:
    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement]) -> None:
        self._cassandra = cassandra
        self._statements = statements

    async def before(self, conversation: str, place: Position | None, limit: int) -> list[Message]:
        """Newest first."""
        return await self._page(_BACK, conversation, place or NEWEST, limit)

    async def after(self, conversation: str, place: Position, limit: int) -> list[Message]:
        """Oldest first."""
        return await self._page(_FORTH, conversation, place, limit)

    async def unread(self, user_id: str, conversation: str, read: Position | None) -> int:
        """A hundred at first, which is the most that most have; without the contents."""
        place, count, seen, wanted = read or OLDEST, 0, 0, MAX_UNREAD
        while count < MAX_UNREAD and seen < UNREAD_READ:
            rows = await self._page(_HEADS, conversation, place, wanted)
            count += sum(is_unread(row, user_id) for row in rows)
            if len(rows) < wanted:
                break
            place, seen, wanted = position(rows[-1]), seen + wanted, UNREAD_READ - seen - wanted
        return min(MAX_UNREAD, count)

    async def _page(self, way: _Way, conversation: str, place: Position, limit: int) -> list[Message]:
        rows: list[Message] = []
        async for days in self._days(way, conversation, day_of(place.sent_at)):
            rows += await self._first(way, days, place, limit - len(rows))
            if len(rows) >= limit:
                break
        return rows[:limit]

    async def _days(self, way: _Way, conversation: str, day: int) -> AsyncIterator[list[list[Bucket]]]:
        """The buckets from a day on, by day; the last day of each portion is whole too."""
        while True:
            rows = await self._cassandra.rows(self._statements[f"days_{way.name}"], conversation, day, DAYS_READ)
            if not rows:
                return
            days = [list(slices) for _, slices in groupby((Bucket(**row) for row in rows), lambda bucket: bucket.day)]
            if len(rows) < DAYS_READ:
                yield days
                return
            last = await self._cassandra.rows(self._statements["slices"], conversation, days[-1][0].day)
            days[-1] = [Bucket(**row) for row in last]
            yield days
            day = days[-1][0].day + way.step

    async def _first(self, way: _Way, days: Sequence[Sequence[Bucket]], place: Position, limit: int) -> list[Message]:
        """Up to `limit` of these days: one day at first, then twice as many at a time, since most pages end in the
        first day, and a conversation of one message a week should not cost a round trip for each."""
        rows: list[Message] = []
        start, width = 0, 1
        while start < len(days) and len(rows) < limit:
            buckets = [bucket for day in days[start : start + width] for bucket in day]
            parts = await together(self._rows(way, bucket, place, limit) for bucket in buckets)
            rows += sorted(distinct(row for part in parts for row in part), key=position, reverse=way is _BACK)
            start, width = start + width, width * 2
        return rows[:limit]

    async def _rows(self, way: _Way, bucket: Bucket, place: Position, limit: int) -> list[Message]:
        rows = await self._cassandra.rows(self._statements[f"rows_{way.rows}"], *bucket, *place, limit)
        return [Message(**{"content": b"", **row}) for row in rows]


def distinct(messages: Iterable[Message]) -> list[Message]:
    """One of each: a direct message is in the log twice, and a message given again may stand in two slices."""
    return list({(message.conversation, *position(message)): message for message in messages}.values())
