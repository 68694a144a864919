"""One bounded answer over HTTP from a peer that may be slow, broken or someone else by now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

KEPT_SECONDS: Final = 60.0  # an idle connection outlives several ticks, and ends before the peer would end it
_PLAIN: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


class Unanswered(Exception):
    """There is no answer of use. The text says why, and nothing that the peer or the question said: it may be logged,
    and compared."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


@asynccontextmanager
async def keeping() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that keeps connections from one tick to the next. Nothing of this process's environment goes into its
    questions (no proxy, no .netrc) and nothing of one peer's answers into those to another (no cookies); bodies stay as
    they come, so that a small one cannot unpack to a large one. Whoever asks bounds how many questions are open."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers=_PLAIN,
    ) as session:
        yield session


async def ask(
    session: aiohttp.ClientSession,
    url: str,
    *,
    seconds: float,
    max_bytes: int,
    json: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    server_hostname: str | None = None,
) -> Answer:
    """The answer to GET, or to POST when there is `json`, whole within `seconds`; a redirect is an answer like others.
    `server_hostname` is the name on the certificate when the URL has an address instead. Raises Unanswered. It is not
    chained: an error of aiohttp can carry the question's headers."""
    failed = "says something that is not HTTP"
    try:
        async with session.request(
            "GET" if json is None else "POST",
            url,
            json=json,
            headers=headers,
            server_hostname=server_hostname,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as response:
            body = await _body(response, max_bytes)
            if body is not None:
                return Answer(response.status, body)
            failed = f"says more than {max_bytes // 1024} KiB"
    except TimeoutError:
        failed = "does not answer in time"
    except (aiohttp.ClientConnectorError, OSError):
        failed = "cannot be reached"
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError):
        failed = "ends the connection before it has answered"
    except aiohttp.InvalidURL:
        failed = "has an address that is no URL"
    except (aiohttp.ClientError, ValueError):  # ValueError: what no header can carry
        pass
    raise Unanswered(failed)


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """None when it is longer: a connection that is let go amid a body is closed, not read to its end."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            return None
    return bytes(body)
