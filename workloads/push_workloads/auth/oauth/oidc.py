"""Providers that speak OpenID Connect: Google, and any other by its issuer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.discovery import get_well_known_url
from joserfc.jwk import KeySet

from push_workloads.auth.oauth.attempts import Attempt
from push_workloads.auth.oauth.config import OidcClient, is_safe
from push_workloads.auth.oauth.idtoken import UnknownKey, usable_keys, verified
from push_workloads.auth.oauth.people import Person, ProviderFailed, from_claims
from push_workloads.auth.oauth.wire import Wire, asking, get_json, token_for

SCOPE: Final = "openid email profile"
KEPT_SECONDS: Final = 3600.0  # discovery and keys
ASK_AGAIN_SECONDS: Final = 30.0  # for the keys, when a token names one that is unknown
METHODS: Final = ("client_secret_basic", "client_secret_post")


class Metadata(NamedTuple):
    """Of a provider's discovery document, what is used."""

    login_url: str
    token_url: str
    keys_url: str
    userinfo_url: str | None
    method: str
    says_issuer: bool


class Oidc:
    """A Provider. `now` is the clock in Unix seconds."""

    def __init__(self, client: OidcClient, wire: Wire, now: Callable[[], float]) -> None:
        self.client = client
        self._wire = wire
        self._now = now
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._turn = asyncio.Lock()  # one asks, the others wait for its answer

    async def login_url(self, attempt: Attempt) -> str:
        async with asking(self.client.name), self._speaking() as client:
            metadata = await self._discovered(client)
            url, _ = client.create_authorization_url(
                metadata.login_url, state=attempt.state, code_verifier=attempt.verifier, nonce=attempt.nonce,
                redirect_uri=self.client.redirect_url, scope=SCOPE,
            )  # fmt: skip
        return str(url)

    async def issuer(self) -> tuple[str | None, bool]:
        async with asking(self.client.name), self._speaking() as client:
            return self.client.issuer, (await self._discovered(client)).says_issuer

    async def person(self, code: str, attempt: Attempt) -> Person:
        async with asking(self.client.name), self._speaking() as client:
            metadata = await self._discovered(client)
            client.token_endpoint_auth_method = metadata.method
            tokens = await token_for(client, metadata.token_url, code, attempt.verifier)
            claims = await self._verified(client, tokens, attempt)
            if "email" not in claims and metadata.userinfo_url is not None:
                claims = with_userinfo(claims, await get_json(client, metadata.userinfo_url, tokens["access_token"]))
            return from_claims(self.client.name, claims)

    def _speaking(self) -> Any:
        return self._wire.client(
            self.client.client_id, self.client.client_secret, redirect_uri=self.client.redirect_url
        )

    async def _verified(self, client: AsyncOAuth2Client, tokens: dict[str, Any], attempt: Attempt) -> dict[str, Any]:
        """With the keys that we have; with newer ones when the token names one that we have not."""
        try:
            return self._checked(tokens, await self._current_keys(client, KEPT_SECONDS), attempt)
        except UnknownKey:
            return self._checked(tokens, await self._current_keys(client, ASK_AGAIN_SECONDS), attempt)

    def _checked(self, tokens: dict[str, Any], keys: KeySet, attempt: Attempt) -> dict[str, Any]:
        return verified(
            tokens.get("id_token"), keys, issuer=self.client.issuer, client_id=self.client.client_id,
            nonce=attempt.nonce, access_token=tokens["access_token"], now=int(self._now()),
        )  # fmt: skip

    async def _discovered(self, client: AsyncOAuth2Client) -> Metadata:
        async with self._turn:
            if self._metadata is None or self._now() - self._metadata[0] > KEPT_SECONDS:
                url = get_well_known_url(self.client.issuer, external=True)
                self._metadata = (self._now(), metadata_of(await get_json(client, url), self.client.issuer))
            return self._metadata[1]

    async def _current_keys(self, client: AsyncOAuth2Client, at_most_old: float) -> KeySet:
        metadata = await self._discovered(client)
        async with self._turn:
            if self._keys is None or self._now() - self._keys[0] > at_most_old:
                self._keys = (self._now(), usable_keys(await get_json(client, metadata.keys_url)))
            return self._keys[1]


def with_userinfo(claims: dict[str, Any], told: Any) -> dict[str, Any]:
    """The claims of an ID token with what userinfo adds, where some providers tell the address. It is nobody's but that
    of the ID token's subject (OpenID Connect Core §5.3.2)."""
    if not isinstance(told, dict) or told.get("sub") != claims["sub"]:
        raise ProviderFailed("userinfo is another person's")
    return claims | {name: told[name] for name in ("email", "email_verified", "name") if name in told}


def metadata_of(document: Any, issuer: str) -> Metadata:
    """Of the issuer that was asked for alone (OpenID Connect Discovery §4.3)."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ProviderFailed(f"the discovery document is not that of {issuer}")
    methods = document.get("token_endpoint_auth_methods_supported") or [METHODS[0]]
    userinfo = document.get("userinfo_endpoint")
    return Metadata(
        login_url=_address(document, "authorization_endpoint"),
        token_url=_address(document, "token_endpoint"),
        keys_url=_address(document, "jwks_uri"),
        userinfo_url=userinfo if isinstance(userinfo, str) and is_safe(userinfo) else None,
        method=next((one for one in METHODS if one in methods), METHODS[0]),
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(document: dict[str, Any], name: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not is_safe(url):
        raise ProviderFailed(f"the discovery document has no usable {name}")
    return url
