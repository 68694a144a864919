"""Groups in one SQLite file: the embedded store. Every write is one statement, so the connection autocommits."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiosqlite

from push_workloads.common.errors import Unavailable
from push_workloads.common.sqlite import opened
from push_workloads.message.groups.rules import Group, Member

MIGRATIONS: Final = (
    """
    CREATE TABLE groups (
      group_id TEXT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, members INTEGER NOT NULL,
      created_by TEXT NOT NULL, created_at INTEGER NOT NULL, version INTEGER NOT NULL, deleted INTEGER NOT NULL,
      pending BLOB
    ) WITHOUT ROWID;
    CREATE INDEX groups_unsettled ON groups (group_id) WHERE pending IS NOT NULL;
    CREATE TABLE members (
      group_id TEXT NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
      PRIMARY KEY (group_id, user_id)
    ) WITHOUT ROWID;
    CREATE INDEX members_by_user ON members (user_id, group_id);
    CREATE TABLE blocks (user_id TEXT NOT NULL, other TEXT NOT NULL, PRIMARY KEY (user_id, other)) WITHOUT ROWID;
    CREATE TABLE policies (prefix TEXT PRIMARY KEY, policy BLOB NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE privacy (user_id TEXT PRIMARY KEY, visible_to TEXT NOT NULL) WITHOUT ROWID;
    """,
)
_GROUP: Final = "group_id, name, owner, members, created_by, created_at, version, deleted, pending"
_MEMBER: Final = "group_id, user_id, role, epoch, seq"
_OF_USER: Final = """
SELECT m.group_id, m.user_id, m.role, m.epoch, m.seq,
  g.group_id, g.name, g.owner, g.members, g.created_by, g.created_at, g.version, g.deleted, g.pending
FROM members AS m JOIN groups AS g USING (group_id) WHERE m.user_id = ? AND NOT g.deleted ORDER BY m.group_id LIMIT ?
"""
_REPLACE: Final = """
UPDATE groups SET name = ?, owner = ?, members = ?, deleted = ?, pending = ?, version = version + 1
WHERE group_id = ? AND version = ?
"""


# Each looks the others up by a key, however many rows the table has.
_SHARING: Final = """
SELECT o.value FROM json_each(?) AS o WHERE EXISTS (
  SELECT 1 FROM members AS mine CROSS JOIN members AS theirs
  WHERE mine.user_id = ? AND theirs.group_id = mine.group_id AND theirs.user_id = o.value
)
"""
_VISIBILITIES: Final = "SELECT p.user_id, p.visible_to FROM json_each(?) AS o JOIN privacy AS p ON p.user_id = o.value"


class SqliteGroups:
    """A GroupStore."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def group(self, group_id: str) -> Group | None:
        rows = await self._read(f"SELECT {_GROUP} FROM groups WHERE group_id = ?", group_id)  # noqa: S608 - a constant
        return _group(rows[0]) if rows else None

    async def create(self, group: Group) -> bool:
        return bool(await self._write("INSERT OR IGNORE INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *group))

    async def replace(self, group: Group) -> bool:
        written = (group.name, group.owner, group.members, group.deleted, group.pending)
        return bool(await self._write(_REPLACE, *written, group.group_id, group.version))

    async def unsettled(self, limit: int) -> list[str]:
        rows = await self._read("SELECT group_id FROM groups WHERE pending IS NOT NULL LIMIT ?", limit)
        return [row[0] for row in rows]

    async def settled(self, group_id: str) -> None:
        return None  # its row says it

    async def put_members(self, members: Sequence[Member], version: int) -> None:
        await self._write_many("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)", members)

    async def remove_members(self, group_id: str, user_ids: Sequence[str], version: int) -> None:
        pairs = [(group_id, user_id) for user_id in user_ids]
        await self._write_many("DELETE FROM members WHERE group_id = ? AND user_id = ?", pairs)

    async def member(self, group_id: str, user_id: str) -> Member | None:
        query = f"SELECT {_MEMBER} FROM members WHERE group_id = ? AND user_id = ?"  # noqa: S608 - a constant
        rows = await self._read(query, group_id, user_id)
        return Member(*rows[0]) if rows else None

    async def members(self, group_id: str, after: str, limit: int) -> list[Member]:
        query = (
            f"SELECT {_MEMBER} FROM members WHERE group_id = ? AND user_id > ? "  # noqa: S608 - a constant
            "ORDER BY user_id LIMIT ?"
        )
        return [Member(*row) for row in await self._read(query, group_id, after, limit)]

    async def memberships(self, user_id: str, limit: int) -> list[tuple[Member, Group]]:
        width = len(Member._fields)
        rows = await self._read(_OF_USER, user_id, limit)
        return [(Member(*row[:width]), _group(row[width:])) for row in map(tuple, rows)]

    async def blocks(self, user_id: str, limit: int) -> list[str]:
        query = "SELECT other FROM blocks WHERE user_id = ? ORDER BY other LIMIT ?"
        return [row[0] for row in await self._read(query, user_id, limit)]

    async def blocks_one(self, user_id: str, other: str) -> bool:
        return bool(await self._read("SELECT 1 FROM blocks WHERE user_id = ? AND other = ?", user_id, other))

    async def blockers(self, user_ids: Sequence[str], other: str) -> set[str]:
        query = "SELECT user_id FROM json_each(?) JOIN blocks ON user_id = value WHERE other = ?"
        return {row[0] for row in await self._read(query, json.dumps(list(user_ids)), other)}

    async def block(self, user_id: str, other: str) -> None:
        await self._write("INSERT OR IGNORE INTO blocks VALUES (?, ?)", user_id, other)

    async def unblock(self, user_id: str, other: str) -> None:
        await self._write("DELETE FROM blocks WHERE user_id = ? AND other = ?", user_id, other)

    async def sharing(self, user_id: str, others: Sequence[str]) -> set[str]:
        return {row[0] for row in await self._read(_SHARING, json.dumps(list(others)), user_id)}

    async def visibilities(self, user_ids: Sequence[str]) -> dict[str, str]:
        return dict(map(tuple, await self._read(_VISIBILITIES, json.dumps(list(user_ids)))))

    async def put_visibility(self, user_id: str, visible_to: str) -> None:
        await self._write("INSERT OR REPLACE INTO privacy VALUES (?, ?)", user_id, visible_to)

    async def forget(self, user_id: str) -> None:
        await self._write("DELETE FROM privacy WHERE user_id = ?", user_id)
        await self._write("DELETE FROM blocks WHERE user_id = ?", user_id)

    async def policies(self) -> dict[str, bytes]:
        return dict(map(tuple, await self._read("SELECT prefix, policy FROM policies")))

    async def put_policy(self, prefix: str, policy: bytes) -> None:
        await self._write("INSERT OR REPLACE INTO policies VALUES (?, ?)", prefix, policy)

    async def remove_policy(self, prefix: str) -> None:
        await self._write("DELETE FROM policies WHERE prefix = ?", prefix)

    async def _write(self, statement: str, *values: object) -> int:
        """How many rows were written."""
        try:
            async with self._connection.execute(statement, values) as cursor:
                return cursor.rowcount
        except sqlite3.Error as error:
            raise _away(error) from error

    async def _write_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        try:
            await self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise _away(error) from error

    async def _read(self, query: str, *values: object) -> list[sqlite3.Row]:
        try:
            return list(await self._connection.execute_fetchall(query, values))
        except sqlite3.Error as error:
            raise _away(error) from error


def _group(row: Sequence[Any]) -> Group:
    made = Group(*row)
    return made._replace(deleted=bool(made.deleted))


def _away(error: sqlite3.Error) -> Unavailable:
    return Unavailable(f"groups are not available now: {type(error).__name__}", retry_after_ms=1000)


@asynccontextmanager
async def sqlite_groups(path: str) -> AsyncIterator[SqliteGroups]:
    """The store in the file at `path`, made when it is not there."""
    async with opened(path, MIGRATIONS, autocommit=True) as connection:
        yield SqliteGroups(connection)
