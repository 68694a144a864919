"""A client by WebSocket: picows on one side, a `Peer` on the other.

picows checks masks, opcodes, control frames and close codes; here are the rest of RFC 6455: fragments and their sum,
UTF-8, reserved bits.
"""

from __future__ import annotations

import logging
from typing import ClassVar, Final, cast

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from push_workloads.gateway import codes
from push_workloads.gateway.actions import Who
from push_workloads.gateway.gateway import Gateway
from push_workloads.gateway.peer import Peer

MAX_FRAGMENTS: Final = 256
MAX_REASON_BYTES: Final = 120  # of a close frame, RFC 6455 §5.5
_log = logging.getLogger(__name__)


class Socket(WSListener):
    """One connection; the peer's `Wire`."""

    kind: ClassVar = "ws"

    __slots__ = ("_fragments", "_fragments_size", "_ingress", "_most", "_peer", "_transport")

    def __init__(self, gateway: Gateway, who: Who) -> None:
        super().__init__()
        self._peer = Peer(gateway, who)
        self._ingress = gateway.ingress
        self._most = 2 * gateway.config.limits.max_frame_bytes
        self._transport: WSTransport | None = None
        self._fragments: list[bytes] | None = None
        self._fragments_size = 0

    # picows calls these

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.request.path = b""  # it holds the token; and an idle socket needs no headers
        transport.request.headers.clear()
        self._peer.connected(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        try:
            self._on_frame(frame)
        except Exception:  # noqa: BLE001 - one client's frame must not end the process
            _log.exception("a frame could not be handled", extra={"session_id": self._peer.who.session_id})
            self._peer.close(codes.INTERNAL, "internal error")
        if self._ingress.pressed and frame.msg_type != WSMsgType.PONG:  # we asked for that one
            self._wait_for_turn(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._ingress.forget(self)
        self._peer.disconnected()

    def pause_writing(self) -> None:
        self._peer.pause()

    def resume_writing(self) -> None:
        self._peer.resume()

    # The ingress calls these, or is called

    def _wait_for_turn(self, transport: WSTransport) -> None:
        """What picows has read already is still handled: at most one buffer of it."""
        if self._peer.closing or self.waits() or transport.underlying_transport.is_closing():
            return
        if self._ingress.must_wait(self):
            transport.underlying_transport.pause_reading()
            self._ingress.hold(self)

    def read_on(self, seconds: float) -> None:
        self._peer.unread(seconds)
        if self._transport is not None and not self._transport.underlying_transport.is_closing():
            self._transport.underlying_transport.resume_reading()

    # Frames in

    def _on_frame(self, frame: WSFrame) -> None:
        kind = frame.msg_type
        if self._peer.closing and kind != WSMsgType.CLOSE:
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._peer.close(codes.PROTOCOL_ERROR, "reserved bits without an extension")
        elif kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            try:
                text = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self._peer.close(codes.NOT_UTF8, "not UTF-8")
            else:
                self._peer.on_text(text)
        elif kind == WSMsgType.CLOSE:
            self._peer.said_goodbye()
            self._echo_close(frame)
        elif kind == WSMsgType.PONG:
            self._peer.heard()
        else:
            self._on_fragment(kind, frame)

    def _on_fragment(self, kind: WSMsgType, frame: WSFrame) -> None:
        """A message in several frames, or one that is not text (RFC 6455 §5.4)."""
        if (kind == WSMsgType.CONTINUATION) == (self._fragments is None):
            self._peer.close(codes.PROTOCOL_ERROR, "a continuation without a beginning, or the reverse")
            return
        if self._fragments is None:
            # The first entry only remembers the kind, so that the sum below is of payloads.
            self._fragments, self._fragments_size = [b"t" if kind == WSMsgType.TEXT else b"b"], 0
        self._fragments.append(frame.get_payload_as_bytes())
        self._fragments_size += frame.payload_size
        if self._fragments_size > self._most or len(self._fragments) > MAX_FRAGMENTS:
            self._fragments = None
            self._peer.close(codes.TOO_BIG, "message too big, or in too many pieces")
        elif frame.fin:
            whole, self._fragments = self._fragments, None
            self._on_whole(whole[0] == b"t", b"".join(whole[1:]))

    def _on_whole(self, is_text: bool, payload: bytes) -> None:
        if not is_text:
            self._peer.not_text()
            return
        try:
            self._peer.on_text(payload.decode())
        except UnicodeDecodeError:
            self._peer.close(codes.NOT_UTF8, "not UTF-8")

    def _echo_close(self, frame: WSFrame) -> None:
        if self._transport is None:
            return
        if frame.payload_size:
            self._transport.send_close(frame.get_close_code())
        else:  # a close without a code is answered by one without: 0 is none (RFC 6455 §7.4)
            self._transport.send(WSMsgType.CLOSE, None)
        self._transport.disconnect()

    # The peer calls these

    def send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, frame)

    def ping(self) -> None:
        if self._transport is not None:
            self._transport.send_ping()

    def buffered(self) -> int:
        transport = self._transport
        return transport.underlying_transport.get_write_buffer_size() if transport is not None else 0

    def waits(self) -> bool:
        return self._ingress.holds(self)

    def close(self, code: int, reason: str) -> None:
        if self._ingress.forget(self):
            self.read_on(0.0)  # for the client's own goodbye
        if self._transport is not None:
            self._transport.send_close(cast(WSCloseCode, code), reason.encode()[:MAX_REASON_BYTES])

    def disconnect(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(False)
