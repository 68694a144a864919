"""Sessions: what a login gives a device, how that goes on, and how it ends. Without HTTP."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NamedTuple

from push_workloads.auth.accounts import Account
from push_workloads.auth.logins import (
    MAX_LOGINS,
    REFRESH_TOKEN_DAYS,
    SALT_BYTES,
    Login,
    Shown,
    Verdict,
    judge,
    refresh_token,
    shown,
)
from push_workloads.auth.revoker import Revoker
from push_workloads.auth.store import AccountStore
from push_workloads.common.errors import NotFound, Unauthorized, Unavailable
from push_workloads.common.ids import uuid7
from push_workloads.common.tokens import Tokens

_DAY_MS: Final = 86_400_000
_TRIES: Final = 3  # of a refresh token that is used several times at once
NOT_VALID: Final = "the refresh token is not valid, or its session is over: log in again"


class Signed(NamedTuple):
    """A user who has proved who they are, and their tokens."""

    account: Account
    access_token: str
    refresh_token: str


class Sessions:
    """`now_ms` is the clock; `key` makes refresh tokens."""

    def __init__(
        self, store: AccountStore, tokens: Tokens, revoker: Revoker, key: bytes, now_ms: Callable[[], int]
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._revoker = revoker
        self._key = key
        self._now_ms = now_ms

    async def sign_in(self, account: Account, device: str, address: str) -> Signed:
        """A new session of a user who has just proved who they are."""
        now = self._now_ms()
        await self._make_room(account.id, now)
        login = Login(
            user_id=account.id, id=new_id(now), device=device, address=address, created_at=now, seen_at=now,
            expires_at=now + REFRESH_TOKEN_DAYS * _DAY_MS, generation=1, salt=secrets.token_bytes(SALT_BYTES),
        )  # fmt: skip
        await self._store.add_login(login)
        return self._signed(account, login)

    async def refresh(self, text: str, address: str) -> Signed:
        """New tokens of the session. Raises Unauthorized when the token is none of the current ones; whoever shows an
        old one thereby ends the session, as somebody has a copy."""
        token = shown(text)
        if token is None:
            raise Unauthorized(NOT_VALID)
        login = await self._go_on(token, address)
        account = await self._store.by_id(login.user_id)
        if account is None:
            raise Unauthorized(NOT_VALID)
        return self._signed(account, login)

    async def logout(self, text: str) -> None:
        """Ends the session of a refresh token, whichever generation; nothing when there is none."""
        token = shown(text)
        login = await self._store.login(token.user_id, token.login_id) if token is not None else None
        if token is not None and judge(login, token, self._key, self._now_ms()) is not Verdict.NOTHING:
            await self._end(token.user_id, token.login_id)

    async def open(self, user_id: str) -> list[Login]:
        """The sessions of a user, the one seen last first."""
        found = await self._store.logins(user_id, self._now_ms())
        return sorted(found, key=lambda one: (-one.seen_at, one.id))

    async def end(self, user_id: str, session_id: str) -> None:
        """Its tokens are refused and its sockets closed. Raises NotFound."""
        if await self._store.login(user_id, session_id) is None:
            raise NotFound("you have no such session")
        await self._end(user_id, session_id)

    async def end_others(self, user_id: str, but: str | None) -> None:
        """All of a user's but one."""
        for one in await self._store.logins(user_id, self._now_ms()):
            if one.id != but:
                await self._end(user_id, one.id)

    async def end_all(self, user_id: str) -> None:
        """Every token of the user from before this second is refused, and that of every session there is; so one that
        begins hereafter is not."""
        await self._revoker.revoke_before(user_id, self._now_ms() // 1000 - 1)
        await self.end_others(user_id, None)

    async def is_fresh(self, user_id: str, session_id: str | None, within_ms: int) -> bool:
        """Whether that session began so lately."""
        login = await self._store.login(user_id, session_id) if session_id is not None else None
        return login is not None and self._now_ms() - login.created_at <= within_ms

    async def _end(self, user_id: str, session_id: str) -> None:
        """Revoked first: if this ends in between, it can be ended again."""
        await self._revoker.revoke(user_id, session_id)
        await self._store.end_login(user_id, session_id)

    async def _make_room(self, user_id: str, now: int) -> None:
        held = sorted(await self._store.logins(user_id, now), key=lambda one: one.seen_at)
        for one in held[: max(0, len(held) - MAX_LOGINS + 1)]:
            await self._end(user_id, one.id)

    async def _go_on(self, token: Shown, address: str) -> Login:
        """The login in its next generation, or as it is when its client has not heard of that."""
        for _ in range(_TRIES):
            now = self._now_ms()
            login = await self._store.login(token.user_id, token.login_id)
            verdict = judge(login, token, self._key, now)
            if login is None or verdict is Verdict.NOTHING:
                raise Unauthorized(NOT_VALID)
            if verdict is Verdict.COPIED:
                await self._end(token.user_id, token.login_id)
                raise Unauthorized(NOT_VALID)
            if verdict is Verdict.REPEAT:
                return login
            renewed = replace(
                login, address=address, seen_at=now, expires_at=now + REFRESH_TOKEN_DAYS * _DAY_MS,
                generation=login.generation + 1,
            )  # fmt: skip
            if await self._store.renew(renewed, login.generation):
                return renewed
        raise Unavailable("this session is being renewed; try again", retry_after_ms=1000)

    def _signed(self, account: Account, login: Login) -> Signed:
        now = self._now_ms()
        access = self._tokens.issue(account.id, now // 1000, new_id(now), login.id)
        return Signed(account, access, refresh_token(login, self._key))


def new_id(now_ms: int) -> str:
    return uuid7(now_ms, secrets.token_bytes(10))
