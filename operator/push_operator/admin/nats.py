"""The broker's own numbers, from the monitoring port of each of its servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

import aiohttp
from yarl import URL

from push_operator.admin.broker import Said, Server, bus_of, parse_lags, parse_pending, parse_server
from push_operator.admin.fetch import Unanswered, ask, keeping
from push_operator.admin.stats import Nonsense, count, parse_object
from push_operator.admin.told import Told
from push_operator.fleet.values import Bus
from push_operator.plan.env import LOG_SHARDS

ALL_SECONDS: Final = 3.0
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
PAGE, MAX_PAGES = 1024, 8  # of connections
MAX_SERVERS: Final = 16  # whose addresses stand behind one name
CONNECTIONS: Final = f"connz?limit={PAGE}&offset={{}}"
JETSTREAM: Final = "jsz?accounts=true&streams=true&consumers=true"
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host and port. Raises OSError."""
Made = TypeVar("Made")
_log = logging.getLogger(__name__)


async def resolved(host: str, port: int) -> Sequence[str]:
    """As the system resolves it; a headless Service's name stands for all its pods."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port)
    return [str(address[0]) for *_, address in found]


@asynccontextmanager
async def nats_monitor(
    clock: Callable[[], float], *, seconds: float = ALL_SECONDS, shards: int = LOG_SHARDS, resolve: Resolve = resolved
) -> AsyncIterator[NatsMonitor]:
    """A monitor whose connections are kept while the context is open. `clock` gives the times of what it says;
    `seconds` is for one look, whatever is asked in it; `shards` is how many parts the log has."""
    async with keeping() as session:
        yield NatsMonitor(session, clock, seconds, shards, resolve)


class NatsMonitor:
    """The port `Monitor`."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Callable[[], float], seconds: float, shards: int, resolve: Resolve
    ) -> None:
        self._session = session
        self._clock = clock
        self._seconds = seconds
        self._shards = shards
        self._resolve = resolve
        self._told = Told()

    async def bus(self, url: str) -> Bus | None:
        at = self._clock()
        deadline = asyncio.get_running_loop().time() + self._seconds
        looks = await self._looks(url, deadline)
        servers = [server for server in await asyncio.gather(*(look.server() for look in looks)) if server is not None]
        return bus_of(servers, self._shards, at) if servers else None

    async def _looks(self, text: str, deadline: float) -> list[_Look]:
        """One at each server that stands behind the name."""
        try:
            url = URL(text)
            if url.host is None or url.port is None:
                raise ValueError("there is no host in it")
            async with asyncio.timeout_at(deadline):
                found = dict.fromkeys(await self._resolve(url.host, url.port))
            return [self._look(url, address, deadline) for address in list(found)[:MAX_SERVERS]]
        except (OSError, ValueError):  # TimeoutError and UnicodeError are among them
            self._tell("its monitoring address", "leads nowhere")
            return []

    def _look(self, url: URL, address: str, deadline: float) -> _Look:
        root = str(url.with_host(address)).rstrip("/")
        return _Look(self._session, root, url.authority.rpartition("@")[2], url.host or "", deadline, self._tell)

    def _tell(self, where: str, why: str) -> None:
        if self._told.anew(where, why, self._clock()):
            _log.warning("not all numbers of the broker: %s %s", where, why)


@dataclass(frozen=True, slots=True)
class _Look:
    """At one server, until `deadline` of the loop's clock. `host` and `name` are what was looked for, with and without
    its port: a proxy or a certificate may ask for them."""

    session: aiohttp.ClientSession
    root: str
    host: str
    name: str
    deadline: float
    tell: Callable[[str, str], None]

    async def server(self) -> Server | None:
        """None when it does not say who it is; what else it does not say is not known."""
        varz, jsz, pages = await asyncio.gather(self._get("varz"), self._get(JETSTREAM), self._connections())
        server = self._parsed("varz", parse_server, varz)
        if server is None:
            return None
        return replace(
            server,
            lags=self._parsed("jsz", partial(parse_lags, server.name), jsz) or {},
            pending=tuple(one for page in pages for one in self._parsed("connz", parse_pending, page) or ()),
        )

    async def _connections(self) -> list[Said | None]:
        """All pages, or as many as are looked at."""
        first = await self._get(CONNECTIONS.format(0))
        total = self._parsed("connz", lambda page: count(page, "total"), first) or 0
        offsets = range(PAGE, min(total, PAGE * MAX_PAGES), PAGE)
        return [first, *await asyncio.gather(*(self._get(CONNECTIONS.format(offset)) for offset in offsets))]

    async def _get(self, path: str) -> Said | None:
        try:
            answer = await ask(
                self.session,
                f"{self.root}/{path}",
                seconds=max(0.001, self.deadline - asyncio.get_running_loop().time()),
                max_bytes=MAX_BODY_BYTES,
                headers={"Host": self.host},
                server_hostname=self.name,
            )
            if answer.status != 200:
                raise Unanswered(f"answers {answer.status}")
            return parse_object(answer.body)
        except (Unanswered, Nonsense) as why:
            self._failed(path.partition("?")[0], why)
            return None

    def _parsed(self, path: str, parse: Callable[[Said], Made], said: Said | None) -> Made | None:
        try:
            return None if said is None else parse(said)
        except Nonsense as why:
            self._failed(path, why)
            return None

    def _failed(self, path: str, why: Exception) -> None:
        self.tell(
            f"{self.root.rpartition('@')[2]}/{path}",
            f"says what cannot be: {why}" if isinstance(why, Nonsense) else str(why),
        )
