"""An HTTP/2 peer that does what a test says, where pushy's server always behaves: GOAWAY, RST_STREAM, silence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame
from tests.support.apns.pushy import KEY_ID, TEAM_ID, TOPIC, pem
from tests.support.smtp import certified

from push_workloads.push.apns.config import ApnsConfig


class Asked:
    """A request that has come whole."""

    def __init__(self, link: Link, stream_id: int, headers: dict[str, str], body: bytes) -> None:
        self.link = link
        self.stream_id = stream_id
        self.headers = headers
        self.body = body

    @property
    def token(self) -> str:
        return self.headers[":path"].removeprefix("/3/device/")

    def answer(self, status: int = 200, reason: str | None = None, **headers: str) -> None:
        """`headers`: `_` for `-`."""
        more = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.link.conn.send_headers(self.stream_id, [(":status", str(status)), *more], end_stream=reason is None)
        if reason is not None:
            self.link.conn.send_data(self.stream_id, json.dumps({"reason": reason}).encode(), end_stream=True)
        self.link.flush()

    def reset(self, code: ErrorCodes) -> None:
        self.link.conn.reset_stream(self.stream_id, code)
        self.link.flush()


class Link(asyncio.Protocol):
    """A connection. `resets`: streams that the client has given up."""

    def __init__(self, peer: ScriptedPeer) -> None:
        self._peer = peer
        self._headers: dict[int, dict[str, str]] = {}
        self._bodies: dict[int, bytes] = {}
        self._unacknowledged: list[tuple[int, int]] = []
        self.conn = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.transport: asyncio.Transport | None = None
        self.resets: list[int] = []
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._peer.links.append(self)
        if self._peer.silent:
            return
        most = {SettingCodes.MAX_CONCURRENT_STREAMS: self._peer.streams}
        self.conn.local_settings = Settings(client=False, initial_values=most)
        self.conn.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._peer.silent:
            return
        for event in self.conn.receive_data(data):
            match event:
                case RequestReceived():
                    self._headers[event.stream_id] = {str(name): str(value) for name, value in event.headers}
                    self._bodies[event.stream_id] = b""
                case DataReceived():
                    self._bodies[event.stream_id] += event.data
                    self._unacknowledged.append((event.flow_controlled_length, event.stream_id))
                case StreamEnded():
                    self._ask(event.stream_id)
                case StreamReset():
                    self.resets.append(event.stream_id)
        if self._peer.acknowledges:
            self.acknowledge()
        self.flush()

    def acknowledge(self) -> None:
        for length, stream_id in self._unacknowledged:
            self.conn.acknowledge_received_data(length, stream_id)
        self._unacknowledged.clear()
        self.flush()

    def goaway(self, last_stream_id: int) -> None:
        """And goes on with the streams up to that one."""
        self.flush()
        assert self.transport is not None
        self.transport.write(GoAwayFrame(0, last_stream_id=last_stream_id).serialize())

    def cut(self) -> None:
        assert self.transport is not None
        self.transport.abort()

    def flush(self) -> None:
        assert self.transport is not None
        self.transport.write(self.conn.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True

    def _ask(self, stream_id: int) -> None:
        asked = Asked(self, stream_id, self._headers.pop(stream_id), self._bodies.pop(stream_id))
        self._peer.asked.append(asked)
        self._peer.behave(asked)


class ScriptedPeer:
    """`behave`: what it does with each request; nothing, unless a test says so. `streams`: how many at a time.
    `silent`: never says a word. `acknowledges`: gives back the window for what it has received."""

    def __init__(self, certificate: Path) -> None:
        self.certificate = certificate
        self.port = 0
        self.links: list[Link] = []
        self.asked: list[Asked] = []
        self.behave: Callable[[Asked], None] = lambda _: None
        self.streams = 100
        self.silent = False
        self.acknowledges = True

    def config(self, *, connections: int = 1) -> ApnsConfig:
        key = pem(ec.generate_private_key(ec.SECP256R1()))
        return ApnsConfig(key, KEY_ID, TEAM_ID, TOPIC, "127.0.0.1", self.port, connections, str(self.certificate))


@asynccontextmanager
async def scripted_peer(folder: Path, *, alpn: bool = True) -> AsyncIterator[ScriptedPeer]:
    context, certificate = certified(folder)
    if alpn:
        context.set_alpn_protocols(["h2"])
    peer = ScriptedPeer(certificate)
    server = await asyncio.get_running_loop().create_server(lambda: Link(peer), "127.0.0.1", 0, ssl=context)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for link in peer.links:
            link.cut()
