"""What an owner does with an account: another password, a lost password, the end of it. Without HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from push_workloads.auth import resets
from push_workloads.auth.accounts import Account, BadCredentials, email_of, given_password, new_password
from push_workloads.auth.attempts import Attempts, network_of
from push_workloads.auth.limiter import Limiter
from push_workloads.auth.mail import Letter, Post, no_mailer
from push_workloads.auth.oauth.linking import not_the_owners
from push_workloads.auth.passwords import Passwords
from push_workloads.auth.sessions import Sessions, Signed
from push_workloads.auth.store import AccountStore
from push_workloads.common.errors import Conflict, Forbidden, RateLimited, Unauthorized
from push_workloads.common.issuers import NOT_VALID

FRESH_MS: Final = 600_000  # a login that is no older says who its user is, as a password does
SUBJECT: Final = "Your new password"
TEXT: Final = """\
Somebody, hopefully you, asked to set a new password for this address. Open this within {minutes} minutes:

{link}

If it was not you, do nothing: your password stays as it is.
"""
NO_RESET: Final = "the reset token is not valid any more: ask for another one"


@dataclass(frozen=True, slots=True)
class ResetLimits:
    """How many mails may be asked for in an hour."""

    by_address: Limiter
    by_account: Limiter


@dataclass(frozen=True, slots=True)
class Letters:
    """What is written to owners. `post` None: no mails are sent. `key` makes reset tokens, which the page at
    `reset_url` is given behind a `#`: no server of the way and no log of one sees them."""

    post: Post | None
    reset_url: str
    key: bytes

    def of(self, account: Account, now: int) -> Letter:
        """A reset's, at `now` (Unix seconds)."""
        token = resets.reset_token(account, self.key, now + resets.RESET_SECONDS)
        link = f"{self.reset_url}#reset_token={token}"
        return Letter(account.email, SUBJECT, TEXT.format(minutes=resets.RESET_SECONDS // 60, link=link))


class Upkeep:
    """`erase` has the other services remove what they keep of a user. `now_ms` is the clock."""

    def __init__(
        self,
        store: AccountStore,
        passwords: Passwords,
        sessions: Sessions,
        attempts: Attempts,
        asked: ResetLimits,
        letters: Letters,
        erase: Callable[[str], Awaitable[None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._sessions = sessions
        self._attempts = attempts
        self._asked = asked
        self._letters = letters
        self._erase = erase
        self._now_ms = now_ms

    async def change(self, user_id: str, password: str, new: str, device: str, address: str) -> Signed:
        """Sets another password; all sessions end, and the caller is signed in anew. Raises Forbidden when `password`
        is wrong, RateLimited when it was too often."""
        wanted = new_password(new)
        account = await self._account(user_id)
        await self._prove(account, password, address)
        return await self._set(account, wanted, device, address)

    async def forgot(self, email: str, address: str) -> None:
        """Has a mail sent to that address if there is an account. The answer is the same, and as fast, if not."""
        wanted = email_of(email)
        if self._letters.post is None:
            raise no_mailer()
        await self._asked.by_address.count(network_of(address))
        self._letters.post.soon(lambda: self._letter(wanted))

    async def reset(self, text: str, new: str, device: str, address: str) -> Signed:
        """Sets the password of whoever has the mail, and signs in: so nobody who fails at logins on purpose keeps an
        owner out. Raises Unauthorized when the token is of no use (any more)."""
        wanted, token = new_password(new), resets.shown(text)
        account = await self._store.by_id(token.user_id) if token is not None else None
        now = self._now_ms() // 1000
        if token is None or account is None or not resets.is_good(account, token, self._letters.key, now):
            raise Unauthorized(NO_RESET)
        await self._unlink_others(account)  # now: if this ends in between, the token is good still
        try:
            signed = await self._set(account, wanted, device, address)
        except Conflict as error:  # of two at once the other one was first
            raise Unauthorized(NO_RESET) from error
        await self._unlink_others(account)  # and once more: nobody who was signed in can link any more
        return signed

    async def delete(self, user_id: str, session_id: str | None, password: str | None, address: str) -> None:
        """Ends the account for good. Raises Forbidden unless the password says that it is its owner who asks, or a
        login of the last FRESH_MS does."""
        account = await self._account(user_id)
        if password is not None:
            await self._prove(account, password, address)
        elif not await self._sessions.is_fresh(user_id, session_id, FRESH_MS):
            raise Forbidden("password: required, unless you have logged in within ten minutes")
        # Before, so that it can be asked for again if this ends in between; after, for who logged in meanwhile.
        await self._sessions.end_all(user_id)
        await self._erase(user_id)
        await self._store.remove(account)  # then its identities: they are nobody's without it
        for identity in await self._store.identities.of_user(user_id):
            await self._store.identities.remove(identity)
        await self._sessions.end_all(user_id)

    async def _unlink_others(self, account: Account) -> None:
        for identity in not_the_owners(account, await self._store.identities.of_user(account.id)):
            await self._store.identities.remove(identity)

    async def _account(self, user_id: str) -> Account:
        account = await self._store.by_id(user_id)
        if account is None:
            raise Unauthorized(NOT_VALID)
        return account

    async def _prove(self, account: Account, password: str, address: str) -> None:
        """Counted as a login is: a stolen access token must not be a way to guess."""
        check = partial(self._passwords.verify, given_password(password), account.password_hash)
        try:
            await self._attempts.check(account.email, address, check)
        except BadCredentials as error:
            raise Forbidden("password: it is wrong") from error

    async def _set(self, account: Account, wanted: bytes, device: str, address: str) -> Signed:
        """Raises Conflict when another password was set meanwhile."""
        fresh = await self._passwords.hash(wanted)
        # Before: if this ends in between, nobody is left in. After: for who logged in meanwhile.
        await self._sessions.end_all(account.id)
        if not await self._store.replace_password_hash(account.id, account.password_hash, fresh):
            raise Conflict("the password was changed by somebody else just now")
        await self._sessions.end_all(account.id)
        return await self._sessions.sign_in(account, device, address)

    async def _letter(self, email: str) -> Letter | None:
        account = await self._store.by_email(email)
        if account is None:
            return None
        try:
            await self._asked.by_account.count(account.id)
        except RateLimited:
            return None  # those that were sent are good still
        return self._letters.of(account, self._now_ms() // 1000)
