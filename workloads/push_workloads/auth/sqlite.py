"""Accounts in one SQLite file: the embedded store. Every write is one statement, so the connection autocommits."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Final

import aiosqlite

from push_workloads.auth.accounts import Account, RefreshToken
from push_workloads.auth.store import TAKEN
from push_workloads.common.errors import Conflict, Unavailable
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
)
_ACCOUNT = "SELECT id, email, name, password_hash, created_at FROM accounts WHERE"
_TOKEN = "SELECT hash, family, user_id, device_id, created_at, expires_at FROM refresh_tokens WHERE hash = ?"  # noqa: S105 - a statement


class SqliteAccounts:
    """An AccountStore."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def add(self, account: Account) -> None:
        try:
            await self._run("INSERT INTO accounts VALUES (?, ?, ?, ?, ?)", *astuple(account))
        except sqlite3.IntegrityError as error:
            raise Conflict(TAKEN) from error

    async def by_email(self, email: str) -> Account | None:
        return await self._account(f"{_ACCOUNT} email = ?", email)

    async def by_id(self, user_id: str) -> Account | None:
        return await self._account(f"{_ACCOUNT} id = ?", user_id)

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        await self._run("UPDATE accounts SET password_hash = ? WHERE id = ? AND password_hash = ?", new, user_id, old)

    async def add_refresh_token(self, token: RefreshToken) -> None:
        await self._run("INSERT INTO refresh_tokens VALUES (?, ?, ?, ?, ?, ?)", *astuple(token))
        await self._run(
            "DELETE FROM refresh_tokens WHERE user_id = ? AND expires_at <= ?", token.user_id, token.created_at
        )

    async def refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        rows = await self._run(_TOKEN, token_hash)
        return RefreshToken(*rows[0]) if rows else None

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
