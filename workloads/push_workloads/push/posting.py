"""One request to a provider, which may have been taken even where no answer came: that is told apart here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import (
    ClientConnectionError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
)
from yarl import URL

from push_workloads.push.addresses import ForbiddenAddress
from push_workloads.push.carrier import Later, Refused, Unknown

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 20.0  # in all
IDLE_SECONDS: Final = 20.0  # a connection is kept: providers end theirs later, so that no request meets that end
CONNECTIONS: Final = 64
MAX_ANSWER_BYTES: Final = 16 * 1024
TIMEOUT: Final = ClientTimeout(total=ANSWER_SECONDS, connect=CONNECT_SECONDS)


class Reply(NamedTuple):
    status: int
    retry_after: str | None
    body: bytes


async def post(
    http: ClientSession, url: URL, body: bytes, headers: Mapping[str, str]
) -> Reply | Later | Unknown | Refused:
    """The provider's reply; Later when the request never went out, Unknown when it may have. Redirects are not
    followed: they lead where nobody has looked. Never raises, but for a cancellation."""
    try:
        async with http.post(url, data=body, headers=headers, allow_redirects=False, timeout=TIMEOUT) as answer:
            return Reply(answer.status, answer.headers.get("Retry-After"), await _read(answer))
    except ClientConnectorDNSError as error:
        return Refused("forbidden_address") if isinstance(error.os_error, ForbiddenAddress) else Later("connect")
    except (ClientConnectorError, ConnectionTimeoutError):
        return Later("connect")
    except ValueError:  # aiohttp's InvalidURL is one, and so is what is said of a name that no DNS could know
        return Refused("bad_address")
    except TimeoutError:
        return Unknown("timeout")
    except ClientConnectionError:
        return Unknown("connection_lost")
    except ClientError:
        return Unknown("bad_answer")


async def _read(answer: ClientResponse) -> bytes:
    """As much as there is; the status alone says nearly all, so an answer that breaks off is no failure."""
    read = b""
    try:
        while len(read) < MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES - len(read))):
            read += more
    except (ClientError, TimeoutError, asyncio.IncompleteReadError):
        return read
    return read
