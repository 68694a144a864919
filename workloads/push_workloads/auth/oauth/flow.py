"""A login by a provider, from the app and back to it: what happens, in which order, without HTTP."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlencode

from prometheus_client import CollectorRegistry, Counter

from push_workloads.auth.oauth.attempts import (
    ATTEMPT_SECONDS,
    NONCE_BYTES,
    Attempt,
    challenge_of,
    cookie_name,
    opened,
    seal,
)
from push_workloads.auth.oauth.codes import Codes, Ticket
from push_workloads.auth.oauth.config import Client
from push_workloads.auth.oauth.people import Person, ProviderFailed
from push_workloads.auth.oauth.providers import Provider
from push_workloads.common.errors import BadRequest, NotFound

MAX_PARAMETER: Final = 4096  # characters of what comes back from a provider
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # RFC 7636 §4.2, S256
_log = logging.getLogger(__name__)


class Sent(NamedTuple):
    """Where the browser goes, and the cookie that it takes along; value "" takes it away, no cookie leaves all."""

    location: str
    cookie: str = ""
    value: str = ""
    secure: bool = True


class Flow:
    """`now` is the clock in Unix seconds; `key` seals attempts. Ends of logins are counted in `registry`."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        return_urls: tuple[str, ...],
        codes: Codes,
        key: bytes,
        now: Callable[[], float],
        registry: CollectorRegistry,
    ) -> None:
        self._ends = Counter(
            "push_auth_provider_logins",
            "Logins that came back from a provider, by outcome",
            ["provider", "outcome"],
            registry=registry,
        )
        self._providers = providers
        self._return_urls = return_urls
        self._codes = codes
        self._key = key
        self._now = now

    @property
    def clients(self) -> list[Client]:
        return [one.client for one in self._providers.values()]

    async def begin(self, name: str, return_to: str | None, challenge: str | None) -> Sent:
        """To the provider, or back when that is away. Raises NotFound, BadRequest."""
        provider = self._provider(name)
        attempt = Attempt(
            provider=name,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            return_to=self._return_to(return_to),
            challenge=_challenge(challenge),
            expires_at=int(self._now()) + ATTEMPT_SECONDS,
        )
        try:
            location = await provider.login_url(attempt)
        except ProviderFailed as error:
            _log.warning("a login could not begin", extra={"provider": name, "cause": error.message})
            return Sent(_with(attempt.return_to, {"error": error.code}))
        secure = provider.client.secure
        sealed = seal(attempt, self._key, secrets.token_bytes(NONCE_BYTES))
        return Sent(location, cookie_name(attempt.state, secure=secure), sealed, secure)

    async def come_back(self, name: str, query: Mapping[str, str], cookies: Mapping[str, str]) -> Sent:
        """From the provider, on to the app with a code, or with the reason why there is none. Raises BadRequest when
        this is no login that this browser began: then nobody can know where it should go on."""
        provider = self._provider(name)
        secure, state = provider.client.secure, query.get("state", "")
        cookie = cookie_name(state, secure=secure)
        attempt = opened(cookies.get(cookie), self._key, name, state, int(self._now()))
        if attempt is None or not await self._codes.first_use(state):
            raise BadRequest("this login was not begun in this browser, is over, or took over ten minutes: begin again")
        told = await self._outcome(provider, query, attempt)
        self._ends.labels(name, told.get("error", "ok")).inc()
        return Sent(_with(attempt.return_to, told), cookie, "", secure)

    async def person(self, code: str, verifier: str | None) -> Person:
        """Who a code is for. With a verifier only when the app that has it began the login: without one, anybody could
        have sent a user to the app with a code of their own. Raises BadRequest, Unavailable."""
        ticket = await self._codes.redeem(code)
        if ticket is None or not _fits(ticket.challenge, verifier):
            raise BadRequest("code: used, over a minute old, or begun elsewhere; log in at the provider again")
        return ticket.person

    async def _outcome(self, provider: Provider, query: Mapping[str, str], attempt: Attempt) -> dict[str, str]:
        """What the app is told."""
        name = provider.client.name
        try:
            await _check_issuer(provider, query.get("iss"))
            if "error" in query:
                _log.info("a provider said no", extra={"provider": name, "cause": query["error"][:64]})
                return {"error": "access_denied" if query["error"] == "access_denied" else "provider_failed"}
            code = query.get("code", "")
            if not 0 < len(code) <= MAX_PARAMETER:
                raise ProviderFailed("no code came back")
            person = await provider.person(code, attempt)
        except ProviderFailed as error:
            _log.warning("a login failed at its provider", extra={"provider": name, "cause": error.message})
            return {"error": error.code}
        return {"code": await self._codes.issue(Ticket(person, attempt.challenge))}

    def _provider(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            raise NotFound("there is no such provider here")
        return provider

    def _return_to(self, asked: str | None) -> str:
        if asked is None:
            return self._return_urls[0]
        if asked not in self._return_urls:
            raise BadRequest("return_to: not one of the addresses in OAUTH_RETURN_URLS, where logins may return")
        return asked


async def _check_issuer(provider: Provider, told: str | None) -> None:
    """An answer of another provider, which somebody mixed up on purpose, says so (RFC 9207 §2.4)."""
    expected, always = await provider.issuer()
    if (told is None and always) or (told is not None and told != expected):
        raise ProviderFailed("the answer is another provider's: its `iss` is not ours")


def _with(address: str, told: dict[str, str]) -> str:
    """Addresses to which a login returns have no query of their own."""
    return f"{address}?{urlencode(told)}"


def _challenge(text: str | None) -> str | None:
    if text is not None and not _CHALLENGE.fullmatch(text):
        raise BadRequest("code_challenge: the SHA-256 of code_verifier in base64url without padding (S256)")
    return text


def _fits(challenge: str | None, verifier: str | None) -> bool:
    """A verifier where there was no challenge is refused as well: somebody took it off (RFC 9700 §4.8.2)."""
    if challenge is None or verifier is None:
        return challenge is None and verifier is None
    return hmac.compare_digest(challenge_of(verifier).encode(), challenge.encode())
