"""SQLite files as the embedded store: opened durable, migrated step by step, each step once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiosqlite

BUSY_MS: Final = 5000


@asynccontextmanager
async def opened(
    path: str, migrations: Sequence[str], *, autocommit: bool = False
) -> AsyncIterator[aiosqlite.Connection]:
    """A connection to the file at `path` (made when absent), with every migration applied.

    WAL lets readers go on beside the one writer; FULL makes a commit survive a power loss. A process that is killed
    between two migrations continues with the second: the step and its number are one transaction.

    `autocommit`: each statement is a transaction. For stores whose every write is one statement, this is what keeps
    callers on the same connection apart: no rollback of one can take an unfinished write of another with it.
    """
    _private_file(Path(path))
    async with aiosqlite.connect(path, isolation_level=None if autocommit else "DEFERRED") as connection:
        await connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        await connection.execute("PRAGMA foreign_keys = ON")
        await _migrate(connection, migrations)
        yield connection


def _private_file(file: Path) -> None:
    """Password hashes and device tokens: nobody else's to read. SQLite's files beside it take over its mode."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)


async def _migrate(connection: aiosqlite.Connection, migrations: Sequence[str]) -> None:
    for number, script in enumerate(migrations, start=1):
        # IMMEDIATE: of two processes that start together one migrates, the other then finds it done.
        await connection.execute("BEGIN IMMEDIATE")
        row = await (await connection.execute("PRAGMA user_version")).fetchone()
        if row is not None and row[0] < number:
            for statement in filter(str.strip, script.split(";")):
                await connection.execute(statement)
            await connection.execute(f"PRAGMA user_version = {number}")
        await connection.commit()
