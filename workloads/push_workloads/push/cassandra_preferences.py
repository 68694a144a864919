"""Preferences in Cassandra: a row for each user, only ever written conditionally."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from push_workloads.common.cassandra import Cassandra, Statement, Undecided
from push_workloads.push.preference_store import Held
from push_workloads.push.preferences import Preferences

MIGRATIONS: Final = (
    "CREATE TABLE IF NOT EXISTS {ks}.preferences (user_id text PRIMARY KEY, preferences blob, version int)",
)
STATEMENTS: Final = {
    "held": "SELECT preferences, version FROM {ks}.preferences WHERE user_id = ?",
    "replace": "UPDATE {ks}.preferences SET preferences = ?, version = ? WHERE user_id = ? IF version = ?",
    "forget": "DELETE FROM {ks}.preferences WHERE user_id = ? IF EXISTS",
}
_decoder = msgspec.json.Decoder(Preferences)


class CassandraPreferences:
    """A PreferenceStore."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement]) -> None:
        self._cassandra = cassandra
        self._statements = statements

    async def of_user(self, user_id: str) -> Preferences:
        return (await self.held(user_id)).preferences

    async def held(self, user_id: str) -> Held:
        row = await self._cassandra.row(self._statements["held"], user_id)
        return Held(_decoder.decode(row["preferences"]), row["version"]) if row is not None else Held()

    async def replace(self, user_id: str, preferences: Preferences, version: int | None) -> bool:
        values = (msgspec.json.encode(preferences), (version or 0) + 1, user_id, version)
        try:
            return await self._cassandra.write_if(self._statements["replace"], *values) is None
        except Undecided:
            return False  # the change is made anew, from what there is then

    async def forget(self, user_id: str) -> None:
        await self._cassandra.write_if(self._statements["forget"], user_id)
