"""The sockets: picows on one side, the pure session and the hub on the other. Performs the session's actions.

picows checks masks, opcodes, control frames and close codes; here are the rest of RFC 6455 (fragments and their sum,
UTF-8, reserved bits) and the bound on what may wait for a slow reader.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from push_workloads.common.config import Listen
from push_workloads.common.errors import Unavailable
from push_workloads.common.http import listening_socket
from push_workloads.common.ids import uuid7
from push_workloads.common.sending import Find, Publish
from push_workloads.common.subjects import inbox, inbox_subject
from push_workloads.common.tasks import Spawner
from push_workloads.gateway import codes
from push_workloads.gateway.catchup import CatchUp
from push_workloads.gateway.config import GatewayConfig
from push_workloads.gateway.cursors import CursorWriter
from push_workloads.gateway.devices import Devices, Entered, Notice
from push_workloads.gateway.frames import reconnect_frame
from push_workloads.gateway.handshake import Door
from push_workloads.gateway.hub import Channel, Hub
from push_workloads.gateway.log import Answer, Log
from push_workloads.gateway.presence import PresenceWriter
from push_workloads.gateway.recovery import Delivered
from push_workloads.gateway.session import Action, Cursor, Joining, Ping, Recover, Session, Start, Who

LISTEN_BACKLOG: Final = 4096
FIRST_READ_BYTES: Final = 512  # grows with the frames that come; 16 KiB each would be most of an idle socket's memory
CLOSE_WAIT_SECONDS: Final = 2.0
STALL_SECONDS: Final = 30.0  # a replay waits so long for a client that does not read
TICK_SECONDS: Final = 1.0
TICK_SLICE: Final = 500
JOIN_RETRY_SECONDS: Final = 0.5
MAX_AFTER_MS: Final = 1000
MAX_FRAGMENTS: Final = 256
ENTERING: Final = -1
_log = logging.getLogger(__name__)


class Gateway:
    """Everything that the sockets of this process share."""

    def __init__(
        self,
        config: GatewayConfig,
        hub: Hub,
        log: Log,
        presence: PresenceWriter,
        cursors: CursorWriter,
        devices: Devices,
        spawner: Spawner,
    ) -> None:
        self.config = config
        self.hub = hub
        self.log = log
        self.presence = presence
        self.cursors = cursors
        self.devices = devices
        self.catchup = CatchUp(hub, log)
        self.spawner = spawner
        self.sockets: set[Socket] = set()
        self.draining = False
        self.frames_in = self.frames_out = self.shed = self.displaced = self.accepted = 0
        self.joins = asyncio.Semaphore(64)
        self.left = asyncio.Event()  # some socket went

    def sessions(self) -> Iterable[tuple[str, str]]:
        return [(socket.who.user_id, socket.who.session_id) for socket in self.sockets]

    def connections(self) -> Iterable[tuple[Who, int]]:
        return [(socket.who, socket.number) for socket in self.sockets]

    def displace(self, notice: Notice) -> None:
        """Closes the older connections of a device."""
        for member in self.hub.members(inbox_subject(notice.user_id)):
            if isinstance(member, Socket) and member.who.device_id == notice.device_id:
                member.compare(notice.number)

    async def tick(self) -> None:
        """Once a second, every session in slices, so that no slice holds the loop long."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self.log.sweep()
            waiting = list(self.sockets)
            for start in range(0, len(waiting), TICK_SLICE):
                now = time.monotonic()
                for one in waiting[start : start + TICK_SLICE]:
                    one.tick(now)
                await asyncio.sleep(0)

    def bus_lost(self) -> None:
        for one in tuple(self.sockets):
            one.perform(one.state.bus_lost())

    async def drain(self) -> None:
        """Sends everyone away, spread over `drain_seconds`: each is told when to come back, then closed with 1012."""
        self.draining = True
        leaving = list(self.sockets)
        random.shuffle(leaving)
        pause = self.config.drain_seconds / max(1, len(leaving))
        started = time.monotonic()
        for number, one in enumerate(leaving):
            await asyncio.sleep(max(0.0, started + pause * number - time.monotonic()))
            one.send_away()
        try:
            async with asyncio.timeout(CLOSE_WAIT_SECONDS):
                await self._empty()
        except TimeoutError:
            for one in tuple(self.sockets):
                one.abort()

    async def _empty(self) -> None:
        while self.sockets:
            self.left.clear()
            await self.left.wait()


class Socket(WSListener):
    """One connection: feeds its session and does what that says."""

    __slots__ = (
        "_catching_up", "_channel", "_closing", "_fragments", "_fragments_size", "_gateway", "_paused", "_transport",
        "_writable", "number", "state", "who",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, who: Who) -> None:
        super().__init__()
        self._gateway = gateway
        self.who = who
        self.state: Joining | Session = Joining(who, gateway.config.limits, time.monotonic())
        self._transport: WSTransport | None = None
        self._channel: Channel | None = None
        self._fragments: list[bytes] | None = None
        self._fragments_size = 0
        self._paused = False
        self._closing = False
        self._catching_up: asyncio.Task[None] | None = None
        self._writable: asyncio.Event | None = None  # for a replay that waits
        self.number = ENTERING  # of this connection among those of its device, 0 when it has none

    # picows calls these

    def on_ws_connected(self, transport: WSTransport) -> None:
        gateway = self._gateway
        self._transport = transport
        transport.request.path = b""  # it holds the token; and an idle socket needs no headers
        transport.request.headers.clear()
        gateway.sockets.add(self)
        gateway.accepted += 1
        gateway.presence.connected(self.who.user_id, self.who.session_id)
        self._channel = gateway.hub.join(self, inbox(self.who.user_id), inbox_subject(self.who.user_id))
        for member in gateway.hub.members(inbox_subject(self.who.user_id)):
            if isinstance(member, Socket) and member is not self and member.who.device_id == self.who.device_id:
                member.give_way()  # at once, also without Redis: here the order is known
        entered = gateway.devices.enter(self.who, gateway.hub.epoch)
        entered.add_done_callback(self._entered)
        head = gateway.hub.known_head(self._channel)
        if head is not None and not self.who.resumes:
            self._welcome(head, None)
        else:
            gateway.spawner.spawn(self._join(self._channel, entered))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        try:
            self._on_frame(frame)
        except Exception:  # noqa: BLE001 - one client's frame must not end the process
            _log.exception("a frame could not be handled", extra={"session_id": self.who.session_id})
            self.close(codes.INTERNAL, "internal error")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        gateway = self._gateway
        self._closing = True
        gateway.sockets.discard(self)
        gateway.left.set()
        if self._channel is not None:
            gateway.hub.leave(self, self._channel)
            if self.number != ENTERING:
                gateway.devices.leave(self.who, self.number)
            if self._catching_up is not None:
                self._catching_up.cancel()
            gateway.presence.disconnected(self.who.user_id, self.who.session_id)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._writable is not None:
            self._writable.set()

    # Frames in

    def _on_frame(self, frame: WSFrame) -> None:
        kind = frame.msg_type
        if self._closing and kind != WSMsgType.CLOSE:
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(codes.PROTOCOL_ERROR, "reserved bits without an extension")
        elif kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            self._gateway.frames_in += 1
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self.close(codes.NOT_UTF8, "not UTF-8")
            else:
                self._on_text(text)
        elif kind == WSMsgType.CLOSE:
            self._closing = True
            self._echo_close(frame)
        elif kind == WSMsgType.PONG:
            self.state.heard(time.monotonic())
        else:
            self._on_fragment(kind, frame)

    def _on_text(self, text: str) -> None:
        self.perform(self.state.on_frame(text, time.monotonic(), _wall_ms(), os.urandom(10)))

    def _on_fragment(self, kind: WSMsgType, frame: WSFrame) -> None:
        """A message in several frames, or one that is not text (RFC 6455 §5.4)."""
        if (kind == WSMsgType.CONTINUATION) == (self._fragments is None):
            self.close(codes.PROTOCOL_ERROR, "a continuation without a beginning, or the reverse")
            return
        if self._fragments is None:
            # The first entry only remembers the kind, so that the sum below is of payloads.
            self._fragments, self._fragments_size = [b"t" if kind == WSMsgType.TEXT else b"b"], 0
        self._fragments.append(frame.get_payload_as_bytes())
        self._fragments_size += frame.payload_size
        too_big = self._fragments_size > 2 * self._gateway.config.limits.max_frame_bytes
        if too_big or len(self._fragments) > MAX_FRAGMENTS:
            self._fragments = None
            self.close(codes.TOO_BIG, "message too big, or in too many pieces")
        elif frame.fin:
            whole, self._fragments = self._fragments, None
            self._gateway.frames_in += 1
            self._on_whole(whole[0] == b"t", b"".join(whole[1:]))

    def _on_whole(self, is_text: bool, payload: bytes) -> None:
        if not is_text:
            if isinstance(self.state, Session):
                self.perform(self.state.not_text(time.monotonic()))
            return
        try:
            self._on_text(payload.decode())
        except UnicodeDecodeError:
            self.close(codes.NOT_UTF8, "not UTF-8")

    def _echo_close(self, frame: WSFrame) -> None:
        if self._transport is None:
            return
        if frame.payload_size:
            self._transport.send_close(frame.get_close_code())
        else:  # a close without a code is answered by one without: 0 is none (RFC 6455 §7.4)
            self._transport.send(WSMsgType.CLOSE, None)
        self._transport.disconnect()

    # What the session says

    def perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self._do(action)

    def _do(self, action: Action) -> None:
        if isinstance(action, bytes):
            self.send(action)
        elif isinstance(action, Publish):
            self._gateway.log.publish(action, partial(self._published, action.message_id))
        elif isinstance(action, Find):
            self._gateway.spawner.spawn(self._find(action))
        elif isinstance(action, Recover):
            self._catch_up(action)
        elif isinstance(action, Cursor):
            self._gateway.cursors.moved(self.who.user_id, self.who.device_id, action)
        elif isinstance(action, Ping):
            if self._transport is not None and not self._closing:
                self._transport.send_ping()
        else:
            self.close(action.code, action.reason)

    def _published(self, message_id: str, answer: Answer) -> None:
        # Also after the socket is gone: a message whose first copy is stored gets its second.
        if isinstance(self.state, Session):
            if answer.failure is None:
                self.perform(self.state.published(message_id, answer.seq, answer.duplicate))
            else:
                self.perform(self.state.failed(message_id, answer.failure))

    async def _find(self, question: Find) -> None:
        if not isinstance(self.state, Session):
            return
        try:
            stored = await self._gateway.log.stored(question.subject, question.seq)
        except Unavailable as error:
            self.perform(self.state.failed(question.message_id, error.message))
        else:
            self.perform(self.state.found(question.message_id, question.seq, stored))

    # Catching up

    def _catch_up(self, request: Recover) -> None:
        if self._catching_up is not None:
            self._catching_up.cancel()
        if isinstance(self.state, Session) and self._channel is not None and not self._closing:
            work = self._gateway.catchup.run(self, self.state, self._channel, request)
            self._catching_up = self._gateway.spawner.spawn(work)

    def perform_paced(self, actions: Iterable[Action]) -> None:
        """For who waits until it is `drained`: what then stands in the queue is no reason to close."""
        for action in actions:
            if isinstance(action, bytes):
                self._write(action)
            else:
                self._do(action)

    async def drained(self) -> bool:
        """Waits until the client has read most of what it was sent; False when it is gone, or does not read."""
        if self._paused and not self._closing:
            self._writable = asyncio.Event()
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self._writable.wait()
            except TimeoutError:
                self._fell_behind()
            finally:
                self._writable = None
        return not self._closing

    # The same device elsewhere

    def _entered(self, entered: asyncio.Future[Entered]) -> None:
        if entered.cancelled():
            return
        self.number = entered.result().number
        if self.number < 0:
            self.number = 0
            self.give_way()
        if self not in self._gateway.sockets:  # it went in the meantime
            self._gateway.devices.leave(self.who, self.number)

    def compare(self, number: int) -> None:
        """A connection of this device has that number."""
        if self.number != ENTERING and self.number < number:
            self.give_way()

    def give_way(self) -> None:
        if not self._closing:
            self._gateway.displaced += 1
            self.close(codes.DISPLACED, "the same device connected elsewhere")

    # The hub calls these

    def deliver(self, message: Delivered) -> None:
        action = self.state.deliver(message)
        if action is not None:
            self._do(action)

    def close(self, code: int, reason: str) -> None:
        """Says goodbye with a close code; the transport goes when the client answers, or after a moment."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self._transport.send_close(cast(WSCloseCode, code), reason.encode()[:120])
        asyncio.get_running_loop().call_later(CLOSE_WAIT_SECONDS, self._transport.disconnect, False)

    def send_away(self) -> None:
        """Tells the client to come back after a random moment, then closes with 1012."""
        self.send(reconnect_frame(random.randrange(MAX_AFTER_MS), "restart"))  # noqa: S311 - spreads reconnects
        self.close(codes.RESTART, "restart")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(False)

    def send(self, frame: bytes) -> None:
        self._write(frame)
        if self._paused:
            self._check_backlog()

    def _write(self, frame: bytes) -> None:
        if self._closing or self._transport is None:
            return
        self._gateway.frames_out += 1
        self._transport.send(WSMsgType.TEXT, frame)

    def _check_backlog(self) -> None:
        transport = cast(WSTransport, self._transport).underlying_transport
        if transport.get_write_buffer_size() > self._gateway.config.max_outbound_bytes:
            self._fell_behind()

    def _fell_behind(self) -> None:
        # A close frame would wait behind what the client does not read.
        self._gateway.shed += 1
        self.close(codes.FELL_BEHIND, "read too slowly")
        self.abort()

    # Time

    def tick(self, now: float) -> None:
        if not self._closing:
            self.perform(self.state.tick(now))

    async def _join(self, channel: Channel, entered: asyncio.Future[Entered]) -> None:
        """Asks where the device goes on and where the inbox ends, until the log answers or the session's tick gives
        up."""
        start = (await entered).start if self.who.resumes else None
        if isinstance(start, str):
            self._gateway.catchup.count(start)
        while not self._closing:
            try:
                head = self._gateway.hub.known_head(channel)
                if head is None:
                    async with self._gateway.joins:
                        head = await self._gateway.hub.ask_head(channel)
            except Unavailable:
                await asyncio.sleep(JOIN_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries
            else:
                self._welcome(head, start)
                return

    def _welcome(self, head: int, start: Start) -> None:
        if isinstance(self.state, Joining):
            hub = self._gateway.hub
            # What is below the floor is gone: to begin there keeps the cursor of an empty inbox from growing too old.
            head = max(head, hub.floor - 1)
            now, wall_ms = time.monotonic(), _wall_ms()
            self.state, actions = self.state.welcome(hub.epoch, head, now, wall_ms, os.urandom(10), start)
            self.perform(actions)


@asynccontextmanager
async def accepting(gateway: Gateway, door: Door, listen: Listen) -> AsyncIterator[None]:
    """Accepts sockets while open. Leaving it first stops accepting: what waits on a shared listening socket is then
    the other gateways'."""
    where: dict[str, Any] = {"host": listen.host, "port": listen.port}
    if listen.fd is not None:
        where = {"sock": listening_socket(listen.fd)}

    def enter(request: Any) -> Any:
        return door.admit(request, lambda who: Socket(gateway, who))

    # It says a line for every connection and every broken frame, and at its lowest level the token of the request.
    logging.getLogger("picows").setLevel(logging.CRITICAL)
    server = await ws_create_server(
        enter,
        **where,
        backlog=LISTEN_BACKLOG,
        websocket_handshake_timeout=5,
        max_frame_size=2 * gateway.config.limits.max_frame_bytes,
        read_buffer_init_size=FIRST_READ_BYTES,
        use_aiofastnet=False,
        # An adapter instead of a logger: picows makes a child logger per connection of the latter.
        logger_name=cast(Any, logging.LoggerAdapter(logging.getLogger("picows"), {})),
    )
    try:
        yield
    finally:
        server.close()


def new_who(user_id: str, device_id: str | None, expires_at: int, resumes: bool) -> Who:
    """A session of its own, on a device that is named or new. `expires_at` is Unix seconds."""
    wall_ms = _wall_ms()
    ends_at = time.monotonic() + expires_at - wall_ms / 1000
    session_id = uuid7(wall_ms, os.urandom(10))
    return Who(user_id, device_id or uuid7(wall_ms, os.urandom(10)), session_id, ends_at, resumes)


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
