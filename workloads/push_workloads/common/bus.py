"""NATS as the services use it: one connection each, every retry bounded, one callback for any number of channels.

`DirectClient` is nats-py with a lean path beside it: no Subscription object, queue, task or header dictionary per
channel, and no future per publish. Reconnect, authentication, requests and JetStream pulls stay nats-py's own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError

from push_workloads.common.config import NatsConfig
from push_workloads.common.errors import Unavailable

MAX_PENDING_BYTES = 8 * 1024 * 1024  # outbound bytes not yet taken by the socket; over it, publishes are refused
REQUEST_SECONDS = 2.0
_log = logging.getLogger(__name__)

Deliver = Callable[[bytes, bytes, bytes], None]
"""subject, payload, raw header block; called for each message on a watched subject. Must not raise."""


class Interest:
    """What nats-py reads of a subscription on reconnect, drain and close, and nothing more."""

    __slots__ = ("_subject",)
    _queue, _max_msgs, _received = "", 0, 0
    _wait_for_msgs_task = _message_iterator = _pending_next_msgs_calls = None

    def __init__(self, subject: str) -> None:
        self._subject = subject

    async def _drain(self) -> None:
        return None


class DirectClient(Client):
    """nats-py with `watch`, `unwatch` and `send` going past it. One for a process that fans out (the gateway).

    `deliver` is set before the connection is made.
    """

    deliver: Deliver

    def watch(self, subject: str) -> int:
        """Subscribes without waiting; survives reconnects. Returns the id for `unwatch`."""
        self._sid += 1
        self._subs[self._sid] = Interest(subject)  # type: ignore[assignment]  # duck type, see Interest
        self._soon(f"SUB {subject} {self._sid}\r\n".encode())
        return self._sid

    def unwatch(self, sid: int) -> None:
        if self._subs.pop(sid, None) is not None:
            self._soon(b"UNSUB %d\r\n" % sid)

    def send(self, subject: str, reply: str, headers: bytes, payload: bytes) -> bool:
        """Publishes with a raw header block, without waiting.

        False when it was not taken: not connected, or MAX_PENDING_BYTES are waiting already. What was taken may still
        be lost with the connection; only the answer on `reply` says that it arrived.
        """
        if not self.is_connected or self._pending_data_size > MAX_PENDING_BYTES:
            return False
        total = len(headers) + len(payload)
        self._soon(b"".join((f"HPUB {subject} {reply} {len(headers)} {total}\r\n".encode(), headers, payload, b"\r\n")))
        return True

    def tell(self, subject: str, payload: bytes) -> None:
        """Publishes what may be lost, without waiting."""
        if self.is_connected and self._pending_data_size <= MAX_PENDING_BYTES:
            self._soon(b"".join((f"PUB {subject} {len(payload)}\r\n".encode(), payload, b"\r\n")))

    def drop_unsent(self) -> None:
        """Forgets what the socket has not taken: after a reconnect it would go out although its sender was told
        `unavailable`."""
        self._pending.clear()
        self._pending_data_size = 0

    def _soon(self, command: bytes) -> None:
        if self.is_connected:  # else the reconnect replays _subs
            self._pending.append(command)
            self._pending_data_size += len(command)
            if self._flush_queue is not None and self._flush_queue.empty():
                self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if isinstance(self._subs.get(sid), Interest):
            try:
                self.deliver(subject, data, headers)
            except Exception:  # noqa: BLE001 - see the next line
                # nats-py ends its read loop on any exception and stays deaf without a word.
                _log.exception("delivery failed", extra={"subject": subject.decode("ascii", "replace")})
        else:
            await super()._process_msg(sid, subject, reply, data, headers)


class Bus:
    """A connection and what the service must know of it: is it up, and tell me when it went and came."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.closing = False
        self._on_lost: list[Callable[[], None]] = []
        self._on_back: list[Callable[[], None]] = []

    def waiting(self) -> str | None:
        """A readiness check: None when connected."""
        return None if self.client.is_connected else "not connected to NATS"

    def on_lost(self, call: Callable[[], None]) -> None:
        self._on_lost.append(call)

    def on_back(self, call: Callable[[], None]) -> None:
        self._on_back.append(call)

    async def lost(self) -> None:
        if self.closing:
            return
        _log.warning("NATS connection lost")
        for call in self._on_lost:
            call()

    async def back(self) -> None:
        _log.info("NATS connection is back")
        for call in self._on_back:
            call()

    async def ask(self, subject: str, body: object = None, *, timeout: float = REQUEST_SECONDS) -> dict[str, Any]:
        """One JSON request and its answer. Raises Unavailable when nobody answers in `timeout` seconds."""
        payload = b"" if body is None else msgspec.json.encode(body)
        try:
            message = await self.client.request(subject, payload, timeout=timeout)
            answer: dict[str, Any] = msgspec.json.decode(message.data)
        except (NatsError, TimeoutError, msgspec.DecodeError) as error:
            raise Unavailable("the bus does not answer", retry_after_ms=1000) from error
        return answer


@asynccontextmanager
async def connected(
    config: NatsConfig, name: str, client: Client | None = None, instance: str = ""
) -> AsyncIterator[Bus]:
    """A bus that is connected, for as long as the context is open; waits for the first connection without limit.

    Whoever starts the process sees the wait on `/readyz`. With an `instance` the server lists the connection as
    NAME/INSTANCE, so that the operator sees which one falls behind.
    """
    bus = Bus(client if client is not None else Client())

    async def report(error: Exception) -> None:
        _log.warning("NATS: %s", str(error) or type(error).__name__)

    user = {"user": config.user, "password": config.password} if config.user else {}
    await bus.client.connect(
        servers=[config.url],
        name=f"{name}/{instance}" if instance else name,
        error_cb=report,
        disconnected_cb=bus.lost,
        reconnected_cb=bus.back,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.5,  # type: ignore[arg-type]  # annotated int, used as seconds
        connect_timeout=2,
        ping_interval=5,
        max_outstanding_pings=2,
        inbox_prefix=f"_INBOX_{name}",
        **user,  # type: ignore[arg-type]
    )
    try:
        yield bus
    finally:
        bus.closing = True
        await bus.client.close()


def header_number(headers: bytes, name: bytes) -> int:
    """The value of one numeric header in a raw block, 0 when absent; `name` as b"\\r\\nNats-Sequence: "."""
    at = headers.find(name)
    if at < 0:
        return 0
    start = at + len(name)
    return int(headers[start : headers.index(b"\r", start)])


def header_text(headers: bytes, name: bytes) -> str:
    """The value of one header in a raw block, "" when absent; `name` as b"\\r\\nNats-Msg-Id: "."""
    at = headers.find(name)
    if at < 0:
        return ""
    start = at + len(name)
    return headers[start : headers.index(b"\r", start)].decode("utf-8", "replace")
