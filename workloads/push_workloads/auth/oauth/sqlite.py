"""Identities in the accounts' SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import astuple
from typing import Final

from push_workloads.auth.oauth.identities import TAKEN, Identity
from push_workloads.common.errors import Conflict

MIGRATION: Final = """
    CREATE TABLE identities (
      provider TEXT NOT NULL,
      subject TEXT NOT NULL,
      user_id TEXT NOT NULL,
      email TEXT,
      founding INTEGER NOT NULL,
      linked_at INTEGER NOT NULL,
      PRIMARY KEY (provider, subject)
    ) WITHOUT ROWID;
    CREATE INDEX identities_of_user ON identities (user_id);
    """
_IDENTITY: Final = "SELECT provider, subject, user_id, email, founding, linked_at FROM identities WHERE"
_REMOVE: Final = "DELETE FROM identities WHERE provider = ? AND subject = ? AND user_id = ? RETURNING subject"
Run = Callable[..., Awaitable[list[sqlite3.Row]]]
"""A statement and its values; raises Unavailable, and IntegrityError as it is"""


class SqliteIdentities:
    """Identities."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def add(self, identity: Identity) -> None:
        try:
            await self._run("INSERT INTO identities VALUES (?, ?, ?, ?, ?, ?)", *astuple(identity))
        except sqlite3.IntegrityError as error:
            raise Conflict(TAKEN) from error

    async def find(self, provider: str, subject: str) -> Identity | None:
        rows = await self._run(f"{_IDENTITY} provider = ? AND subject = ?", provider, subject)
        return _identity(rows[0]) if rows else None

    async def of_user(self, user_id: str) -> list[Identity]:
        return [_identity(row) for row in await self._run(f"{_IDENTITY} user_id = ?", user_id)]

    async def remove(self, identity: Identity) -> bool:
        return bool(await self._run(_REMOVE, identity.provider, identity.subject, identity.user_id))


def _identity(row: sqlite3.Row) -> Identity:
    provider, subject, user_id, email, founding, linked_at = row
    return Identity(provider, subject, user_id, email, bool(founding), linked_at)
