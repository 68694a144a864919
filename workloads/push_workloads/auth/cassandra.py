"""Accounts in Cassandra: the store that replicas share.

An account is one row under its e-mail, so that one conditional write both takes the e-mail and makes the account. The
row that leads from an id to an e-mail is written before, and believed only when the account under that e-mail has that
id: what a lost race leaves behind points at somebody else's account and is thereby nothing.

Columns of `accounts` are only ever written conditionally: mixed with plain writes, the later could lose.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Final

from push_workloads.auth.accounts import Account
from push_workloads.auth.logins import Login
from push_workloads.auth.oauth import cassandra as identities
from push_workloads.auth.oauth.identities import Identities
from push_workloads.auth.store import TAKEN
from push_workloads.common.cassandra import Cassandra, Row, Statement, Undecided
from push_workloads.common.cassandra_schema import Checks, opened
from push_workloads.common.config import CassandraConfig
from push_workloads.common.credentials import Credential
from push_workloads.common.erasing import KEPT_SECONDS
from push_workloads.common.errors import Conflict
from push_workloads.common.revocations import Revocation

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
    """
    CREATE TABLE IF NOT EXISTS {ks}.logins (
      user_id text, id text, device text, address text, created_at bigint, seen_at bigint, expires_at bigint,
      generation int, salt blob, PRIMARY KEY (user_id, id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.revocations (
      month int, until bigint, user_id text, session_id text, before bigint,
      PRIMARY KEY (month, until, user_id, session_id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.service_credentials (
      part int, id text, name text, scopes text, digest blob, created_at bigint, PRIMARY KEY (part, id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS {ks}.erasures (
      month int, at bigint, user_id text, PRIMARY KEY (month, at, user_id)
    )
    """,
    *identities.MIGRATIONS,
)
KEPT_LONGER_SECONDS: Final = 86_400  # than a token is good for: clocks differ, and the store's is not the judge
MONTH_SECONDS: Final = 30 * 86_400
MAX_ID: Final = "\x7f"  # after every user id
MONTHS: Final = 13  # no access token is good for longer
_STATEMENTS: Final = {
    "email": "INSERT INTO {ks}.account_emails (id, email) VALUES (?, ?)",
    "forget_email": "DELETE FROM {ks}.account_emails WHERE id = ?",
    "account": """
        INSERT INTO {ks}.accounts (id, email, name, password_hash, created_at) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS""",
    "by_email": "SELECT id, email, name, password_hash, created_at FROM {ks}.accounts WHERE email = ?",
    "by_id": "SELECT email FROM {ks}.account_emails WHERE id = ?",
    "rehash": "UPDATE {ks}.accounts SET password_hash = ? WHERE email = ? IF id = ? AND password_hash = ?",
    "remove": "DELETE FROM {ks}.accounts WHERE email = ? IF id = ?",
    "login": """
        INSERT INTO {ks}.logins (user_id, id, device, address, created_at, seen_at, expires_at, generation, salt)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL ?""",
    "renew": """
        UPDATE {ks}.logins USING TTL ? SET device = ?, address = ?, created_at = ?, seen_at = ?, expires_at = ?,
        generation = ?, salt = ? WHERE user_id = ? AND id = ? IF generation = ?""",
    "one_login": """
        SELECT user_id, id, device, address, created_at, seen_at, expires_at, generation, salt
        FROM {ks}.logins WHERE user_id = ? AND id = ?""",
    "logins": """
        SELECT user_id, id, device, address, created_at, seen_at, expires_at, generation, salt
        FROM {ks}.logins WHERE user_id = ? LIMIT 1000""",
    "end_login": "DELETE FROM {ks}.logins WHERE user_id = ? AND id = ? IF EXISTS",
    "revoke": """
        INSERT INTO {ks}.revocations (month, until, user_id, session_id, before) VALUES (?, ?, ?, ?, ?)
        USING TTL ?""",
    "revocations": """
        SELECT user_id, session_id, until, before FROM {ks}.revocations
        WHERE month = ? AND (until, user_id, session_id) > (?, ?, ?) LIMIT 1000""",
    "erase": "INSERT INTO {ks}.erasures (month, at, user_id) VALUES (?, ?, ?) USING TTL ?",
    "erased": "SELECT at, user_id FROM {ks}.erasures WHERE month = ? AND (at, user_id) > (?, ?) LIMIT 1000",
    # One partition: there are a hundred at most.
    "credential": """
        INSERT INTO {ks}.service_credentials (part, id, name, scopes, digest, created_at) VALUES (0, ?, ?, ?, ?, ?)
        IF NOT EXISTS""",
    "credentials": "SELECT id, name, scopes, digest, created_at FROM {ks}.service_credentials WHERE part = 0",
    "forget_credential": "DELETE FROM {ks}.service_credentials WHERE part = 0 AND id = ? IF EXISTS",
}
_SETTLED = "SELECT id FROM {ks}.accounts WHERE email = ?"


class CassandraAccounts:
    """An AccountStore. `settled` reads who has an e-mail once every conditional write on it has come to its end."""

    def __init__(
        self, cassandra: Cassandra, statements: Mapping[str, Statement], settled: Statement, identities: Identities
    ) -> None:
        self.identities = identities
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

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> bool:
        account = await self.by_id(user_id)
        if account is None:
            return False
        return await self._cassandra.write_if(self._statements["rehash"], new, account.email, user_id, old) is None

    async def remove(self, account: Account) -> None:
        await self._cassandra.write_if(self._statements["remove"], account.email, account.id)
        await self._cassandra.write(self._statements["forget_email"], account.id)

    async def add_login(self, login: Login) -> None:
        await self._cassandra.write_if(self._statements["login"], *astuple(login), _kept_seconds(login))

    async def login(self, user_id: str, login_id: str) -> Login | None:
        row = await self._cassandra.row(self._statements["one_login"], user_id, login_id)
        return Login(**row) if row else None

    async def logins(self, user_id: str, now_ms: int) -> list[Login]:
        found = [Login(**row) for row in await self._cassandra.rows(self._statements["logins"], user_id)]
        return [one for one in found if one.expires_at > now_ms]

    async def renew(self, login: Login, generation: int) -> bool:
        user_id, login_id, *others = astuple(login)
        values = (_kept_seconds(login), *others, user_id, login_id, generation)
        return await self._cassandra.write_if(self._statements["renew"], *values) is None

    async def end_login(self, user_id: str, login_id: str) -> None:
        await self._cassandra.write_if(self._statements["end_login"], user_id, login_id)

    async def revoke(self, revocation: Revocation) -> None:
        one = revocation
        key = (_month(one.until), one.until, one.user_id, one.session_id or "")
        kept = max(0, one.until - int(time.time())) + KEPT_LONGER_SECONDS
        await self._cassandra.write(self._statements["revoke"], *key, one.before, kept)

    async def revocations(self, now: int) -> list[Revocation]:
        months = range(_month(now), _month(now) + MONTHS + 1)
        found = [row for month in months for row in await self._revocations_of(month, now)]
        return [Revocation(row["user_id"], row["session_id"] or None, row["until"], row["before"]) for row in found]

    async def _revocations_of(self, month: int, now: int) -> list[Row]:
        """A page after the other."""
        found: list[Row] = []
        after: tuple[object, ...] = (now + 1, "", "")
        while page := await self._cassandra.rows(self._statements["revocations"], month, *after):
            found += page
            after = (page[-1]["until"], page[-1]["user_id"], page[-1]["session_id"])
        return found

    async def add_credential(self, credential: Credential) -> None:
        one = credential
        values = (one.id, one.name, ",".join(one.scopes), one.digest, one.created_at)
        await self._cassandra.write_if(self._statements["credential"], *values)

    async def credentials(self) -> list[Credential]:
        rows = await self._cassandra.rows(self._statements["credentials"])
        return [Credential(**{**row, "scopes": tuple(row["scopes"].split(","))}) for row in rows]

    async def remove_credential(self, credential_id: str) -> bool:
        return await self._cassandra.write_if(self._statements["forget_credential"], credential_id) is None

    async def erase(self, user_id: str, at: int) -> None:
        kept = KEPT_SECONDS + KEPT_LONGER_SECONDS
        await self._cassandra.write(self._statements["erase"], _month(at), at, user_id, kept)

    async def erased(self, since: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for month in range(_month(since), _month(int(time.time())) + 2):
            after: tuple[object, ...] = (since - 1, MAX_ID)
            while page := await self._cassandra.rows(self._statements["erased"], month, *after):
                found |= {row["user_id"]: row["at"] for row in page}
                after = (page[-1]["at"], page[-1]["user_id"])
        return found

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


def _kept_seconds(login: Login) -> int:
    return max(0, login.expires_at - login.seen_at) // 1000 + KEPT_LONGER_SECONDS


def _month(seconds: int) -> int:
    return seconds // MONTH_SECONDS


def _id(row: Row) -> str:
    return str(row["id"])


@asynccontextmanager
async def cassandra_accounts(config: CassandraConfig, checks: Checks) -> AsyncIterator[CassandraAccounts]:
    """The store in that keyspace, made when it is not there; waits for Cassandra."""
    async with opened(config, "auth", MIGRATIONS, checks) as cassandra:
        statements = {name: await cassandra.prepare(text) for name, text in _STATEMENTS.items()}
        own = {name: await cassandra.prepare(text) for name, text in identities.STATEMENTS.items()}
        settled = await cassandra.prepare(identities.SETTLED, serial=True)
        kept = identities.CassandraIdentities(cassandra, own, settled)
        yield CassandraAccounts(cassandra, statements, await cassandra.prepare(_SETTLED, serial=True), kept)
