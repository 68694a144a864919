"""GitHub, and GitHub Enterprise: OAuth 2.0 with PKCE, and an API of its own to ask who it is."""

from __future__ import annotations

from typing import Final

from push_workloads.auth.oauth.attempts import Attempt
from push_workloads.auth.oauth.config import GitHubClient
from push_workloads.auth.oauth.people import Person, from_github
from push_workloads.auth.oauth.wire import Wire, asking, get_json, token_for

SCOPE: Final = "read:user user:email"


class GitHub:
    """A Provider."""

    def __init__(self, client: GitHubClient, wire: Wire) -> None:
        self.client = client
        self._wire = wire

    async def login_url(self, attempt: Attempt) -> str:
        async with self._wire.client(self.client.client_id, self.client.client_secret) as client:
            url, _ = client.create_authorization_url(
                f"{self.client.url}/login/oauth/authorize", state=attempt.state, code_verifier=attempt.verifier,
                redirect_uri=self.client.redirect_url, scope=SCOPE,
            )  # fmt: skip
        return str(url)

    async def issuer(self) -> tuple[str | None, bool]:
        return f"{self.client.url}/login/oauth", False

    async def person(self, code: str, attempt: Attempt) -> Person:
        own = self.client
        async with (
            asking(own.name),
            self._wire.client(
                own.client_id, own.client_secret,
                token_endpoint_auth_method="client_secret_post",  # noqa: S106 - the name of a method
                redirect_uri=own.redirect_url,
            ) as client,
        ):  # fmt: skip
            url = f"{own.url}/login/oauth/access_token"
            token = (await token_for(client, url, code, attempt.verifier))["access_token"]
            user = await get_json(client, f"{own.api_url}/user", token)
            return from_github(own.name, user, await get_json(client, f"{own.api_url}/user/emails", token))
