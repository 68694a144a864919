"""The connections to Apple: a few, opened when they are needed, each with many requests under way."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Final, NamedTuple

from aioapns.connection import APNsBaseConnectionPool

from push_workloads.push.apns.config import ApnsConfig
from push_workloads.push.apns.connection import Connection, Limits
from push_workloads.push.apns.outcome import BUSY, NotProcessed, Outcome
from push_workloads.push.apns.payload import Request

PAUSE_SECONDS: Final = 1.0  # between a failure to connect and the next try
SILENT_SECONDS: Final = 60.0  # then it is asked whether it is there before it is trusted with a request
AGAIN_SECONDS: Final = 5.0  # for how long what was surely not processed is tried again
TRIES: Final = 3
CLOSE_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)


class Unreachable(NamedTuple):
    """`ours`: whoever answers there is not trusted, or speaks no HTTP/2: a fault of the configuration."""

    reason: str
    ours: bool = False


class Pool(APNsBaseConnectionPool):
    """`connections` has those that take requests. Ours to open, to watch and to close; aioapns's own way waits in a
    loop, and sends again what may have been sent."""

    connections: list[Connection]  # type: ignore[assignment]  # no others are made here

    def __init__(self, config: ApnsConfig, trusted: ssl.SSLContext, limits: Limits) -> None:
        super().__init__(topic=config.topic, max_connections=config.connections)
        self.protocol_class = Connection
        self.ssl_context = trusted
        self._config = config
        self._limits = limits
        self._leaving: set[Connection] = set()
        self._opening: asyncio.Task[Connection | Unreachable] | None = None
        self._failed: tuple[float, Unreachable] | None = None

    async def post(self, request: Request, authorization: str) -> Outcome | Unreachable:
        """What became of it, within 25 s: AGAIN_SECONDS and one whole try."""
        until = self.loop.time() + AGAIN_SECONDS
        for _ in range(TRIES):
            connection = await self.lend()
            if isinstance(connection, Unreachable):
                return connection
            outcome = await connection.post(request, authorization)
            if not (isinstance(outcome, NotProcessed) and outcome.elsewhere) or self.loop.time() > until:
                return outcome
        return BUSY

    async def lend(self) -> Connection | Unreachable:
        """The one with the least to do that is there; another one when all have as much as they may."""
        best = self._best()
        if best is not None and best.silent_s > SILENT_SECONDS:
            await asyncio.shield(best.probe())  # one that is not there leaves
        for _ in range(self.max_connections + 1):  # others wait for the same one: it may be busy by our turn
            best = self._best()
            if best is not None and (not best.is_busy or len(self.connections) >= self.max_connections):
                return best
            opened = await self._another()
            if isinstance(opened, Unreachable):
                return best or opened
        return Unreachable("unreachable")

    async def aclose(self) -> None:
        """Ends them all. What is under way is lost: whoever closes has waited for it."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        held = {*self._leaving, *self.connections}
        for connection in held:
            connection.drain()
            connection.abort()
        if held:
            await asyncio.wait([connection.closed for connection in held], timeout=CLOSE_SECONDS)

    async def create_connection(self) -> Connection:
        """Raises OSError (ssl's errors among them), TimeoutError, or NoHttp2."""
        made: Connection | None = None
        try:
            async with asyncio.timeout(self._limits.connect):
                transport, made = await self.loop.create_connection(
                    lambda: Connection(self._config.host, self._leave, self._limits),
                    self._config.host,
                    self._config.port,
                    ssl=self.ssl_context,
                )
                tls = transport.get_extra_info("ssl_object")
                if tls is None or tls.selected_alpn_protocol() != "h2":
                    raise NoHttp2
                await asyncio.shield(made.ready)
        except BaseException:
            if made is not None:
                made.abort()
            raise
        if made.draining:
            raise ConnectionResetError("closed before it was ready")
        return made

    def _best(self) -> Connection | None:
        return min(self.connections, key=lambda one: one.load, default=None)

    async def _another(self) -> Connection | Unreachable:
        """One is opened at a time, for all who wait for it."""
        if self._failed is not None and self.loop.time() < self._failed[0]:
            return self._failed[1]
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        return await asyncio.shield(self._opening)

    async def _open(self) -> Connection | Unreachable:
        try:
            made = await self.create_connection()
        except (OSError, NoHttp2) as error:  # TimeoutError is an OSError
            failure = _why(error)
            if self._failed is None:  # once, until it is there again
                _log.warning("no connection to Apple's push service: %s", failure.reason)
            self._failed = (self.loop.time() + PAUSE_SECONDS, failure)
            return failure
        finally:
            self._opening = None
        self._failed = None
        self.connections.append(made)
        return made

    def _leave(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
        self._leaving.add(connection)
        connection.closed.add_done_callback(lambda _: self._leaving.discard(connection))


class NoHttp2(Exception):
    """Whoever answered did not choose `h2`."""


def _why(error: Exception) -> Unreachable:
    if isinstance(error, NoHttp2):
        return Unreachable("no HTTP/2", ours=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unreachable("certificate not trusted", ours=True)
    return Unreachable("unreachable")


def context_of(ca: str | None) -> ssl.SSLContext:
    """`ca`: a file of certificates in place of the system's. Raises OSError when it is not there or holds none."""
    trusted = ssl.create_default_context(cafile=ca)
    trusted.set_alpn_protocols(["h2"])
    return trusted
