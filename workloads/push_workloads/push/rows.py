"""One SQLite connection whose every write is one statement, failures as Unavailable."""

from __future__ import annotations

import sqlite3
from typing import Any

import aiosqlite

from push_workloads.common.errors import Unavailable


class Rows:
    """`what` completes "… not available now"."""

    def __init__(self, connection: aiosqlite.Connection, what: str) -> None:
        self._connection = connection
        self._what = what

    async def read(self, statement: str, *values: object) -> list[Any]:
        try:
            return [*await self._connection.execute_fetchall(statement, values)]
        except sqlite3.Error as error:
            raise self._away(error) from error

    async def write(self, statement: str, *values: object) -> int:
        """How many rows were written."""
        try:
            async with self._connection.execute(statement, values) as cursor:
                return cursor.rowcount
        except sqlite3.Error as error:
            raise self._away(error) from error

    def _away(self, error: sqlite3.Error) -> Unavailable:
        return Unavailable(f"{self._what} not available now: {type(error).__name__}", retry_after_ms=1000)
