"""Where accounts are kept: the port, and its twin in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from push_workloads.auth.accounts import Account
from push_workloads.auth.logins import Login
from push_workloads.auth.oauth.identities import Identities, MemoryIdentities
from push_workloads.common.credentials import Credential
from push_workloads.common.errors import Conflict
from push_workloads.common.revocations import Revocation

TAKEN = "there is an account with this e-mail already"


class AccountStore(Protocol):
    """Each method may raise Unavailable; a write that returned survives a crash."""

    @property
    def identities(self) -> Identities: ...

    async def add(self, account: Account) -> None:
        """Raises Conflict when the e-mail is taken; of several at once, exactly one is added."""

    async def by_email(self, email: str) -> Account | None: ...

    async def by_id(self, user_id: str) -> Account | None: ...

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> bool:
        """Only while `old` still stands: a password that was changed meanwhile stays changed. Whether it stood; of
        several at once it stands for one."""

    async def remove(self, account: Account) -> None:
        """Its e-mail may be taken by another one from then on. Removing it again changes nothing."""

    async def add_login(self, login: Login) -> None: ...

    async def login(self, user_id: str, login_id: str) -> Login | None: ...

    async def logins(self, user_id: str, now_ms: int) -> list[Login]:
        """Those that have not expired."""

    async def renew(self, login: Login, generation: int) -> bool:
        """Puts it in place of the one with that `generation`; of several at once, one does. False: it is another by
        now, or gone."""

    async def end_login(self, user_id: str, login_id: str) -> None: ...

    async def revoke(self, revocation: Revocation) -> None: ...

    async def revocations(self, now: int) -> list[Revocation]:
        """Those that still count; `now` in Unix seconds."""

    async def add_credential(self, credential: Credential) -> None: ...

    async def credentials(self) -> list[Credential]:
        """Of services, all of them."""

    async def remove_credential(self, credential_id: str) -> bool:
        """Whether there was one."""

    async def erase(self, user_id: str, at: int) -> None:
        """Keeps whose data has to go, and since when (Unix seconds), for as long as services are told of it."""

    async def erased(self, since: int) -> dict[str, int]:
        """All that were kept since then, and when."""


class MemoryAccounts:
    """For tests."""

    def __init__(self) -> None:
        self.identities = MemoryIdentities()
        self._by_email: dict[str, Account] = {}
        self._credentials: dict[str, Credential] = {}
        self._erased: dict[str, int] = {}
        self._logins: dict[tuple[str, str], Login] = {}
        self._revocations: list[Revocation] = []

    async def add(self, account: Account) -> None:
        if self._by_email.setdefault(account.email, account) is not account:
            raise Conflict(TAKEN)

    async def by_email(self, email: str) -> Account | None:
        return self._by_email.get(email)

    async def by_id(self, user_id: str) -> Account | None:
        return next((account for account in self._by_email.values() if account.id == user_id), None)

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> bool:
        account = await self.by_id(user_id)
        if account is None or account.password_hash != old:
            return False
        self._by_email[account.email] = replace(account, password_hash=new)
        return True

    async def remove(self, account: Account) -> None:
        if await self.by_id(account.id) is not None:
            del self._by_email[account.email]

    async def add_login(self, login: Login) -> None:
        self._logins[login.user_id, login.id] = login

    async def login(self, user_id: str, login_id: str) -> Login | None:
        return self._logins.get((user_id, login_id))

    async def logins(self, user_id: str, now_ms: int) -> list[Login]:
        return [one for one in self._logins.values() if one.user_id == user_id and one.expires_at > now_ms]

    async def renew(self, login: Login, generation: int) -> bool:
        held = self._logins.get((login.user_id, login.id))
        if held is None or held.generation != generation:
            return False
        self._logins[login.user_id, login.id] = login
        return True

    async def end_login(self, user_id: str, login_id: str) -> None:
        self._logins.pop((user_id, login_id), None)

    async def revoke(self, revocation: Revocation) -> None:
        self._revocations.append(revocation)

    async def revocations(self, now: int) -> list[Revocation]:
        return [one for one in self._revocations if one.until > now]

    async def add_credential(self, credential: Credential) -> None:
        self._credentials[credential.id] = credential

    async def credentials(self) -> list[Credential]:
        return list(self._credentials.values())

    async def remove_credential(self, credential_id: str) -> bool:
        return self._credentials.pop(credential_id, None) is not None

    async def erase(self, user_id: str, at: int) -> None:
        self._erased[user_id] = at

    async def erased(self, since: int) -> dict[str, int]:
        return {user_id: at for user_id, at in self._erased.items() if at >= since}
