"""Accounts and sessions over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter

from push_workloads.auth.accounts import Account
from push_workloads.auth.entrance import Entrance
from push_workloads.auth.logins import Login, device_of
from push_workloads.auth.oauth.api import oauth_routes
from push_workloads.auth.oauth.flow import Flow
from push_workloads.auth.oauth.office import Office
from push_workloads.auth.sessions import Sessions, Signed
from push_workloads.auth.upkeep import FRESH_MS, Upkeep
from push_workloads.common.errors import Forbidden, PushError
from push_workloads.common.http import Call, Route


class Registration(Struct):
    """`device`: what its user calls it; shown in the list of sessions, instead of the User-Agent."""

    email: str
    password: str
    name: str | None = None
    device: str | None = None


class Credentials(Struct):
    """`device` as in a Registration."""

    email: str
    password: str
    device: str | None = None


class Refresh(Struct):
    refresh_token: str


class NewPassword(Struct):
    """`password`: the one until now. `device` as in a Registration."""

    password: str
    new_password: str
    device: str | None = None


class Forgotten(Struct):
    email: str


class Reset(Struct):
    """`token`: from the mail. `device` as in a Registration."""

    token: str
    new_password: str
    device: str | None = None


class Goodbye(Struct):
    """`password`: not needed within ten minutes of a login."""

    password: str | None = None


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


class Session(Struct):
    """One login. Times are Unix milliseconds; `seen_at`: when it last took new tokens. `current`: the caller's own."""

    id: str
    device: str
    address: str
    created_at: int
    seen_at: int
    current: bool


class SessionList(Struct):
    """The one seen last first."""

    sessions: list[Session]


def routes(
    entrance: Entrance,
    upkeep: Upkeep,
    sessions: Sessions,
    flow: Flow,
    office: Office,
    expires_in: int,
    registry: CollectorRegistry,
) -> list[Route]:
    async def sign_in(account: Account, device: str | None, call: Call) -> SignedIn:
        signed = await sessions.sign_in(account, device_of(device, call.agent), call.address)
        return _signed_in(signed, expires_in)

    async def owner(call: Call) -> Account:
        if not await sessions.is_fresh(call.user_id, call.bearer.session_id, FRESH_MS):
            raise Forbidden("log in again first: within ten minutes of that you can link another login")
        return await entrance.account(call.user_id)

    return [
        *_account_routes(entrance, expires_in, registry),
        *_upkeep_routes(upkeep, expires_in, registry),
        *_session_routes(sessions, expires_in, registry),
        *oauth_routes(flow, office, owner, sign_in, SignedIn),
    ]


def _account_routes(entrance: Entrance, expires_in: int, registry: CollectorRegistry) -> list[Route]:
    registrations = _outcomes("registrations", registry)
    logins = _outcomes("logins", registry)

    async def register(call: Call) -> SignedIn:
        asked: Registration = call.body
        device = device_of(asked.device, call.agent)
        work = entrance.register(asked.email, asked.password, asked.name, device, call.address)
        return _signed_in(await _counted(registrations, work), expires_in)

    async def login(call: Call) -> SignedIn:
        asked: Credentials = call.body
        work = entrance.login(asked.email, asked.password, device_of(asked.device, call.agent), call.address)
        return _signed_in(await _counted(logins, work), expires_in)

    async def me(call: Call) -> Me:
        return Me(_user(await entrance.account(call.user_id)))

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
            errors=(401, 429),
        ),
        Route("GET", "/auth/me", me, "Whom the token speaks for", Me),
    ]


def _upkeep_routes(upkeep: Upkeep, expires_in: int, registry: CollectorRegistry) -> list[Route]:
    changes = _outcomes("password_changes", registry)
    resets = _outcomes("password_resets", registry)

    async def change(call: Call) -> SignedIn:
        asked: NewPassword = call.body
        device = device_of(asked.device, call.agent)
        work = upkeep.change(call.user_id, asked.password, asked.new_password, device, call.address)
        return _signed_in(await _counted(changes, work), expires_in)

    async def forgot(call: Call) -> None:
        asked: Forgotten = call.body
        await upkeep.forgot(asked.email, call.address)

    async def reset(call: Call) -> SignedIn:
        asked: Reset = call.body
        work = upkeep.reset(asked.token, asked.new_password, device_of(asked.device, call.agent), call.address)
        return _signed_in(await _counted(resets, work), expires_in)

    async def delete(call: Call) -> None:
        asked: Goodbye = call.body
        await upkeep.delete(call.user_id, call.bearer.session_id, asked.password, call.address)

    return [
        Route(
            "POST",
            "/auth/password",
            change,
            "Sets another password; all sessions end, and the caller is signed in anew",
            SignedIn,
            body=NewPassword,
            errors=(403, 409, 429),
        ),
        Route(
            "POST",
            "/auth/password/forgot",
            forgot,
            "Has a mail sent that lets its reader set a new password; the same answer whoever it is",
            None,
            body=Forgotten,
            auth=False,
            errors=(429,),
        ),
        Route(
            "POST",
            "/auth/password/reset",
            reset,
            "Sets a new password with the token of such a mail, once; all sessions end, and the caller is signed in",
            SignedIn,
            body=Reset,
            auth=False,
            errors=(401,),
        ),
        Route(
            "POST",
            "/auth/delete",
            delete,
            "Ends the caller's account for good",
            None,
            body=Goodbye,
            errors=(403, 429),
        ),
    ]


def _session_routes(sessions: Sessions, expires_in: int, registry: CollectorRegistry) -> list[Route]:
    refreshes = _outcomes("refreshes", registry)

    async def refresh(call: Call) -> SignedIn:
        asked: Refresh = call.body
        return _signed_in(await _counted(refreshes, sessions.refresh(asked.refresh_token, call.address)), expires_in)

    async def logout(call: Call) -> None:
        asked: Refresh = call.body
        await sessions.logout(asked.refresh_token)

    async def listed(call: Call) -> SessionList:
        found = await sessions.open(call.user_id)
        return SessionList([_session(one, call.bearer.session_id) for one in found])

    async def end(call: Call) -> None:
        await sessions.end(call.user_id, call.path["session_id"])

    async def end_others(call: Call) -> None:
        await sessions.end_others(call.user_id, call.bearer.session_id)

    one = "/auth/sessions/{session_id}"
    return [
        Route(
            "POST",
            "/auth/refresh",
            refresh,
            "New tokens of a session; the refresh token is used up",
            SignedIn,
            body=Refresh,
            auth=False,
            errors=(401,),
        ),
        Route("POST", "/auth/logout", logout, "Ends the token's session", None, body=Refresh, auth=False),
        Route("GET", "/auth/sessions", listed, "Where you are logged in", SessionList),
        Route("DELETE", "/auth/sessions", end_others, "Ends all your sessions but this one", None),
        Route("DELETE", one, end, "Ends one of your sessions", None, errors=(404,)),
    ]


def _outcomes(what: str, registry: CollectorRegistry) -> Counter:
    return Counter(
        f"push_auth_{what}", f"{what.replace('_', ' ').capitalize()} by outcome", ["outcome"], registry=registry
    )


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


def _session(one: Login, current: str | None) -> Session:
    return Session(one.id, one.device, one.address, one.created_at, one.seen_at, one.id == current)


def _user(account: Account) -> User:
    return User(account.id, account.email, account.name, account.created_at)
