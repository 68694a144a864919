"""One connection: what is read goes to the session, what the session writes goes out, until either side ends it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, Final

from aiohttp import (
    ClientError,
    ClientSession,
    ClientWebSocketResponse,
    ClientWSTimeout,
    WSMsgType,
    WSServerHandshakeError,
)

from push_client.errors import ApiError, Unauthorized
from push_client.outbox import encoded
from push_client.reconnecting import TOKEN_EXPIRED

CONNECT_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 2.0
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024  # of the server; its own limit for what clients send is far lower
Token = str | Callable[[], str] | Callable[[], Awaitable[str]]


@dataclass(slots=True)
class End:
    """Why there is no connection (any more). `status`: of a refused handshake. `retry_after`: seconds, when told.
    `lived`: seconds since the welcome, None without one."""

    reason: str
    code: int = 1006
    status: int = 0
    retry_after: float | None = None
    lived: float | None = None

    @property
    def token_refused(self) -> bool:
        return self.code == TOKEN_EXPIRED or self.status == 401


class TokenSource:
    """`fixed`: asking for another one is of no use."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self.fixed = isinstance(token, str)

    async def get(self) -> str | End:
        """Raises Unauthorized when whoever gives tokens does not any more, and whatever else that raises."""
        if isinstance(self._token, str):
            return self._token
        try:
            given = self._token()
            return await given if isawaitable(given) else given
        except ApiError as error:
            if error.status in (400, 401, 403):
                raise Unauthorized(f"no new token: {error}") from error
            return End(f"no token: {error}", retry_after=error.retry_after)
        except (ClientError, OSError, TimeoutError) as error:
            return End(f"no token: {error!r}")


async def connect(http: ClientSession, url: str, token: str, query: dict[str, str]) -> ClientWebSocketResponse | End:
    """A socket whose welcome is still to come."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await http.ws_connect(
                url,
                params=query,
                headers={"Authorization": f"Bearer {token}"},
                timeout=ClientWSTimeout(ws_close=CLOSE_SECONDS),
                max_msg_size=MAX_FRAME_BYTES,
            )
    except WSServerHandshakeError as error:
        return End(f"the handshake was refused with {error.status}", status=error.status, retry_after=_seconds(error))
    except (ClientError, OSError, TimeoutError) as error:
        return End(f"the gateway cannot be reached: {error!r}")


def _seconds(error: WSServerHandshakeError) -> float | None:
    told = error.headers.get("Retry-After", "") if error.headers is not None else ""
    return float(told) if told.isdecimal() else None


class Connection:
    """`hear` gets each frame. `has_room`: whether to read on; `room` is set when that may have changed."""

    def __init__(
        self, socket: ClientWebSocketResponse, hear: Callable[[dict[str, Any]], None], has_room: Callable[[], bool]
    ) -> None:
        self.welcomed_at: float | None = None
        self.room = asyncio.Event()
        self._socket = socket
        self._hear = hear
        self._has_room = has_room
        self._outgoing: deque[dict[str, Any]] = deque()  # bounded by the session's window
        self._to_write = asyncio.Event()
        self._written = asyncio.Event()
        self._leaving: str | None = None

    def write(self, frame: dict[str, Any]) -> None:
        self._outgoing.append(frame)
        self._written.clear()
        self._to_write.set()

    def hang_up(self, reason: str) -> None:
        self._leaving = reason
        self._to_write.set()

    async def flushed(self) -> None:
        """Until all is written, or for two seconds."""
        if self._outgoing:
            try:
                await asyncio.wait_for(self._written.wait(), CLOSE_SECONDS)
            except TimeoutError:
                return

    async def run(self) -> End:
        """Until it ends, from whichever side."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            end = next(iter(done)).result()
            if self.welcomed_at is not None:
                end.lived = asyncio.get_running_loop().time() - self.welcomed_at
            return end
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._socket.close()

    async def _read(self) -> End:
        while True:
            while not self._has_room():
                self.room.clear()
                await self.room.wait()
            message = await self._socket.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                return self._closed()
            if message.type is WSMsgType.TEXT and (end := self._understood(message.data)) is not None:
                return end

    def _closed(self) -> End:
        code = self._socket.close_code or 1006
        return End(f"the connection was closed with {code}", code)

    def _understood(self, text: str) -> End | None:
        try:
            self._hear(json.loads(text))
        except (KeyError, TypeError, ValueError) as error:
            return End(f"a frame that is none of the protocol's: {error!r}", 1002)
        return None

    async def _write(self) -> End:
        while True:
            await self._to_write.wait()
            self._to_write.clear()
            while self._outgoing:
                try:
                    await self._socket.send_str(encoded(self._outgoing.popleft()))
                except (ClientError, ConnectionError) as error:
                    return End(f"the connection was lost: {error!r}")
            self._written.set()
            if self._leaving is not None:
                return End(self._leaving)
