"""Accounts in Cassandra: the store that replicas share.

An account is one row under its e-mail, so that one conditional write both takes the e-mail and makes the account. The
row that leads from an id to an e-mail is written before, and believed only when the account under that e-mail has that
id: what a lost race leaves behind points at somebody else's account and is thereby nothing.

Columns of `accounts` are only ever written conditionally: mixed with plain writes, the later could lose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Final

from push_workloads.auth.accounts import Account, RefreshToken
from push_workloads.auth.store import TAKEN
from push_workloads.common.cassandra import Cassandra, Row, Statement, Undecided
from push_workloads.common.cassandra_schema import Checks, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.common.errors import Conflict
from push_workloads.common.tasks import together

MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS {ks}.accounts (
      email text PRIMARY KEY, id text, name text, password_hash text, created_at bigint
    )
    """,
    "CREATE TABLE IF NOT EXISTS {ks}.account_emails (id text PRIMARY KEY, email text)",
    """
    CREATE TABLE IF NOT EXISTS {ks}.refresh_tokens (
      hash blob PRIMARY KEY, family text, user_id text, device_id text, created_at bigint, expires_at bigint
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.refresh_tokens_of_user (
      user_id text, expires_at bigint, hash blob, PRIMARY KEY (user_id, expires_at, hash)
    )
    """,
)
KEPT_LONGER_SECONDS: Final = 86_400  # than a token is good for: clocks differ, and the store's is not the judge
_STATEMENTS: Final = {
    "email": "INSERT INTO {ks}.account_emails (id, email) VALUES (?, ?)",
    "forget_email": "DELETE FROM {ks}.account_emails WHERE id = ?",
    "account": """
        INSERT INTO {ks}.accounts (id, email, name, password_hash, created_at) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS""",
    "by_email": "SELECT id, email, name, password_hash, created_at FROM {ks}.accounts WHERE email = ?",
    "by_id": "SELECT email FROM {ks}.account_emails WHERE id = ?",
    "rehash": "UPDATE {ks}.accounts SET password_hash = ? WHERE email = ? IF id = ? AND password_hash = ?",
    "token": """
        INSERT INTO {ks}.refresh_tokens (hash, family, user_id, device_id, created_at, expires_at)
        VALUES (?, ?, ?, ?, ?, ?) USING TTL ?""",
    "token_of_user": "INSERT INTO {ks}.refresh_tokens_of_user (user_id, expires_at, hash) VALUES (?, ?, ?) USING TTL ?",
    "expired": "SELECT hash FROM {ks}.refresh_tokens_of_user WHERE user_id = ? AND expires_at <= ? LIMIT 1000",
    "forget_token": "DELETE FROM {ks}.refresh_tokens WHERE hash = ?",
    "forget_expired": "DELETE FROM {ks}.refresh_tokens_of_user WHERE user_id = ? AND expires_at <= ?",
    "by_hash": """
        SELECT hash, family, user_id, device_id, created_at, expires_at FROM {ks}.refresh_tokens WHERE hash = ?""",
}
_SETTLED = "SELECT id FROM {ks}.accounts WHERE email = ?"


class CassandraAccounts:
    """An AccountStore. `settled` reads who has an e-mail once every conditional write on it has come to its end."""

    def __init__(self, cassandra: Cassandra, statements: Mapping[str, Statement], settled: Statement) -> None:
        self._cassandra = cassandra
        self._statements = statements
        self._settled = settled

    async def add(self, account: Account) -> None:
        await self._cassandra.write(self._statements["email"], account.id, account.email)
        owner = await self._take(account)
        if owner != account.id:
            await self._cassandra.write(self._statements["forget_email"], account.id)
            raise Conflict(TAKEN)

    async def by_email(self, email: str) -> Account | None:
        row = await self._cassandra.row(self._statements["by_email"], email)
        return Account(**row) if row else None

    async def by_id(self, user_id: str) -> Account | None:
        row = await self._cassandra.row(self._statements["by_id"], user_id)
        account = await self.by_email(row["email"]) if row else None
        return account if account is not None and account.id == user_id else None

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        account = await self.by_id(user_id)
        if account is not None:
            await self._cassandra.write_if(self._statements["rehash"], new, account.email, user_id, old)

    async def add_refresh_token(self, token: RefreshToken) -> None:
        """Listed under its user first: a token that is not could not be forgotten."""
        kept = max(0, token.expires_at - token.created_at) // 1000 + KEPT_LONGER_SECONDS
        listed = (token.user_id, token.expires_at, token.hash)
        await self._cassandra.write(self._statements["token_of_user"], *listed, kept)
        await self._cassandra.write(self._statements["token"], *astuple(token), kept)
        await self._forget_expired(token.user_id, token.created_at)

    async def refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        row = await self._cassandra.row(self._statements["by_hash"], token_hash)
        return RefreshToken(**row) if row else None

    async def _take(self, account: Account) -> str:
        """Who has the e-mail now. When the answer is lost, the store is asked what became of it."""
        try:
            stands = await self._cassandra.write_if(self._statements["account"], *astuple(account))
            return account.id if stands is None else stands["id"]
        except Undecided:
            row = await self._cassandra.row(self._settled, account.email)
            if row is None:
                raise  # nobody has it: not added, and to be asked for again
            return _id(row)

    async def _forget_expired(self, user_id: str, now_ms: int) -> None:
        expired = await self._cassandra.rows(self._statements["expired"], user_id, now_ms)
        if expired:
            await together(self._cassandra.write(self._statements["forget_token"], row["hash"]) for row in expired)
            await self._cassandra.write(self._statements["forget_expired"], user_id, now_ms)


def _id(row: Row) -> str:
    return str(row["id"])


@asynccontextmanager
async def cassandra_accounts(config: CassandraConfig, checks: Checks) -> AsyncIterator[CassandraAccounts]:
    """The store in that keyspace, made when it is not there; waits for Cassandra."""
    async with opened(config, "auth", MIGRATIONS, checks) as cassandra:
        statements = {name: await cassandra.prepare(text) for name, text in _STATEMENTS.items()}
        yield CassandraAccounts(cassandra, statements, await cassandra.prepare(_SETTLED, serial=True))
