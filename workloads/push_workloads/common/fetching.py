"""Keys on their way from their issuers: fetched in the background, soon after somebody asks for one that is not known,
and never more often than every few seconds."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from msgspec import Struct

from push_workloads.common.issuers import KeySource, TrustedIssuer, may_fetch
from push_workloads.common.keys import MAX_AGE_SECONDS, BadKey, Key, published, read_jwks
from push_workloads.common.tasks import beside, wait

DISCOVERY_PATH: Final = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0 §4
MAX_ANSWER_BYTES: Final = 256 * 1024
FETCH_SECONDS: Final = 5.0  # for one request
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `refresh`: until keys that are known are fetched again, with up to a fifth less; `least` between two
    attempts, whoever asks; `retry`: after a failure, doubled with each up to `longest`."""

    refresh: float = float(MAX_AGE_SECONDS)
    least: float = 5.0
    retry: float = 1.0
    longest: float = 30.0


PACE: Final = Pace()


class _Discovered(Struct):
    issuer: str
    jwks_uri: str


class FetchFailed(Exception):
    """The keys could not be had; the text says why."""


@asynccontextmanager
async def fetching(sources: Iterable[KeySource], pace: Pace = PACE) -> AsyncIterator[None]:
    """Keeps the keys of each source fresh while open."""
    http = ClientSession(timeout=ClientTimeout(total=FETCH_SECONDS))
    async with http, beside(*(_follow(http, source, pace) for source in sources)):
        yield


async def _follow(http: ClientSession, source: KeySource, pace: Pace) -> None:
    wanted = asyncio.Event()
    source.open(wanted.set, time.monotonic)
    failures = 0
    while True:
        wanted.clear()  # before it is asked: who asks from now on may be too late for the answer
        asked_at = time.monotonic()
        failures = await _refresh(http, source, asked_at, failures)
        if failures:  # who asks meanwhile would hear the same
            await asyncio.sleep(_spread(min(pace.longest, pace.retry * 2 ** min(failures - 1, 16))))
        else:
            await wait(wanted, _spread(pace.refresh))
            await asyncio.sleep(max(0.0, asked_at + pace.least - time.monotonic()))


async def _refresh(http: ClientSession, source: KeySource, asked_at: float, failures: int) -> int:
    """How often in a row it has failed by now; the first time is told, and that it is over."""
    issuer = source.issuer.issuer
    try:
        source.take(await _fetch(http, source), asked_at)
    except FetchFailed as error:
        if not failures:
            _log.warning("the keys of an issuer of tokens cannot be had", extra={"issuer": issuer, "cause": str(error)})
        return failures + 1
    if failures:
        _log.warning("the keys of an issuer of tokens are back", extra={"issuer": issuer})
    return 0


def _spread(seconds: float) -> float:
    """So that not all services ask at once."""
    return seconds * random.uniform(0.8, 1.0)  # noqa: S311 - no secret


async def _fetch(http: ClientSession, source: KeySource) -> dict[str, Key]:
    """Raises FetchFailed."""
    if source.local:
        return published(source.local, int(time.time()))
    issuer = source.issuer
    try:
        url = issuer.jwks_url or await _discover(http, issuer)
        keys = read_jwks(await _get(http, url), issuer.algorithms)
    except BadKey as error:
        raise FetchFailed(str(error)) from error
    except (ClientError, OSError, TimeoutError, ValueError) as error:
        raise FetchFailed(str(error) or type(error).__name__) from error
    if not keys:  # a fault of theirs, or of the manifest: that nobody is trusted any more would look otherwise
        raise FetchFailed(f"it has no key for {', '.join(issuer.algorithms)}")
    return keys


async def _discover(http: ClientSession, issuer: TrustedIssuer) -> str:
    """Where the issuer says that its keys are. It must be the one that was asked for (§4.3 there)."""
    try:
        found = msgspec.json.decode(await _get(http, issuer.issuer.rstrip("/") + DISCOVERY_PATH), type=_Discovered)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise FetchFailed("its discovery document has no issuer and jwks_uri") from error
    if found.issuer != issuer.issuer:
        raise FetchFailed(f"its discovery document is of another issuer: {found.issuer[:200]}")
    if not may_fetch(found.jwks_uri, issuer.allow_insecure):
        raise FetchFailed("its jwks_uri does not begin with https://")
    return found.jwks_uri


async def _get(http: ClientSession, url: str) -> bytes:
    """The body of a 200 that is not too long. Redirects are not followed: they lead where the manifest does not."""
    async with http.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer:
        if answer.status != 200:
            raise FetchFailed(f"status {answer.status}")
        body = await answer.content.read(MAX_ANSWER_BYTES + 1)
        while len(body) <= MAX_ANSWER_BYTES and (more := await answer.content.read(MAX_ANSWER_BYTES + 1 - len(body))):
            body += more
        if len(body) > MAX_ANSWER_BYTES:
            raise FetchFailed(f"its answer is over {MAX_ANSWER_BYTES} bytes")
        return body
