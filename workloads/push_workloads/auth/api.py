"""Accounts over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter

from push_workloads.auth.accounts import Account
from push_workloads.auth.sessions import Sessions, Signed
from push_workloads.common.errors import PushError
from push_workloads.common.http import Call, Route


class Registration(Struct):
    email: str
    password: str
    name: str | None = None


class Credentials(Struct):
    email: str
    password: str


class User(Struct):
    id: str
    email: str
    name: str | None
    created_at: int


class Me(Struct):
    user: User


class SignedIn(Struct):
    """`expires_in` is the access token's, in seconds."""

    user: User
    access_token: str
    refresh_token: str
    token_type: str
    expires_in: int


def routes(sessions: Sessions, expires_in: int, registry: CollectorRegistry) -> list[Route]:
    registrations = _outcomes("registrations", registry)
    logins = _outcomes("logins", registry)

    async def register(call: Call) -> SignedIn:
        asked: Registration = call.body
        work = sessions.register(asked.email, asked.password, asked.name, call.address)
        return _signed_in(await _counted(registrations, work), expires_in)

    async def login(call: Call) -> SignedIn:
        asked: Credentials = call.body
        return _signed_in(await _counted(logins, sessions.login(asked.email, asked.password)), expires_in)

    async def me(call: Call) -> Me:
        return Me(_user(await sessions.account(call.user_id)))

    return [
        Route(
            "POST",
            "/auth/register",
            register,
            "Makes an account and signs in",
            SignedIn,
            body=Registration,
            status=201,
            auth=False,
            errors=(409, 429),
        ),
        Route(
            "POST",
            "/auth/login",
            login,
            "Signs in with e-mail and password",
            SignedIn,
            body=Credentials,
            auth=False,
            errors=(401,),
        ),
        Route("GET", "/auth/me", me, "Whom the token speaks for", Me),
    ]


def _outcomes(what: str, registry: CollectorRegistry) -> Counter:
    return Counter(f"push_auth_{what}", f"{what.capitalize()} by outcome", ["outcome"], registry=registry)


async def _counted(counter: Counter, work: Awaitable[Signed]) -> Signed:
    try:
        signed = await work
    except PushError as error:
        counter.labels(error.code).inc()
        raise
    counter.labels("ok").inc()
    return signed


def _signed_in(signed: Signed, expires_in: int) -> SignedIn:
    return SignedIn(_user(signed.account), signed.access_token, signed.refresh_token, "Bearer", expires_in)


def _user(account: Account) -> User:
    return User(account.id, account.email, account.name, account.created_at)
