"""What a login asks of any provider: the port."""

from __future__ import annotations

from typing import Protocol

from push_workloads.auth.oauth.attempts import Attempt
from push_workloads.auth.oauth.config import Client
from push_workloads.auth.oauth.people import Person


class Provider(Protocol):
    """Both methods raise ProviderFailed."""

    @property
    def client(self) -> Client: ...

    async def login_url(self, attempt: Attempt) -> str:
        """Where the browser goes to log in."""

    async def issuer(self) -> tuple[str | None, bool]:
        """Who the provider says it is in its answers (RFC 9207), None when it does not; and whether it always does."""

    async def person(self, code: str, attempt: Attempt) -> Person:
        """Who has logged in, for the code with which the browser came back."""
