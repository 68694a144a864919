"""A client by Server-Sent Events (the HTML standard, §9.2): for those who cannot hold a WebSocket. It only listens.

Each frame of the protocol is one event. Its `id` holds the client's cursors, so a browser's EventSource, which comes
back with `Last-Event-ID` by itself, is resumed wherever it connects. Long cursors do not go with every event: what
follows the last that had them comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from push_workloads.common.config import Listen
from push_workloads.common.errors import BadRequest, PushError
from push_workloads.common.http import SECURITY_HEADERS, cors, edge, serving
from push_workloads.common.listening import Listener
from push_workloads.common.subjects import inbox
from push_workloads.gateway.actions import Who
from push_workloads.gateway.cursor_text import MAX_CHARS, format_cursors, parse_cursors
from push_workloads.gateway.frames import MAX_CHANNELS, Place, encode
from push_workloads.gateway.gateway import Gateway
from push_workloads.gateway.handshake import Door
from push_workloads.gateway.peer import Peer

PATH: Final = "/sse"
MAX_TOPICS: Final = 32  # of one `channels`
HIGH_WATER_BYTES: Final = 65_536
WRITE_SECONDS: Final = 30.0
SHORT_ID_CHARS: Final = 256  # goes with every event
LONG_ID_SECONDS: Final = 1.0
DEAD_MS: Final = 60_000  # unacknowledged bytes for so long: the client is gone (RFC 5482)


class _Numbered(Struct):
    """What of a frame moves a cursor."""

    type: str
    channel: str = ""
    epoch: str = ""
    seq: int = 0
    since: int = 0
    resumes: bool = False
    inbox: Place | None = None


_decode: Final = msgspec.json.Decoder(_Numbered).decode


class Cursors:
    """How far the client has been told each channel. Pure."""

    def __init__(self, inbox_channel: str, places: dict[str, Place]) -> None:
        self._inbox = inbox_channel
        self._places = places
        self._told_at = -LONG_ID_SECONDS

    def follow(self, frame: bytes) -> None:
        read = _decode(frame)
        if read.type == "welcome" and not read.resumes and read.inbox is not None:
            self._places[self._inbox] = read.inbox
        elif read.type == "subscribed":
            self._places[read.channel] = Place(read.epoch, read.since)
        elif read.type in ("message", "membership"):
            self._places[read.channel] = Place(read.epoch, read.seq)

    def line(self, now: float) -> bytes:
        """The `id` of the event that follows; empty when it has none."""
        if not self._places:
            return b""
        text = format_cursors(self._inbox, self._places)
        if len(text) > SHORT_ID_CHARS and now - self._told_at < LONG_ID_SECONDS:
            return b""
        self._told_at = now
        return b"id: %b\n" % text.encode()


class Stream:
    """One connection; the peer's `Wire`. What is sent waits in a queue that one task empties."""

    kind: ClassVar = "sse"

    def __init__(self, gateway: Gateway, who: Who, places: dict[str, Place], topics: list[str]) -> None:
        self._peer = Peer(gateway, who)
        self._cursors = Cursors(inbox(who.user_id), places)
        self._queue: list[bytes] = []
        self._queued = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._running: asyncio.Task[None] | None = None
        # Before the welcome, so that they count as the client's first.
        if places:
            self._peer.on_text(_resume(places).decode())
        for topic in topics:
            if topic not in places:
                self._peer.on_text(encode({"type": "subscribe", "channel": topic}).decode())

    async def run(self, response: web.StreamResponse) -> None:
        """Until either side ends it."""
        self._running = asyncio.current_task()
        self._peer.connected(self)
        try:
            while not (self._ended and not self._queue):
                await self._wake.wait()
                self._wake.clear()
                await self._write(response)
        except (ConnectionError, TimeoutError):
            pass  # gone, or does not read: it comes back with its cursors
        finally:
            self._peer.disconnected()

    async def _write(self, response: web.StreamResponse) -> None:
        chunk, self._queue, self._queued = b"".join(self._queue), [], 0
        async with asyncio.timeout(WRITE_SECONDS):
            await response.write(chunk)
        self._peer.heard()  # it takes what it is sent: more is not to be had of a client that only listens
        if self._queued < HIGH_WATER_BYTES:
            self._peer.resume()

    # The peer calls these

    def send(self, frame: bytes) -> None:
        self._cursors.follow(frame)
        # A line break can only be white space between the tokens of JSON.
        line = frame.replace(b"\n", b" ").replace(b"\r", b" ")
        self._put(b"%bdata: %b\n\n" % (self._cursors.line(asyncio.get_running_loop().time()), line))

    def ping(self) -> None:
        self._put(b":\n\n")

    def buffered(self) -> int:
        return self._queued

    def waits(self) -> bool:
        return False  # it sends nothing

    def close(self, code: int, reason: str) -> None:
        self._put(b"event: close\ndata: %b\n\n" % encode({"code": code, "reason": reason}))
        self._ended = True

    def disconnect(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def _put(self, event: bytes) -> None:
        if self._ended:
            return
        self._queue.append(event)
        self._queued += len(event)
        self._wake.set()
        if self._queued > HIGH_WATER_BYTES:
            self._peer.pause()


@asynccontextmanager
async def streaming(gateway: Gateway, door: Door, listen: Listen, origins: tuple[str, ...]) -> AsyncIterator[Listener]:
    """Serves `GET /sse` while open."""
    allowed = frozenset(origins)

    async def stream(request: web.Request) -> web.StreamResponse:
        try:
            who = door.who(request.query_string, request.headers)
        except PushError as error:
            door.count(error)
            raise
        who.places_itself = False  # it cannot say anything later: where it goes on stands in the request
        last = request.headers.get("Last-Event-ID") or request.query.get("last_event_id")
        made = Stream(
            gateway,
            who,
            _places(who, last, gateway.config.limits.max_frame_bytes),
            _topics(request.query.get("channels", "")),
        )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        response.headers.update(cors(request.headers.get("Origin"), allowed))
        response.headers.update(SECURITY_HEADERS)
        await response.prepare(request)
        if request.transport is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            with contextlib.suppress(OSError):
                raw = request.transport.get_extra_info("socket")
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MS)
        await made.run(response)
        return response

    app = web.Application(middlewares=[edge(allowed)])
    app.router.add_get(PATH, stream, allow_head=False)  # to look at the headers is no session
    async with serving(app, listen, ends_with_client=True, max_field_size=2 * MAX_CHARS) as listener:
        yield listener


def _places(who: Who, last_event_id: str | None, max_frame_bytes: int) -> dict[str, Place]:
    if not last_event_id:
        return {}
    try:
        places = parse_cursors(inbox(who.user_id), last_event_id)
    except ValueError as error:
        raise BadRequest("Last-Event-ID: leave it out, or send the id of an event as it came") from error
    if len(places) > MAX_CHANNELS or len(_resume(places)) > max_frame_bytes:
        raise BadRequest("Last-Event-ID: more channels than one connection may resume")
    return places


def _resume(places: dict[str, Place]) -> bytes:
    return encode({"type": "resume", "channels": places})


def _topics(text: str) -> list[str]:
    topics = [name for name in text.split(",") if name]
    if len(topics) > MAX_TOPICS:
        raise BadRequest(f"channels: at most {MAX_TOPICS}, separated by commas")
    return topics
