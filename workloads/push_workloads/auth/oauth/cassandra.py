"""Identities in Cassandra.

An identity is one row under its person, taken by one conditional write. The row that leads from a user to it is written
before, and believed only when the identity has that user: what a lost race leaves behind is thereby nothing. Columns of
`identities` are only ever written conditionally.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Final

from push_workloads.auth.oauth.identities import TAKEN, Identity
from push_workloads.common.cassandra import Cassandra, Statement, Undecided
from push_workloads.common.errors import Conflict
from push_workloads.common.tasks import together

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.identities (
      provider text, subject text, user_id text, email text, founding boolean, linked_at bigint,
      PRIMARY KEY ((provider, subject))
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.identities_of_user (
      user_id text, provider text, subject text, PRIMARY KEY (user_id, provider, subject)
    )
    """,
)
_FIND: Final = """
    SELECT provider, subject, user_id, email, founding, linked_at FROM {ks}.identities
    WHERE provider = ? AND subject = ?"""
STATEMENTS: Final = {
    "identity": """
        INSERT INTO {ks}.identities (provider, subject, user_id, email, founding, linked_at)
        VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS""",
    "identity_of_user": "INSERT INTO {ks}.identities_of_user (user_id, provider, subject) VALUES (?, ?, ?)",
    "find_identity": _FIND,
    "identities": "SELECT provider, subject FROM {ks}.identities_of_user WHERE user_id = ? LIMIT 1000",
    "remove_identity": "DELETE FROM {ks}.identities WHERE provider = ? AND subject = ? IF user_id = ?",
    "forget_identity": "DELETE FROM {ks}.identities_of_user WHERE user_id = ? AND provider = ? AND subject = ?",
}
SETTLED: Final = _FIND


class CassandraIdentities:
    """Identities. `settled` reads one once every conditional write on it has come to its end."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement], settled: Statement) -> None:
        self._cassandra = cassandra
        self._statements = statements
        self._settled = settled

    async def add(self, identity: Identity) -> None:
        whose = (identity.user_id, identity.provider, identity.subject)
        await self._cassandra.write(self._statements["identity_of_user"], *whose)
        if not await self._taken(identity):
            raise Conflict(TAKEN)

    async def find(self, provider: str, subject: str) -> Identity | None:
        row = await self._cassandra.row(self._statements["find_identity"], provider, subject)
        return Identity(**row) if row else None

    async def of_user(self, user_id: str) -> list[Identity]:
        rows = await self._cassandra.rows(self._statements["identities"], user_id)
        found = await together(self.find(row["provider"], row["subject"]) for row in rows)
        return [one for one in found if one is not None and one.user_id == user_id]

    async def remove(self, identity: Identity) -> bool:
        key = (identity.provider, identity.subject)
        stands = await self._cassandra.write_if(self._statements["remove_identity"], *key, identity.user_id)
        if stands is None:
            await self._cassandra.write(self._statements["forget_identity"], identity.user_id, *key)
        return stands is None

    async def _taken(self, identity: Identity) -> bool:
        """By this very one? When the answer is lost, the store is asked what became of it."""
        try:
            return await self._cassandra.write_if(self._statements["identity"], *astuple(identity)) is None
        except Undecided:
            row = await self._cassandra.row(self._settled, identity.provider, identity.subject)
            if row is None:
                raise  # nobody has it: not added, and to be asked for again
            return Identity(**row) == identity
