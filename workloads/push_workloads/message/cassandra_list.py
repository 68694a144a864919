"""The conversation lists in Cassandra: for each user a line for each conversation, under the day of its last message.

A line is written under the time of its message, so that the latest stays whatever the order of arrival. On another day
it is another line, and the one before is removed under the end of *its* day, so that nothing of that day brings it
back. All of this may happen twice and in any order. A line is there before the day of its conversation is listed, and
only for a listed day another line goes: what writers miss of each other is a line too many, never one too few. So a
reader believes a line only if no later day of the conversation holds a message.

What it costs: two small writes for each conversation of a batch, however many messages that has; and once a day for a
conversation a read and two removals. A partition is what one user's lines of a hundred days come to: 100,000
conversations are about 20 MB.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from push_workloads.common.cassandra import Cassandra, Statement
from push_workloads.common.tasks import together
from push_workloads.message.buckets import DAY_MS, Bucket, day_of
from push_workloads.message.cassandra_expiry import Expiry
from push_workloads.message.cassandra_pages import NEWEST, Pages
from push_workloads.message.model import (
    Latest,
    Message,
    Position,
    conversation_key,
    format_cursor,
    is_direct,
    listings,
    parse_cursor,
    position,
    sides,
)

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.conversation_lines (
      user_id text, period bigint, day bigint, other text, place text,
      PRIMARY KEY ((user_id, period), day, other)
    ) WITH CLUSTERING ORDER BY (day DESC, other ASC)
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.conversation_periods (user_id text, period bigint, PRIMARY KEY (user_id, period))
    WITH CLUSTERING ORDER BY (period DESC)
    """,
)
_LINES: Final = "SELECT day, other, place FROM {ks}.conversation_lines WHERE user_id = ? AND period = ?"
STATEMENTS: Final = {
    "period": "INSERT INTO {ks}.conversation_periods (user_id, period) VALUES (?, ?)",
    "periods": "SELECT period FROM {ks}.conversation_periods WHERE user_id = ? AND period <= ?",
    # `place` is one cell: of two messages of one moment the later stays whole, as a cell is, by its message id.
    "line": "INSERT INTO {ks}.conversation_lines (user_id, period, day, other, place) VALUES (?, ?, ?, ?, ?) "
    "USING TIMESTAMP ? AND TTL ?",
    "unline": "DELETE FROM {ks}.conversation_lines USING TIMESTAMP ? "
    "WHERE user_id = ? AND period = ? AND day = ? AND other = ?",
    "last_days": "SELECT day FROM {ks}.conversation_days WHERE conversation = ? LIMIT ?",
    "lines": f"{_LINES} AND day <= ? LIMIT ?",
    "lines_of_day": f"{_LINES} AND day = ? AND other > ? LIMIT ?",
}
PERIOD_DAYS: Final = 100
LINES_READ: Final = 1000
LAST_DAYS: Final = 20
REMEMBERED: Final = 100_000


class _Line(NamedTuple):
    day: int
    other: str
    place: Position


class ConversationList:
    """The lists as one writer writes them, and as anyone reads them."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement], pages: Pages, expiry: Expiry) -> None:
        self._cassandra = cassandra
        self._expiry = expiry
        self._statements = statements
        self._pages = pages
        self._periods: OrderedDict[tuple[str, int], None] = OrderedDict()  # that this writer has written down

    async def write(self, messages: Sequence[Message]) -> None:
        """A period is listed before it holds anything."""
        lines = list(listings(messages))
        periods = {(user_id, _period(day_of(message.sent_at))) for user_id, _, message in lines}
        fresh = periods - self._periods.keys()
        await together(self._cassandra.write(self._statements["period"], *period) for period in fresh)
        self._remember(fresh)
        await together(self._put(*line) for line in lines)

    async def settle(self, messages: Iterable[Message], fresh: Iterable[Bucket]) -> None:
        """Removes the lines of the days that are no longer the last of their conversation; `fresh` are the buckets
        that this writer has listed for these messages."""
        lowest: dict[str, int] = {}
        for bucket in fresh:
            lowest[bucket.conversation] = min(bucket.day, lowest.get(bucket.conversation, bucket.day))
        direct = filter(is_direct, messages)
        concerned = {message.conversation: message for message in direct if message.conversation in lowest}
        await together(self._settle(message, lowest[key]) for key, message in concerned.items())

    async def page(self, user_id: str, after: Position | None, limit: int) -> list[Latest]:
        after = after or NEWEST
        found: dict[str, Latest] = {}
        async for lines in self._portions(user_id, day_of(after.sent_at)):
            due = sorted((line for line in lines if line.place < after), key=lambda line: line.place, reverse=True)
            while due and len(found) < limit:
                wanted = limit - len(found)
                now, due = due[:wanted], due[wanted:]
                for latest in await together(self._latest(user_id, line) for line in now):
                    if latest is not None:
                        found.setdefault(latest.other, latest)
            if len(found) >= limit:
                break
        return list(found.values())

    async def newest(self, user_id: str, limit: int) -> dict[str, Position]:
        """With whom, and the place of the last message, of up to `limit` conversations. Lines alone are read: the one
        that is furthest of each is true, and one whose messages are no longer kept may be among them."""
        found: dict[str, Position] = {}
        async for lines in self._portions(user_id, day_of(NEWEST.sent_at)):
            for line in lines:
                found[line.other] = max(line.place, found.get(line.other, line.place))
            if len(found) >= limit:
                break
        return dict(sorted(found.items(), key=lambda one: one[1], reverse=True)[:limit])

    def _remember(self, periods: Iterable[tuple[str, int]]) -> None:
        self._periods.update(dict.fromkeys(periods))
        while len(self._periods) > REMEMBERED:
            self._periods.popitem(last=False)

    async def _put(self, user_id: str, other: str, message: Message) -> None:
        day = day_of(message.sent_at)
        place = format_cursor(position(message))
        key = (user_id, _period(day), day, other)
        ttl = self._expiry.ttl(message)
        await self._cassandra.write(self._statements["line"], *key, place, message.sent_at * 1000, ttl)

    async def _settle(self, message: Message, lowest: int) -> None:
        rows = await self._cassandra.rows(self._statements["last_days"], message.conversation, LAST_DAYS)
        days = list(dict.fromkeys(row["day"] for row in rows))
        await together(self._remove(*side, day) for day in outdated(days, lowest) for side in sides(message))

    async def _remove(self, user_id: str, other: str, day: int) -> None:
        last_moment = (day + 1) * DAY_MS * 1000 - 1
        await self._cassandra.write(self._statements["unline"], last_moment, user_id, _period(day), day, other)

    async def _portions(self, user_id: str, day: int) -> AsyncIterator[list[_Line]]:
        """The lines up to a day, newest days first, whole days in each portion."""
        for row in await self._cassandra.rows(self._statements["periods"], user_id, _period(day)):
            top = day
            while lines := await self._lines("lines", user_id, row["period"], top, LINES_READ):
                cut = len(lines) == LINES_READ
                top = lines[-1].day - 1
                while cut and (more := await self._rest_of_day(user_id, row["period"], lines[-1])):
                    lines += more
                yield lines
                if not cut:
                    break

    async def _rest_of_day(self, user_id: str, period: int, last: _Line) -> list[_Line]:
        return await self._lines("lines_of_day", user_id, period, last.day, last.other, LINES_READ)

    async def _lines(self, statement: str, *asked: object) -> list[_Line]:
        rows = await self._cassandra.rows(self._statements[statement], *asked)
        return [_Line(row["day"], row["other"], parse_cursor(row["place"])) for row in rows]

    async def _latest(self, user_id: str, line: _Line) -> Latest | None:
        """The line with its message; None when a later line stands for the conversation."""
        last = await self._pages.before(conversation_key(user_id, line.other), None, 1)
        if not last or day_of(last[0].sent_at) > line.day:
            return None
        return Latest(line.other, line.place, last[0])


def outdated(days: Sequence[int], lowest: int) -> list[int]:
    """Of a conversation's last days (newest first), whose lines go now that `lowest` and perhaps later ones are there:
    all but the newest, down to the one before `lowest`. What is below that went when it was superseded itself."""
    below = next((day for day in days if day < lowest), lowest)
    return sorted(({day for day in days if day >= below} | {lowest}) - set(days[:1]))


def _period(day: int) -> int:
    return day // PERIOD_DAYS
