"""Accounts in one SQLite file: the embedded store. Every write is one statement, so the connection autocommits."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Final

import aiosqlite
import msgspec

from push_workloads.auth.accounts import Account
from push_workloads.auth.logins import Login
from push_workloads.auth.oauth.sqlite import MIGRATION as IDENTITIES
from push_workloads.auth.oauth.sqlite import SqliteIdentities
from push_workloads.auth.store import TAKEN
from push_workloads.common.credentials import Credential
from push_workloads.common.errors import Conflict, Unavailable
from push_workloads.common.revocations import Revocation
from push_workloads.common.sqlite import opened

MIGRATIONS: Final = (
    """
    CREATE TABLE accounts (
      id TEXT PRIMARY KEY,
      email TEXT NOT NULL UNIQUE,
      name TEXT,
      password_hash TEXT NOT NULL,
      created_at INTEGER NOT NULL
    );
    CREATE TABLE refresh_tokens (
      hash BLOB PRIMARY KEY,
      family TEXT NOT NULL,
      user_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
      device_id TEXT,
      created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL
    );
    CREATE INDEX refresh_tokens_of_user ON refresh_tokens (user_id, expires_at);
    CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family);
    """,
    """
    DROP TABLE refresh_tokens;
    CREATE TABLE logins (
      user_id TEXT NOT NULL,
      id TEXT NOT NULL,
      device TEXT NOT NULL,
      address TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      seen_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      generation INTEGER NOT NULL,
      salt BLOB NOT NULL,
      PRIMARY KEY (user_id, id)
    ) WITHOUT ROWID;
    CREATE INDEX logins_by_end ON logins (expires_at);
    CREATE TABLE revocations (
      user_id TEXT NOT NULL,
      session_id TEXT,
      until INTEGER NOT NULL,
      before INTEGER NOT NULL
    );
    CREATE INDEX revocations_by_end ON revocations (until);
    """,
    """
    CREATE TABLE service_credentials (
      id TEXT PRIMARY KEY,
      name TEXT NOT NULL,
      scopes TEXT NOT NULL,
      digest BLOB NOT NULL,
      created_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE erasures (user_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    """,
    IDENTITIES,
)
_ACCOUNT = "SELECT id, email, name, password_hash, created_at FROM accounts WHERE"
_REHASH = "UPDATE accounts SET password_hash = ? WHERE id = ? AND password_hash = ? RETURNING id"
_LOGIN = "SELECT user_id, id, device, address, created_at, seen_at, expires_at, generation, salt FROM logins WHERE"
_RENEW = """
    UPDATE logins SET device = ?, address = ?, created_at = ?, seen_at = ?, expires_at = ?, generation = ?, salt = ?
    WHERE user_id = ? AND id = ? AND generation = ? RETURNING id
"""


class SqliteAccounts:
    """An AccountStore."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.identities = SqliteIdentities(self._run)

    async def add(self, account: Account) -> None:
        try:
            await self._run("INSERT INTO accounts VALUES (?, ?, ?, ?, ?)", *astuple(account))
        except sqlite3.IntegrityError as error:
            raise Conflict(TAKEN) from error

    async def by_email(self, email: str) -> Account | None:
        return await self._account(f"{_ACCOUNT} email = ?", email)

    async def by_id(self, user_id: str) -> Account | None:
        return await self._account(f"{_ACCOUNT} id = ?", user_id)

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> bool:
        return bool(await self._run(_REHASH, new, user_id, old))

    async def remove(self, account: Account) -> None:
        await self._run("DELETE FROM accounts WHERE id = ?", account.id)

    async def add_login(self, login: Login) -> None:
        await self._run("INSERT INTO logins VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *astuple(login))
        await self._run("DELETE FROM logins WHERE expires_at <= ?", login.created_at)

    async def login(self, user_id: str, login_id: str) -> Login | None:
        rows = await self._run(f"{_LOGIN} user_id = ? AND id = ?", user_id, login_id)
        return Login(*rows[0]) if rows else None

    async def logins(self, user_id: str, now_ms: int) -> list[Login]:
        rows = await self._run(f"{_LOGIN} user_id = ? AND expires_at > ?", user_id, now_ms)
        return [Login(*row) for row in rows]

    async def renew(self, login: Login, generation: int) -> bool:
        user_id, login_id, *others = astuple(login)
        return bool(await self._run(_RENEW, *others, user_id, login_id, generation))

    async def end_login(self, user_id: str, login_id: str) -> None:
        await self._run("DELETE FROM logins WHERE user_id = ? AND id = ?", user_id, login_id)

    async def revoke(self, revocation: Revocation) -> None:
        await self._run("INSERT INTO revocations VALUES (?, ?, ?, ?)", *msgspec.structs.astuple(revocation))

    async def revocations(self, now: int) -> list[Revocation]:
        await self._run("DELETE FROM revocations WHERE until <= ?", now)
        rows = await self._run("SELECT user_id, session_id, until, before FROM revocations")
        return [Revocation(*row) for row in rows]

    async def add_credential(self, credential: Credential) -> None:
        one = credential
        values = (one.id, one.name, ",".join(one.scopes), one.digest, one.created_at)
        await self._run("INSERT INTO service_credentials VALUES (?, ?, ?, ?, ?)", *values)

    async def credentials(self) -> list[Credential]:
        rows = await self._run("SELECT id, name, scopes, digest, created_at FROM service_credentials")
        return [Credential(key, name, tuple(scopes.split(",")), *rest) for key, name, scopes, *rest in rows]

    async def remove_credential(self, credential_id: str) -> bool:
        return bool(await self._run("DELETE FROM service_credentials WHERE id = ? RETURNING id", credential_id))

    async def erase(self, user_id: str, at: int) -> None:
        await self._run("INSERT OR REPLACE INTO erasures VALUES (?, ?)", user_id, at)

    async def erased(self, since: int) -> dict[str, int]:
        await self._run("DELETE FROM erasures WHERE at < ?", since)
        rows = await self._run("SELECT user_id, at FROM erasures")
        return {str(user_id): int(at) for user_id, at in rows}

    async def _account(self, query: str, value: str) -> Account | None:
        rows = await self._run(query, value)
        return Account(*rows[0]) if rows else None

    async def _run(self, statement: str, *values: object) -> list[sqlite3.Row]:
        try:
            return list(await self._connection.execute_fetchall(statement, values))
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise Unavailable("accounts are not available now; try again", retry_after_ms=1000) from error


@asynccontextmanager
async def sqlite_accounts(path: str) -> AsyncIterator[SqliteAccounts]:
    """The store in the file at `path`, made when it is not there."""
    async with opened(path, MIGRATIONS, autocommit=True) as connection:
        yield SqliteAccounts(connection)
