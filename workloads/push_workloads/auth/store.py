"""Where accounts are kept: the port, and its twin in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from push_workloads.auth.accounts import Account, RefreshToken
from push_workloads.common.errors import Conflict

TAKEN = "there is an account with this e-mail already"


class AccountStore(Protocol):
    """Each method may raise Unavailable; a write that returned survives a crash."""

    async def add(self, account: Account) -> None:
        """Raises Conflict when the e-mail is taken; of several at once, exactly one is added."""

    async def by_email(self, email: str) -> Account | None: ...

    async def by_id(self, user_id: str) -> Account | None: ...

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        """Only while `old` still stands: a password that was changed meanwhile stays changed."""

    async def add_refresh_token(self, token: RefreshToken) -> None:
        """Also forgets those of the same user that had expired when this one was made."""

    async def refresh_token(self, token_hash: bytes) -> RefreshToken | None: ...


class MemoryAccounts:
    """For tests."""

    def __init__(self) -> None:
        self._by_email: dict[str, Account] = {}
        self._tokens: dict[bytes, RefreshToken] = {}

    async def add(self, account: Account) -> None:
        if self._by_email.setdefault(account.email, account) is not account:
            raise Conflict(TAKEN)

    async def by_email(self, email: str) -> Account | None:
        return self._by_email.get(email)

    async def by_id(self, user_id: str) -> Account | None:
        return next((account for account in self._by_email.values() if account.id == user_id), None)

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None:
        account = await self.by_id(user_id)
        if account is not None and account.password_hash == old:
            self._by_email[account.email] = replace(account, password_hash=new)

    async def add_refresh_token(self, token: RefreshToken) -> None:
        self._tokens = {
            key: held
            for key, held in self._tokens.items()
            if held.user_id != token.user_id or held.expires_at > token.created_at
        }
        self._tokens[token.hash] = token

    async def refresh_token(self, token_hash: bytes) -> RefreshToken | None:
        return self._tokens.get(token_hash)
