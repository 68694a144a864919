"""Registration and login by password: what happens, in which order, without HTTP."""

from __future__ import annotations

from collections.abc import Callable

from push_workloads.auth.accounts import Account, BadCredentials, email_of, given_password, name_of, new_password
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
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._sessions = sessions
        self._limiter = limiter
        self._now_ms = now_ms

    async def register(self, email: str, password: str, name: str | None, device: str, address: str) -> Signed:
        wanted, secret, shown = email_of(email), new_password(password), name_of(name)
        await self._limiter.count(address)
        if await self._store.by_email(wanted) is not None:
            raise Conflict(TAKEN)  # the unique index decides; this only saves the hash
        now = self._now_ms()
        hashed = await self._passwords.hash(secret)
        account = Account(id=new_id(now), email=wanted, name=shown, password_hash=hashed, created_at=now)
        await self._store.add(account)
        return await self._sessions.sign_in(account, device, address)

    async def login(self, email: str, password: str, device: str, address: str) -> Signed:
        secret = given_password(password)
        account = await self._store.by_email(email_of(email))
        hashed = account.password_hash if account else None
        if not await self._passwords.verify(secret, hashed) or account is None:
            raise BadCredentials("the e-mail or the password is wrong")
        if self._passwords.outdated(account.password_hash):
            fresh = await self._passwords.hash(secret)
            await self._store.replace_password_hash(account.id, account.password_hash, fresh)
        return await self._sessions.sign_in(account, device, address)

    async def account(self, user_id: str) -> Account:
        """Raises Unauthorized when the account behind a valid token is gone."""
        account = await self._store.by_id(user_id)
        if account is None:
            raise Unauthorized(NOT_VALID)
        return account
