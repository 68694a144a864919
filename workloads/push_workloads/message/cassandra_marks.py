"""How far users have come in their conversations, in Cassandra.

A mark is one cell, written under the time of its message: of two writes the later message stays, whatever the order of
arrival, and of one moment the greater message id, as a cell is compared by its value. So it is a compare-and-max
without a conditional write.

What a user has read is written a second time, under the user, so that one read tells it of a hundred conversations.
What an older version wrote is in the first place alone, and looked for there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from push_workloads.common.cassandra import Cassandra, Row, Statement
from push_workloads.common.tasks import together
from push_workloads.message.model import MAX_MARKS, Mark, MarkKind, Position, format_cursor, furthest, parse_cursor

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.conversation_marks (
      conversation text, user_id text, kind text, place text, PRIMARY KEY (conversation, user_id, kind)
    )
    """,
)
# Of a later version: they come after all that was there before.
LATER_MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.reads_of_user (
      user_id text, conversation text, place text, PRIMARY KEY (user_id, conversation)
    )
    """,
)
_MARKS: Final = "SELECT user_id, conversation, kind, place FROM {ks}.conversation_marks WHERE conversation = ?"
STATEMENTS: Final = {
    "mark": "INSERT INTO {ks}.conversation_marks (conversation, user_id, kind, place) VALUES (?, ?, ?, ?) "
    "USING TIMESTAMP ?",
    "read": "INSERT INTO {ks}.reads_of_user (user_id, conversation, place) VALUES (?, ?, ?) USING TIMESTAMP ?",
    "reads": "SELECT conversation, place FROM {ks}.reads_of_user WHERE user_id = ? AND conversation IN ?",
    "marks": f"{_MARKS} LIMIT ?",
    "marks_of_user": f"{_MARKS} AND user_id = ?",
    "one_mark": f"{_MARKS} AND user_id = ? AND kind = ?",
}


class Marks:
    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement]) -> None:
        self._cassandra = cassandra
        self._statements = statements

    async def advance(self, marks: Sequence[Mark]) -> list[Mark]:
        """Read first: most of what is reported again has not moved, and needs no write."""
        wanted = furthest(marks)
        held = await together(self.one(mark.conversation, mark.user_id, mark.kind) for mark in wanted)
        moved = [mark for mark, was in zip(wanted, held, strict=True) if was is None or was < mark.place]
        await together(self.write(mark) for mark in moved)
        return moved

    async def of(self, conversation: str, user_id: str | None) -> list[Mark]:
        if user_id is None:
            rows = await self._cassandra.rows(self._statements["marks"], conversation, MAX_MARKS)
        else:
            rows = await self._cassandra.rows(self._statements["marks_of_user"], conversation, user_id)
        return [_mark(row) for row in rows]

    async def reads(self, user_id: str, conversations: Sequence[str]) -> dict[str, Position]:
        """How far the user has read each that was read at all."""
        rows = await self._cassandra.rows(self._statements["reads"], user_id, list(conversations))
        found = {row["conversation"]: parse_cursor(row["place"]) for row in rows}
        lacking = [one for one in conversations if one not in found]
        older = await together(self.one(one, user_id, "read") for one in lacking)
        return found | {key: place for key, place in zip(lacking, older, strict=True) if place is not None}

    async def one(self, conversation: str, user_id: str, kind: MarkKind) -> Position | None:
        row = await self._cassandra.row(self._statements["one_mark"], conversation, user_id, kind)
        return _mark(row).place if row else None

    async def write(self, mark: Mark) -> None:
        """Whatever is there: what is further stays."""
        place, stamp = format_cursor(mark.place), mark.place.sent_at * 1000
        if mark.kind == "read":  # first: it is the second that says that this has not to be written again
            await self._do("read", mark.user_id, mark.conversation, place, stamp)
        await self._do("mark", mark.conversation, mark.user_id, mark.kind, place, stamp)

    async def _do(self, statement: str, *values: object) -> None:
        await self._cassandra.write(self._statements[statement], *values)


def _mark(row: Row) -> Mark:
    return Mark(row["user_id"], row["conversation"], row["kind"], parse_cursor(row["place"]))
