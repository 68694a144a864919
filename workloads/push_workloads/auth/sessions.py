"""Registration and login: what happens, in which order, without HTTP."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

from push_workloads.auth.accounts import (
    REFRESH_TOKEN_DAYS,
    Account,
    BadCredentials,
    RefreshToken,
    email_of,
    given_password,
    name_of,
    new_password,
)
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.store import TAKEN, AccountStore
from push_workloads.common.errors import Conflict, Unauthorized
from push_workloads.common.ids import uuid7
from push_workloads.common.tokens import Tokens

REFRESH_TOKEN_BYTES: Final = 32
_DAY_MS: Final = 86_400_000


class Signed(NamedTuple):
    """A user who has just proved who they are, and their tokens."""

    account: Account
    access_token: str
    refresh_token: str


class Sessions:
    """`now_ms` is the clock."""

    def __init__(
        self, store: AccountStore, passwords: Passwords, tokens: Tokens, limiter: Limiter, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._tokens = tokens
        self._limiter = limiter
        self._now_ms = now_ms

    async def register(self, email: str, password: str, name: str | None, address: str) -> Signed:
        wanted, secret, shown = email_of(email), new_password(password), name_of(name)
        await self._limiter.count(address)
        if await self._store.by_email(wanted) is not None:
            raise Conflict(TAKEN)  # the unique index decides; this only saves the hash
        now = self._now_ms()
        hashed = await self._passwords.hash(secret)
        account = Account(id=_new_id(now), email=wanted, name=shown, password_hash=hashed, created_at=now)
        await self._store.add(account)
        return await self._signed(account)

    async def login(self, email: str, password: str) -> Signed:
        secret = given_password(password)
        account = await self._store.by_email(email_of(email))
        hashed = account.password_hash if account else None
        if not await self._passwords.verify(secret, hashed) or account is None:
            raise BadCredentials("the e-mail or the password is wrong")
        if self._passwords.outdated(account.password_hash):
            fresh = await self._passwords.hash(secret)
            await self._store.replace_password_hash(account.id, account.password_hash, fresh)
        return await self._signed(account)

    async def account(self, user_id: str) -> Account:
        """Raises Unauthorized when the account behind a valid token is gone."""
        account = await self._store.by_id(user_id)
        if account is None:
            raise Unauthorized("the access token is missing or not valid")
        return account

    async def _signed(self, account: Account) -> Signed:
        now = self._now_ms()
        refresh = secrets.token_urlsafe(REFRESH_TOKEN_BYTES)
        await self._store.add_refresh_token(
            RefreshToken(
                hash=hashlib.sha256(refresh.encode()).digest(),
                family=_new_id(now),
                user_id=account.id,
                device_id=None,
                created_at=now,
                expires_at=now + REFRESH_TOKEN_DAYS * _DAY_MS,
            )
        )
        return Signed(account, self._tokens.issue(account.id, now // 1000, _new_id(now)), refresh)


def _new_id(now_ms: int) -> str:
    return uuid7(now_ms, secrets.token_bytes(10))
