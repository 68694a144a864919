"""Logins by providers over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from msgspec import Meta, Struct

from push_workloads.auth.accounts import Account
from push_workloads.auth.oauth.attempts import ATTEMPT_SECONDS
from push_workloads.auth.oauth.codes import MAX_CODE
from push_workloads.auth.oauth.flow import Flow, Sent
from push_workloads.auth.oauth.identities import Identity
from push_workloads.auth.oauth.office import Office
from push_workloads.common.http import Call, Cookie, Query, Redirect, Route

Code = Annotated[str, Meta(min_length=1, max_length=MAX_CODE)]
Verifier = Annotated[str, Meta(min_length=43, max_length=128, pattern=r"^[A-Za-z0-9._~-]+\Z")]  # RFC 7636 §4.1


class Offered(Struct):
    """`name` stands in `/oauth/{name}`; `label` is for the button."""

    name: str
    label: str


class OfferedList(Struct):
    providers: list[Offered]


class CodeExchange(Struct):
    """The code that came with the browser, and the verifier of the challenge, if the app gave one. `device` as in a
    Registration."""

    code: Code
    code_verifier: Verifier | None = None
    device: str | None = None


class CodeLink(Struct):
    """Here the verifier must be given: a login that somebody else began would give them a way into this account."""

    code: Code
    code_verifier: Verifier


class LinkedIdentity(Struct):
    """`email`: the verified one that the provider told. `linked_at` is Unix milliseconds."""

    provider: str
    subject: str
    email: str | None
    linked_at: int


class IdentityList(Struct):
    identities: list[LinkedIdentity]


SignIn = Callable[[Account, str | None, Call], Awaitable[Struct]]
"""Makes a session for an account on a device of that name: what the answer to any login is"""


def oauth_routes(
    flow: Flow, office: Office, owner: Callable[[Call], Awaitable[Account]], sign_in: SignIn, signed_in: type[Struct]
) -> list[Route]:
    """`owner`: the account of a caller who has logged in lately; raises Forbidden when that is long ago. `signed_in`:
    the type that `sign_in` answers."""
    return [*_login_routes(flow, office, sign_in, signed_in), *_identity_routes(flow, office, owner)]


def _login_routes(flow: Flow, office: Office, sign_in: SignIn, signed_in: type[Struct]) -> list[Route]:
    async def offered(_: Call) -> OfferedList:
        return OfferedList([Offered(one.name, one.label) for one in flow.clients])

    async def begin(call: Call) -> Redirect:
        query = call.query
        return _redirect(await flow.begin(call.path["provider"], query.get("return_to"), query.get("code_challenge")))

    async def come_back(call: Call) -> Redirect:
        return _redirect(await flow.come_back(call.path["provider"], call.query, call.cookies))

    async def exchange(call: Call) -> Struct:
        asked: CodeExchange = call.body
        person = await flow.person(asked.code, asked.code_verifier)
        return await sign_in(await office.account_of(person), asked.device, call)

    return [
        Route("GET", "/oauth", offered, "The providers with which one can log in", OfferedList, auth=False),
        Route(
            "GET", "/oauth/{provider}", begin, "Sends the browser to the provider", Redirect,
            status=303, auth=False, errors=(400, 404),
            query=(
                Query("return_to", "where the browser comes back to, one of OAUTH_RETURN_URLS; the first unless given"),
                Query("code_challenge", "SHA-256 of the code_verifier for `POST /auth/oauth`, in base64url (S256)"),
            ),
        ),
        Route(
            "GET", "/oauth/{provider}/callback", come_back, "Where the provider sends the browser back to", Redirect,
            status=303, auth=False, errors=(400, 404),
            query=tuple(Query(name, "the provider's") for name in ("state", "code", "iss", "error")),
        ),
        Route(
            "POST", "/auth/oauth", exchange, "Signs in with the code that came back to the app", signed_in,
            body=CodeExchange, auth=False, errors=(403, 409),
        ),
    ]  # fmt: skip


def _identity_routes(flow: Flow, office: Office, owner: Callable[[Call], Awaitable[Account]]) -> list[Route]:
    async def listed(call: Call) -> IdentityList:
        return IdentityList([_told(one) for one in await office.of_user(call.user_id)])

    async def link(call: Call) -> LinkedIdentity:
        asked: CodeLink = call.body
        user = await owner(call)  # a stolen token alone is no way to stay in
        person = await flow.person(asked.code, asked.code_verifier)
        return _told(await office.link(user, person))

    async def unlink(call: Call) -> None:
        await office.unlink(call.user_id, call.path["provider"], call.path["subject"])

    one = "/auth/identities/{provider}/{subject}"
    return [
        Route("GET", "/auth/identities", listed, "The providers' logins that are linked to you", IdentityList),
        Route(
            "POST", "/auth/identities", link, "Links a provider's login to you", LinkedIdentity,
            body=CodeLink, errors=(409,),
        ),
        Route("DELETE", one, unlink, "Unlinks a provider's login", None, errors=(404, 409)),
    ]  # fmt: skip


def _redirect(sent: Sent) -> Redirect:
    kept = ATTEMPT_SECONDS if sent.value else 0
    cookies = (Cookie(sent.cookie, sent.value, kept, sent.secure),) if sent.cookie else ()
    return Redirect(sent.location, cookies)


def _told(one: Identity) -> LinkedIdentity:
    return LinkedIdentity(one.provider, one.subject, one.email, one.linked_at)
