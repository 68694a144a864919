"""One connection to Apple: aioapns's, with what it lacks.

Of aioapns 4.0 this mends: received DATA is acknowledged, so that 64 KiB of error bodies do not end it; RST_STREAM is
an answer; a send that is cancelled or comes too late resets its own stream and nothing else; nothing is kept of a
request that is over; a request waits for the peer's window and is never half sent. And of h2: after GOAWAY the streams
that the peer still answers are finished.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple

from aioapns.connection import APNsTLSClientProtocol
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from hpack import NeverIndexedHeaderTuple
from hyperframe.frame import Frame, GoAwayFrame

from push_workloads.push.apns.outcome import BUSY, Answered, Lost, NotProcessed, Outcome
from push_workloads.push.apns.payload import Request

IDLE_SECONDS: Final = 600.0
MAX_STREAMS: Final = 256  # h2 looks at all of them for each new one
MAX_WAITING: Final = 1024
MAX_BODY: Final = 4096
_PING: Final = b"are you?"
_UNIQUE: Final = frozenset({b"apns-expiration", b"apns-collapse-id"})  # not worth a place in the table of known headers


class Limits(NamedTuple):
    """Seconds: `connect` until the peer has sent its settings, `wait` for a stream of one's own, `answer` for what was
    sent, `alive` for the answer to a ping."""

    connect: float = 4.0
    wait: float = 3.0
    answer: float = 10.0
    alive: float = 3.0


class _Stream:
    """A request from when it waits for its stream until its outcome. `id` 0: not sent yet."""

    __slots__ = ("authorization", "body", "headers", "id", "limit", "outcome", "request", "status")

    def __init__(self, request: Request, authorization: str, limit: asyncio.Timeout) -> None:
        self.request = request
        self.authorization = authorization
        self.limit = limit
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.id = 0
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    def settle(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def answer(self) -> Answered:
        return Answered(self.status, self.body, self._header(b"apns-id"), self._header(b"retry-after"))

    def _header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class _Http2(H2Connection):
    """h2 closes at a GOAWAY and calls whatever follows an error; the peer goes on up to the stream that it names."""

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        event = ConnectionTerminated()
        event.error_code = _code(frame.error_code)
        event.last_stream_id = frame.last_stream_id
        event.additional_data = frame.additional_data or None
        return [], [event]


class Connection(APNsTLSClientProtocol):
    """`leaving` is told once, when no new request may come: the peer says so, or it is gone."""

    def __init__(self, authority: str, leaving: Callable[[Connection], None], limits: Limits) -> None:
        super().__init__("", asyncio.get_running_loop())
        # Our headers are right as they are; untouched, the provider token is sent once and then named by a number.
        self.conn = _Http2(H2Configuration(normalize_outbound_headers=False, validate_outbound_headers=False))
        self._fixed = ((b":method", b"POST"), (b":scheme", b"https"), (b":authority", authority.encode()))
        self._leaving = leaving
        self._limits = limits
        self._streams: dict[int, _Stream] = {}
        self._waiting: deque[_Stream] = deque()
        self._probe: asyncio.Future[bool] | None = None
        self._probe_timer: asyncio.TimerHandle | None = None
        self._heard_at = self._used_at = self.loop.time()
        self.ready: asyncio.Future[None] = self.loop.create_future()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.draining = False
        self._pumping = False

    @property
    def load(self) -> int:
        """Requests under way or waiting."""
        return len(self._streams) + len(self._waiting)

    @property
    def is_busy(self) -> bool:
        return self.load >= self._most_streams()

    @property
    def silent_s(self) -> float:
        """For how long nothing was heard."""
        return self.loop.time() - self._heard_at

    async def post(self, request: Request, authorization: str) -> Outcome:
        """Ends within the limits of `wait` and `answer`."""
        if self.draining or len(self._waiting) >= MAX_WAITING:
            return NotProcessed("the connection ends") if self.draining else BUSY
        stream = None
        try:
            async with asyncio.timeout(self._limits.wait) as limit:
                stream = _Stream(request, authorization, limit)
                self._waiting.append(stream)
                self._pump_soon()
                return await stream.outcome
        except TimeoutError:
            return self._too_late(stream)
        finally:
            if stream is not None:
                self._forget(stream)

    def probe(self) -> asyncio.Future[bool]:
        """Whether the peer is there, within the limit of `alive`; if it is not the connection is cut."""
        if self._probe is None:
            self._probe = self.loop.create_future()
            self._probe_timer = self.loop.call_later(self._limits.alive, self.abort)
            self.conn.ping(_PING)
            self.flush()
        return self._probe

    def drain(self) -> None:
        """No new request; closes when those under way are over. Those that wait go elsewhere."""
        if not self.draining:
            self.draining = True
            self._leaving(self)
        while self._waiting:
            self._waiting.popleft().settle(NotProcessed("the connection ends"))
        if not self._streams:
            self.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    # asyncio's and aioapns's calls

    def close(self) -> None:
        """Once: asyncio forgets a TLS transport that is closed again, and its socket stays open."""
        if self.transport is not None and not self.transport.is_closing():
            super().close()

    def flush(self) -> None:
        data = self.conn.data_to_send()
        if data and self.transport is not None:
            self.transport.write(data)

    def refresh_inactivity_timer(self) -> None:
        """Looks at its end whether it was idle: to set it anew with each request would cost more than the request."""
        self.inactivity_timer = self.loop.call_later(IDLE_SECONDS, self._close_if_idle)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        try:
            events = self.conn.receive_data(data)
        except ProtocolError:
            self._lose()
            self.abort()
            return
        for event in events:
            handle = self._handlers.get(type(event))
            if handle is not None:
                handle(self, event)
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        if self._probe is not None:
            self._probe.set_result(False)
            self._probe = None
        self._lose()
        for future in (self.ready, self.closed):
            if not future.done():
                future.set_result(None)

    # what the peer says

    def _on_settings(self, _: RemoteSettingsChanged) -> None:
        if not self.ready.done():
            self.ready.set_result(None)

    def _on_response(self, event: ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.headers = dict(event.headers)
            status = stream.headers.get(b":status", b"")
            stream.status = int(status) if status.isdigit() else 0

    def _on_data(self, event: DataReceived) -> None:
        self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.body = (stream.body + event.data)[:MAX_BODY]

    def _on_end(self, event: StreamEnded) -> None:
        stream = self._streams.pop(event.stream_id, None)
        if stream is not None:
            stream.settle(stream.answer() if stream.status else Lost("an answer without a status"))

    def _on_reset(self, event: StreamReset) -> None:
        stream = self._streams.pop(event.stream_id, None)
        if stream is None:
            return
        if stream.status:
            stream.settle(stream.answer())
        elif event.error_code == ErrorCodes.REFUSED_STREAM:  # RFC 9113 §8.7: nothing was done with it
            stream.settle(NotProcessed("the stream was refused"))
        else:
            stream.settle(Lost("the stream was reset"))

    def _on_goaway(self, event: ConnectionTerminated) -> None:
        last = event.last_stream_id or 0
        for stream_id in [one for one in self._streams if one > last]:  # RFC 9113 §6.8: nor was anything with these
            self._streams.pop(stream_id).settle(NotProcessed("the connection ends"))
        self.drain()

    def _on_pong(self, _: PingAckReceived) -> None:
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        if self._probe is not None:
            self._probe.set_result(True)
            self._probe = None

    _handlers: ClassVar[dict[type[Event], Callable[[Connection, Any], None]]] = {
        RemoteSettingsChanged: _on_settings,
        ResponseReceived: _on_response,
        DataReceived: _on_data,
        StreamEnded: _on_end,
        StreamReset: _on_reset,
        ConnectionTerminated: _on_goaway,
        PingAckReceived: _on_pong,
    }

    # a request's way

    def _most_streams(self) -> int:
        """Apple allows one until it has seen a good provider token."""
        return min(MAX_STREAMS, self.conn.remote_settings.max_concurrent_streams)

    def _pump_soon(self) -> None:
        """What comes in one turn of the loop goes out in one packet."""
        if not self._pumping:
            self._pumping = True
            self.loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Sends what may be sent now. Called whenever that may have changed."""
        self._pumping = False
        while self._waiting and len(self._streams) < self._most_streams() and self._fits(self._waiting[0]):
            stream = self._waiting.popleft()
            if not stream.outcome.done():  # nobody waits for it any more
                self._send(stream)
        self.flush()
        if self.draining and not self._streams:
            self.close()

    def _fits(self, stream: _Stream) -> bool:
        window = min(self.conn.outbound_flow_control_window, self.conn.remote_settings.initial_window_size)
        return len(stream.request.body) <= window

    def _send(self, stream: _Stream) -> None:
        stream.id = self.conn.get_next_available_stream_id()
        named = [NeverIndexedHeaderTuple(*one) if one[0] in _UNIQUE else one for one in stream.request.headers]
        path = NeverIndexedHeaderTuple(b":path", stream.request.path)
        who = (b"authorization", stream.authorization.encode())
        self.conn.send_headers(stream.id, [*self._fixed, path, who, *named])
        self.conn.send_data(stream.id, stream.request.body, end_stream=True)
        self._streams[stream.id] = stream
        self._used_at = self.loop.time()
        stream.limit.reschedule(self._used_at + self._limits.answer)
        if stream.id >= H2Connection.HIGHEST_ALLOWED_STREAM_ID - 2:
            self.drain()

    def _lose(self) -> None:
        """All that is under way, but for what was answered in part."""
        lost, self._streams = self._streams, {}
        for stream in lost.values():
            stream.settle(stream.answer() if stream.status else Lost("the connection was lost"))
        self.drain()

    def _too_late(self, stream: _Stream | None) -> Outcome:
        if stream is None or not stream.id:
            return BUSY
        if stream.outcome.done() and not stream.outcome.cancelled():  # it came in the same turn of the loop
            return stream.outcome.result()
        self.probe()  # slow, or gone?
        return Lost(f"no answer within {self._limits.answer:g} s")

    def _forget(self, stream: _Stream) -> None:
        """At its end, whatever that was. If the peer is still at it, it is told not to be."""
        if self._streams.pop(stream.id, None) is not None:
            self.conn.reset_stream(stream.id, ErrorCodes.CANCEL)
            self._pump()
        elif not stream.id and stream in self._waiting:
            self._waiting.remove(stream)

    def _close_if_idle(self) -> None:
        idle = self.loop.time() - self._used_at
        if idle >= IDLE_SECONDS and not self.load:
            self.drain()
        else:
            self.inactivity_timer = self.loop.call_later(max(IDLE_SECONDS - idle, 1.0), self._close_if_idle)


def _code(number: int) -> ErrorCodes | int:
    try:
        return ErrorCodes(number)
    except ValueError:
        return number
