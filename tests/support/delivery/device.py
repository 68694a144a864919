"""One device of the checker: connects, sends, receives, loses its socket, comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.support.chat import token_for
from tests.support.delivery.book import Book, View

RECEIVED_EVERY: Final = 5  # frames
AGAIN_SECONDS: Final = 0.2
MAY_CLOSE: Final = frozenset({1000, 1001, 1006, 1012, 1013})
MAY_REFUSE: Final = frozenset({"unavailable", "rate_limited"})
Frame = dict[str, Any]


class Device:
    """`own_cursors`: it resumes itself; else it only keeps its name, unless the server says that it has lost the
    cursor. `gateways`: where one can connect now."""

    def __init__(
        self, name: str, user: str, own_cursors: bool, gateways: Callable[[], list[str]], book: Book, random: Random
    ) -> None:
        self.name = name
        self.user = user
        self._own_cursors = own_cursors
        self._gateways = gateways
        self._book = book
        self._view: View = book.view(name, user)
        self._random = random
        self._channel = f"user:{user}"
        self._token = token_for(user, ttl_seconds=36_000)
        self._socket: ClientConnection | None = None
        self._cursor: Frame | None = None
        self._resuming = False
        self._unreported = 0
        self._outbox: dict[str, Frame] = {}
        self.leaving = False
        self.away = 0.0  # seconds to stay away after the next cut
        self.ready = asyncio.Event()  # its first cursor is told

    @property
    def settled(self) -> bool:
        return not self._outbox

    async def live(self) -> None:
        """Until `leaving`: connected, or trying to be."""
        while not self.leaving:
            with suppress(OSError, InvalidHandshake, TimeoutError, EOFError):
                async with connect(self._url(), compression=None, open_timeout=10, close_timeout=2) as socket:
                    await self._session(socket)
            away, self.away = self.away, 0.0
            await asyncio.sleep(away + self._random.uniform(0.2, 1.0) * AGAIN_SECONDS)

    def _url(self) -> str:
        resume = "&resume=client" if self._own_cursors and self._cursor is not None else ""
        where = self._random.choice(self._gateways())
        return f"{where}/ws?token={self._token}&device_id={self.name}{resume}"

    async def _session(self, socket: ClientConnection) -> None:
        self._resuming = False
        try:
            async for text in socket:
                await self._on(socket, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self._socket = None
        code = socket.close_code or 1006
        if code not in MAY_CLOSE:
            self._book.unexplained[f"closed with {code}"] += 1

    def cut(self) -> None:
        """As when a cable is pulled: nobody says goodbye."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def close(self) -> None:
        self.leaving = True
        if self._socket is not None:
            await self._socket.close()

    # Sending

    async def send(self, content: str, recipient: str) -> None:
        self._book.sent[content] = (self.user, recipient)
        frame = {"type": "send_message", "id": content, "dedup_id": content, "recipient_id": recipient}
        self._outbox[content] = frame | {"content": content}
        await self._write(self._outbox[content])

    async def _write(self, frame: Frame) -> None:
        if self._socket is not None:
            with suppress(ConnectionClosed):
                await self._socket.send(json.dumps(frame))

    async def _again(self, content: str, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        if content in self._outbox:
            await self._write(self._outbox[content])

    # Receiving

    async def _on(self, socket: ClientConnection, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "message":
            await self._message(frame)
        elif kind == "ack":
            await self._ack(frame)
        elif kind == "welcome":
            self._socket = socket
            await self._welcome(frame)
        elif kind == "subscribed":
            await self._subscribed(frame)
        elif kind == "error":
            self._error(frame)

    async def _welcome(self, frame: Frame) -> None:
        if self._cursor is None:
            self._cursor = frame["inbox"]
            await self._report()
            self.ready.set()
        elif self._own_cursors:
            await self._resume()
        for waiting in tuple(self._outbox.values()):
            await self._write(waiting)

    async def _resume(self) -> None:
        self._resuming = True
        await self._write({"type": "resume", "channels": {self._channel: self._cursor}})

    async def _subscribed(self, frame: Frame) -> None:
        self._resuming = False
        reason = frame.get("reason")
        self._book.told["recovered" if reason is None else reason] += 1
        if reason == "no_cursor":
            await self._resume()
        elif reason is not None:
            self._book.unexplained[f"not recovered: {reason}"] += 1

    async def _message(self, frame: Frame) -> None:
        if not self._resuming:  # else it comes again after `subscribed`
            await self._saw(frame, frame["content"])

    async def _ack(self, frame: Frame) -> None:
        content = frame["id"]
        self._outbox.pop(content, None)
        self._book.acked.add(content)
        if not self._resuming:  # it stands in its message's place
            await self._saw(frame, content)

    async def _saw(self, frame: Frame, content: str) -> None:
        assert self._cursor is not None
        if frame["epoch"] != self._cursor["epoch"]:
            self._book.unexplained["another epoch"] += 1
        self._view.saw(frame["seq"], content)
        self._cursor = {"epoch": frame["epoch"], "seq": max(self._cursor["seq"], frame["seq"])}
        self._unreported += 1
        if self._unreported >= RECEIVED_EVERY:
            await self._report()

    async def _report(self) -> None:
        assert self._cursor is not None
        self._unreported = 0
        await self._write({"type": "received", "channel": self._channel, "seq": self._cursor["seq"]})

    def _error(self, frame: Frame) -> None:
        code = frame["code"]
        if code not in MAY_REFUSE or "id" not in frame:
            self._book.unexplained[f"error {code}: {frame['message']}"] += 1
            return
        self._book.told[code] += 1
        asyncio.get_running_loop().create_task(self._again(frame["id"], frame["retry_after_ms"]))
