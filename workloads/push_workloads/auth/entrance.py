"""Registration and login by password: what happens, in which order, without HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from push_workloads.auth.accounts import Account, email_of, given_password, name_of, new_password, wrong
from push_workloads.auth.attempts import Attempts, network_of
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.sessions import Sessions, Signed, new_id
from push_workloads.auth.store import TAKEN, AccountStore
from push_workloads.common.errors import Conflict, Unauthorized
from push_workloads.common.issuers import NOT_VALID


class Entrance:
    """`now_ms` is the clock."""

    def __init__(
        self,
        store: AccountStore,
        passwords: Passwords,
        sessions: Sessions,
        limiter: Limiter,
        attempts: Attempts,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._sessions = sessions
        self._limiter = limiter
        self._attempts = attempts
        self._now_ms = now_ms

    async def register(self, email: str, password: str, name: str | None, device: str, address: str) -> Signed:
        wanted, secret, shown = email_of(email), new_password(password), name_of(name)
        await self._limiter.count(network_of(address))
        if await self._store.by_email(wanted) is not None:
            raise Conflict(TAKEN)  # the unique index decides; this only saves the hash
        now = self._now_ms()
        hashed = await self._passwords.hash(secret)
        account = Account(id=new_id(now), email=wanted, name=shown, password_hash=hashed, created_at=now)
        await self._store.add(account)
        return await self._sessions.sign_in(account, device, address)

    async def login(self, email: str, password: str, device: str, address: str) -> Signed:
        """Raises BadCredentials, RateLimited."""
        secret, wanted = given_password(password), email_of(email)
        found: list[Account] = []

        async def is_right() -> bool:
            account = await self._store.by_email(wanted)
            found[:] = [account] if account is not None else []
            return await self._passwords.verify(secret, account.password_hash if account is not None else None)

        await self._attempts.check(wanted, address, is_right)
        (account,) = found
        if self._passwords.outdated(account.password_hash):
            fresh = await self._passwords.hash(secret)
            if await self._store.replace_password_hash(account.id, account.password_hash, fresh):
                account = replace(account, password_hash=fresh)
        signed = await self._sessions.sign_in(account, device, address)
        await self._still(signed, secret)
        return signed

    async def _still(self, signed: Signed, secret: bytes) -> None:
        """Whoever sets another password ends the sessions that there are then, and this one may have come just after:
        so of the two at least one sees the other."""
        account = signed.account
        now = await self._store.by_email(account.email)
        if now is not None and now.id == account.id and await self._opens(secret, now, account.password_hash):
            return
        await self._sessions.logout(signed.refresh_token)
        raise wrong()

    async def _opens(self, secret: bytes, account: Account, known: str) -> bool:
        """`known`: a hash that the password has."""
        return account.password_hash == known or await self._passwords.verify(secret, account.password_hash)

    async def account(self, user_id: str) -> Account:
        """Raises Unauthorized when the account behind a valid token is gone."""
        account = await self._store.by_id(user_id)
        if account is None:
            raise Unauthorized(NOT_VALID)
        return account
