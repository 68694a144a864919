"""From a person to an account: signing in, linking and unlinking."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from push_workloads.auth.accounts import Account
from push_workloads.auth.oauth.identities import Identity
from push_workloads.auth.oauth.linking import (
    PENDING_MS,
    Create,
    Link,
    SignIn,
    decide,
    refusal_to_link,
    refusal_to_unlink,
)
from push_workloads.auth.oauth.people import Person
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.sessions import new_id
from push_workloads.auth.store import AccountStore
from push_workloads.common.errors import Conflict, NotFound, Unavailable

_TRIES: Final = 5  # when several want the same at once
_BETWEEN_SECONDS: Final = 0.1
_PASSWORD_BYTES: Final = 32


class Office:
    """`now_ms` is the clock."""

    def __init__(self, store: AccountStore, passwords: Passwords, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._passwords = passwords
        self._now_ms = now_ms

    async def account_of(self, person: Person) -> Account:
        """Theirs, made or linked if need be. Raises EmailRequired, AccountExists, Unavailable."""
        for _ in range(_TRIES):
            try:
                return await self._settled(person)
            except _Overtaken:
                await asyncio.sleep(_BETWEEN_SECONDS)
        raise Unavailable("this login is being set up; log in again in half a minute", retry_after_ms=PENDING_MS)

    async def link(self, user: Account, person: Person) -> Identity:
        """The person becomes one of the user's identities. Raises Conflict."""
        held = await self._held(person)
        refusal = refusal_to_link(user.id, held)
        if refusal is not None:
            raise refusal
        if held is not None:
            return held
        made = self._identity(person, user.id, founding=False)
        await self._store.identities.add(made)
        return made

    async def of_user(self, user_id: str) -> list[Identity]:
        found = await self._store.identities.of_user(user_id)
        return sorted(found, key=lambda one: (one.linked_at, one.provider, one.subject))

    async def unlink(self, user_id: str, provider: str, subject: str) -> None:
        """Raises NotFound, Conflict."""
        found = await self._store.identities.of_user(user_id)
        one = next((one for one in found if (one.provider, one.subject) == (provider, subject)), None)
        if one is None:
            raise NotFound("you have no such login")
        refusal = refusal_to_unlink(one, len(found) - 1)
        if refusal is not None:
            raise refusal
        if one.founding:
            await self._inherit(next(other for other in found if other != one))
        await self._store.identities.remove(one)

    async def _inherit(self, heir: Identity) -> None:
        """From now on this is the way in that must stay."""
        await self._store.identities.remove(heir)
        await self._store.identities.add(replace(heir, founding=True))

    async def _settled(self, person: Person) -> Account:
        held = await self._held(person)
        known = await self._store.by_id(held.user_id) if held is not None else None
        if held is not None and known is None:
            raise _Overtaken  # whoever took the identity is just making the account, or was ended doing so
        of_email = await self._store.by_email(person.email) if person.email is not None and known is None else None
        its = await self._store.identities.of_user(of_email.id) if of_email is not None else []
        match decide(person, known, of_email, its):
            case SignIn(account):
                return account
            case Link(account):
                await self._take(self._identity(person, account.id, founding=False))
                return account
            case Create(email):
                return await self._founded(person, email)

    async def _held(self, person: Person) -> Identity | None:
        """The person's identity. One whose account is gone, or was never made because somebody crashed, is nobody's."""
        held = await self._store.identities.find(person.provider, person.subject)
        if held is None or self._now_ms() - held.linked_at < PENDING_MS:
            return held
        if await self._store.by_id(held.user_id) is not None:
            return held
        await self._store.identities.remove(held)
        return None

    async def _founded(self, person: Person, email: str) -> Account:
        """The identity is taken first: of two logins at once one makes the account, and the other waits for it."""
        now = self._now_ms()
        # A hash like all others, of what nobody knows: whoever tries passwords cannot tell that there is none.
        hashed = await self._passwords.hash(secrets.token_bytes(_PASSWORD_BYTES))
        account = Account(id=new_id(now), email=email, name=person.name, password_hash=hashed, created_at=now)
        identity = self._identity(person, account.id, founding=True)
        await self._take(identity)
        try:
            await self._store.add(account)
        except Conflict as error:  # somebody has registered the address meanwhile
            await self._store.identities.remove(identity)
            raise _Overtaken from error
        return account

    async def _take(self, identity: Identity) -> None:
        try:
            await self._store.identities.add(identity)
        except Conflict as error:
            raise _Overtaken from error

    def _identity(self, person: Person, user_id: str, *, founding: bool) -> Identity:
        return Identity(person.provider, person.subject, user_id, person.email, founding, self._now_ms())


class _Overtaken(Exception):
    """Somebody else is faster: look again."""
