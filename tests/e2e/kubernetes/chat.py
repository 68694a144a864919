"""A client as docs/clients.md asks for: sent away it comes back, and sends again what was not acknowledged."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

RETRY_SECONDS = 0.2


class Sender:
    """Sends numbered messages one after the other; `acked` holds the message_id of each, `closes` why sockets ended."""

    def __init__(self, url: str, recipient_id: str) -> None:
        self._url, self._recipient = url, recipient_id
        self.acked: dict[str, str] = {}
        self.closes: list[int] = []
        self.told: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`, and then until what it has begun to send is acknowledged."""
        number = 0
        pending: dict[str, Any] | None = None
        while pending is not None or not stop.is_set():
            try:
                async with connect(self._url, open_timeout=5) as socket:
                    while pending is not None or not stop.is_set():
                        if pending is None:
                            number += 1
                            pending = {
                                "type": "send_message", "id": str(number), "recipient_id": self._recipient,
                                "content": f"message {number}", "dedup_id": secrets.token_hex(12),
                            }  # fmt: skip
                        try:
                            await socket.send(json.dumps(pending))
                            if await self._acknowledged(socket, pending):
                                pending = None
                        except ConnectionClosed:
                            await self._rest(socket)  # what came before the close is still to be read
                            raise
            except (OSError, WebSocketException, TimeoutError) as error:
                self.closes.append(getattr(getattr(error, "rcvd", None), "code", 0))
                await asyncio.sleep(RETRY_SECONDS)

    async def _acknowledged(self, socket: Any, sent: dict[str, Any]) -> bool:
        async with asyncio.timeout(10):
            while True:
                frame = json.loads(await socket.recv())
                self._note(frame)
                if frame.get("id") == sent["id"]:
                    if frame["type"] == "ack":
                        self.acked[sent["content"]] = frame["message_id"]
                        return True
                    await asyncio.sleep(frame.get("retry_after_ms", 0) / 1000)  # or it is closed for abuse, 4400
                    return False

    async def _rest(self, socket: Any) -> None:
        with suppress(ConnectionClosed):
            while True:
                self._note(json.loads(await socket.recv()))

    def _note(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "reconnect":
            self.told.append(frame["reason"])
