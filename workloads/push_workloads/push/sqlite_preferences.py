"""Preferences in SQLite: a row for each user."""

from __future__ import annotations

from typing import Final

import msgspec

from push_workloads.push.preference_store import Held
from push_workloads.push.preferences import Preferences
from push_workloads.push.rows import Rows

MIGRATIONS: Final = (
    """
    CREATE TABLE preferences (user_id TEXT PRIMARY KEY, preferences BLOB NOT NULL, version INTEGER NOT NULL)
    WITHOUT ROWID;
    """,
)
_HELD: Final = "SELECT preferences, version FROM preferences WHERE user_id = ?"
_ADD: Final = "INSERT OR IGNORE INTO preferences (user_id, preferences, version) VALUES (?, ?, 1)"
_REPLACE: Final = "UPDATE preferences SET preferences = ?, version = version + 1 WHERE user_id = ? AND version = ?"
_decoder = msgspec.json.Decoder(Preferences)


class SqlitePreferences:
    """A PreferenceStore."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def of_user(self, user_id: str) -> Preferences:
        return (await self.held(user_id)).preferences

    async def held(self, user_id: str) -> Held:
        rows = await self._rows.read(_HELD, user_id)
        return Held(_decoder.decode(rows[0][0]), rows[0][1]) if rows else Held()

    async def replace(self, user_id: str, preferences: Preferences, version: int | None) -> bool:
        value = msgspec.json.encode(preferences)
        if version is None:
            return bool(await self._rows.write(_ADD, user_id, value))
        return bool(await self._rows.write(_REPLACE, value, user_id, version))

    async def forget(self, user_id: str) -> None:
        await self._rows.write("DELETE FROM preferences WHERE user_id = ?", user_id)
