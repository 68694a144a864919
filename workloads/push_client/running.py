"""What keeps a client connected: sockets, clocks and waiting around the session."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from aiohttp import ClientSession

from push_client.actions import Action, HangUp, Settle, Write
from push_client.connection import Connection, End, Token, TokenSource, connect
from push_client.errors import Misused, PushClientError, Stopped, Unauthorized
from push_client.events import Disconnected, Limits, Saved
from push_client.mailbox import Item, handled
from push_client.reconnecting import Attempts, final
from push_client.session import Session
from push_client.state import MemoryState, State, device_of

SAVE_SECONDS: Final = 1.0
TICK_SECONDS: Final = 0.25
T = TypeVar("T")
_REFUSED_FOR_GOOD: Final = frozenset({400, 403})


class Running:
    """A device from `async with` to its end. `Client` adds what an application does with it."""

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        device_id: str | None = None,
        state: State | None = None,
        listen: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self._url = url
        self._tokens = TokenSource(token)
        self._wanted_device = device_id
        self._state = state or MemoryState()
        self._limits = limits or Limits()
        self._listen = listen
        self._room_to_send = asyncio.Semaphore(self._limits.outbox)
        self._waiting: dict[str, list[asyncio.Future[Any]]] = {}
        self._news = asyncio.Event()
        self._given: Item | None = None
        self._attempts = Attempts()
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._over: BaseException | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._session: Session
        self._saved: Saved
        self._http: ClientSession
        self._disk: ThreadPoolExecutor

    @property
    def user_id(self) -> str:
        """Empty before the first welcome."""
        return self._session.channels.user_id

    @property
    def device_id(self) -> str:
        return self._saved.device_id

    @property
    def connected(self) -> bool:
        return self._connected.is_set() and self._over is None

    # Life

    async def __aenter__(self) -> Self:
        """Begins to connect, and does not wait for it. Raises ValueError when the state cannot be read."""
        self._disk = ThreadPoolExecutor(1)  # one call at a time, also when a save is given up at the end
        loaded = await self._on_disk(self._state.load)
        self._saved = device_of(loaded, self._wanted_device, lambda: secrets.token_hex(16))
        fresh = self._saved is not loaded and self._wanted_device is None
        self._session = Session(self._limits, self._saved, listening=self._listen, fresh=fresh)
        await self._on_disk(partial(self._state.save, self._saved))
        self._http = ClientSession()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._tick())]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An event in whose handling the application failed counts as not handled: it comes again after a restart."""
        if error is None:
            self._done_with_given()
        await self.close()

    async def close(self) -> None:
        """Says goodbye; sends that have no ack yet raise Stopped. Raises what `State.save` does."""
        if self._http.closed:
            return
        if self._connection is not None and self.connected:
            self._perform(self._session.tellings(self._now(), at_once=True))
            await self._connection.flushed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end(Stopped("the client was closed"))
        await self._http.close()
        try:
            await self._save()
        finally:
            self._disk.shutdown(wait=False)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)

    def _end(self, why: BaseException) -> None:
        if self._over is not None:
            return
        self._over = why
        error = why if isinstance(why, PushClientError) else Stopped(f"the client failed: {why!r}")
        self._perform(self._session.end(error))
        self._news.set()
        self._connected.set()

    def _check(self) -> None:
        if self._over is not None:
            raise self._over

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def until_connected(self, timeout_s: float = 30.0) -> None:
        """Raises TimeoutError, and Stopped when the client ended."""
        async with asyncio.timeout(timeout_s):
            await self._connected.wait()
        self._check()

    def _done_with_given(self) -> None:
        given, self._given = self._given, None
        if given is not None:
            handled(given)

    # Connections

    async def _run(self) -> None:
        """Connects again and again, until there is a reason not to. Raises that."""
        while True:
            end = await self._one_connection()
            wait = self._wait_after(end)
            if end.lived is not None:
                self._session.mailbox.put(Disconnected(end.reason, wait))
                self._news.set()
            await asyncio.sleep(wait)

    async def _one_connection(self) -> End:
        token = await self._tokens.get()
        if isinstance(token, End):
            return token
        query = {"device_id": self._saved.device_id} | ({"resume": "client"} if self._session.channels.resumes else {})
        if self._session.mood != "online":
            query["status"] = self._session.mood  # else it would be online until it says so
        socket = await connect(self._http, self._url, token, query)
        if isinstance(socket, End):
            return socket
        self._connection = Connection(socket, self._hear, self._has_room)
        self._session.opened(self._now())
        try:
            end = await self._connection.run()
            if self._session.leave_at is not None:
                end.retry_after = max(0.0, self._session.leave_at - self._now())
            return end
        finally:
            self._connection = None
            self._connected.clear()
            self._session.cut()

    def _wait_after(self, end: End) -> float:
        """Seconds to the next attempt; raises Stopped when there must be none."""
        why = final(end.code)
        if why is not None:
            raise why
        if end.status in _REFUSED_FOR_GOOD:
            raise Misused(f"the gateway refused the connection: {end.reason}")
        if end.lived is not None:
            self._attempts.welcome()
        if end.token_refused and (self._tokens.fixed or self._attempts.token_refused()):
            raise Unauthorized(f"the token is not accepted: {end.reason}")
        jitter = random.random()  # noqa: S311 -- spreads reconnects, guards nothing
        return self._attempts.wait(end.lived or 0.0, jitter, end.retry_after)

    def _hear(self, frame: dict[str, Any]) -> None:
        self._perform(self._session.on_frame(frame, self._now()))
        if frame["type"] == "welcome" and self._connection is not None:
            self._connection.welcomed_at = self._now()
            self._connected.set()

    def _has_room(self) -> bool:
        return not self._session.mailbox.full

    async def _tick(self) -> None:
        saved_at, kept = self._now(), dict(self._saved.cursors)
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._perform(self._session.tick(self._now()))
            if self._now() - saved_at >= SAVE_SECONDS and kept != (cursors := self._session.channels.cursors()):
                kept, saved_at = cursors, self._now()
                await self._save()

    async def _save(self) -> None:
        self._saved = Saved(self.device_id, self.user_id or self._saved.user_id, self._session.channels.cursors())
        await self._on_disk(partial(self._state.save, self._saved))

    async def _on_disk(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, call)

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Settle):
                self._settle(action)
            elif self._connection is not None and isinstance(action, Write):
                self._connection.write(action.frame)
            elif self._connection is not None and isinstance(action, HangUp):
                self._connection.hang_up(action.reason)
        if self._session.mailbox:
            self._news.set()

    def _settle(self, settled: Settle) -> None:
        for future in self._waiting.pop(settled.key, ()):
            if future.done():
                continue
            if isinstance(settled.outcome, PushClientError):
                future.set_exception(settled.outcome)
            else:
                future.set_result(settled.outcome)

    def _future(self, key: str) -> asyncio.Future[Any]:
        made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(made)
        return made
