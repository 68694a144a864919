"""Asking providers: every answer bounded in time and size, no redirect followed, nothing taken from the environment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from push_workloads.auth.oauth.people import ProviderFailed

MAX_ANSWER_BYTES: Final = 256 * 1024
STEP_SECONDS: Final = 5.0  # to connect, and to read on
ALL_SECONDS: Final = 10.0  # for all that one login asks
MAX_CONNECTIONS: Final = 20
# No compression: what is counted is what is held.
HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "PushCluster"}


class _TooLarge(httpx2.ReadError):
    pass


class _Counted(httpx2.AsyncByteStream):
    """Raises when more comes than anybody should have to hold."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._stream:
            seen += len(chunk)
            if seen > MAX_ANSWER_BYTES:
                raise _TooLarge("the answer is too large")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class Wire(httpx2.AsyncBaseTransport):
    """Connections that all logins share; a client that is closed leaves them open. Made once: it loads the machine's
    certificates."""

    def __init__(self) -> None:
        limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=4)
        self._transport = httpx2.AsyncHTTPTransport(limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._transport.handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise _TooLarge("the answer is compressed although nobody asked for that")
        counted = _Counted(response.stream)  # type: ignore[arg-type]  # a stream of an asynchronous transport
        return httpx2.Response(response.status_code, headers=response.headers, stream=counted)

    async def aclose(self) -> None:
        """Nothing: see `close`."""

    async def close(self) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def client(self, client_id: str, client_secret: str, **more: Any) -> AsyncIterator[AsyncOAuth2Client]:
        """authlib's client for one login."""
        async with AsyncOAuth2Client(
            client_id, client_secret, code_challenge_method="S256", transport=self, trust_env=False,
            timeout=httpx2.Timeout(STEP_SECONDS), follow_redirects=False, **more,
        ) as made:  # fmt: skip
            yield made


@asynccontextmanager
async def asking(provider: str) -> AsyncIterator[None]:
    """Around all that one login asks of a provider: ProviderFailed, whatever goes wrong there."""
    try:
        async with asyncio.timeout(ALL_SECONDS):
            yield
    except OAuthError as error:
        raise ProviderFailed(f"{provider} refused the code: {str(error.error)[:64]!r}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError, ValueError) as error:
        raise ProviderFailed(f"{provider} does not answer as it should: {type(error).__name__}") from error


async def get_json(client: AsyncOAuth2Client, url: str, token: str | None = None) -> Any:
    """What is at the address; raises ProviderFailed unless it is JSON with status 200."""
    headers = HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})
    response = await client.request("GET", url, headers=headers, withhold_token=True)
    if response.status_code != 200:
        raise ProviderFailed(f"{httpx2.URL(url).host} answered {response.status_code} at {httpx2.URL(url).path}")
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise ProviderFailed(f"{httpx2.URL(url).host} answered no JSON at {httpx2.URL(url).path}") from error


async def token_for(client: AsyncOAuth2Client, url: str, code: str, verifier: str) -> dict[str, Any]:
    """The provider's tokens for its code."""
    told = await client.fetch_token(
        url, grant_type="authorization_code", code=code, code_verifier=verifier, headers=HEADERS
    )
    if not isinstance(told.get("access_token"), str) or str(told.get("token_type", "")).lower() != "bearer":
        raise ProviderFailed("the provider gave no bearer token")
    return dict(told)
