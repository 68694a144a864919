"""A client that stays connected. The thin shell around `session.py`: sockets, clocks, waiting.

async with Client("ws://localhost:8080/ws", token=token) as client:
    await client.send(to="bob", content="Hello!")
    async for event in client.events():
        print(event)
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

from aiohttp import ClientSession

from push_client.actions import SEND, SUBSCRIBE, Action, HangUp, Settle, Write
from push_client.connection import Connection, End, Token, TokenSource, connect
from push_client.errors import Misused, PushClientError, Refused, Stopped, Unauthorized, Unconfirmed
from push_client.events import (
    TEXT,
    Disconnected,
    Event,
    Limits,
    Message,
    Referable,
    Saved,
    Sent,
    Subscribed,
    Target,
)
from push_client.mailbox import Item, handled
from push_client.outbox import Entry
from push_client.reconnecting import Attempts, final
from push_client.session import Session
from push_client.state import MemoryState, State, device_of

SEND_SECONDS: Final = 90.0
SUBSCRIBE_SECONDS: Final = 30.0
SAVE_SECONDS: Final = 1.0
TICK_SECONDS: Final = 0.25
_REFUSED_FOR_GOOD: Final = frozenset({400, 403})


class Client:
    """One device of one user.

    `token` is the access token, or gives one: a function, async or not, which is called before each connection; so
    it is asked again when the platform has refused the last one. `device_id` names this installation; by default
    the one in `state`, else a new one. `state` keeps it, and how far the application came, over a restart.
    `listen=False` is for programs that only send: whoever listens has to iterate `events`, because reading stops while
    `limits.events` of them wait.
    """

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
        loaded = await asyncio.to_thread(self._state.load)
        self._saved = device_of(loaded, self._wanted_device, lambda: secrets.token_hex(16))
        fresh = self._saved is not loaded and self._wanted_device is None
        self._session = Session(self._limits, self._saved, listening=self._listen, fresh=fresh)
        await asyncio.to_thread(self._state.save, self._saved)
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
        """Says goodbye; sends that have no ack yet raise Stopped."""
        if self._connection is not None and self.connected:
            self._perform(self._session.tellings(self._now(), at_once=True))
            await self._connection.flushed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end(Stopped("the client was closed"))
        await self._save()
        await self._http.close()

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
        await asyncio.to_thread(self._state.save, self._saved)

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

    # What happens

    async def events(self) -> AsyncIterator[Event]:
        """All that happens, in order, until the client is closed. An event counts as handled, and is told as received,
        when the next one is asked for. For one reader at a time. Raises Stopped with the reason when the client ended
        by itself."""
        while True:
            self._done_with_given()
            while not self._session.mailbox:
                if self._over is not None:
                    if type(self._over) is Stopped:  # closed by the application
                        return
                    raise self._over
                self._news.clear()
                await self._news.wait()
            self._given = self._session.mailbox.take()
            if self._connection is not None:
                self._connection.room.set()
            yield self._given.event

    def _done_with_given(self) -> None:
        given, self._given = self._given, None
        if given is not None:
            handled(given)

    # What the application does

    async def send(
        self,
        *,
        content: Any,
        to: str | None = None,
        channel: str | None = None,
        kind: str = TEXT,
        ref: str | None = None,
        push: dict[str, Any] | None = None,
        dedup_id: str | None = None,
        deadline_s: float = SEND_SECONDS,
    ) -> Sent:
        """Returns once the message is durable, over as many connections as that takes. `content` is any JSON value;
        `dedup_id`: of a send that an earlier run of the program may have made.

        Raises Refused, Unconfirmed after `deadline_s` seconds, and Stopped when the client ends.
        """
        if (to is None) == (channel is None):
            raise ValueError("say either `to` or `channel`")
        more = {"ref": ref, "push": push}
        fields = {"content": content, "kind": kind} | {name: one for name, one in more.items() if one is not None}
        entry_deadline = self._now() + deadline_s
        key = dedup_id or secrets.token_hex(16)
        entry = Entry(key, Target(to, channel), fields, entry_deadline)
        try:
            await asyncio.wait_for(self._room_to_send.acquire(), deadline_s)
        except TimeoutError:
            raise Unconfirmed(sent=False) from None
        try:
            return await self._send(entry)
        finally:
            self._room_to_send.release()

    async def _send(self, entry: Entry) -> Sent:
        self._check()
        if SEND + entry.key in self._waiting:
            raise ValueError("a message with this dedup_id is on its way")
        future = self._future(SEND + entry.key)
        self._perform(self._session.send(entry, self._now()))
        try:
            return cast(Sent, await future)
        finally:
            self._session.outbox.drop(entry.key)
            self._waiting.pop(SEND + entry.key, None)

    async def edit(self, message: Referable, content: Any) -> Sent:
        """Gives an own message another content. Raises as `send` does."""
        return await self._about(message, "edit", content)

    async def delete(self, message: Referable) -> Sent:
        """Takes an own message back. Raises as `send` does."""
        return await self._about(message, "delete", None)

    async def react(self, message: Referable, emoji: str, *, remove: bool = False) -> Sent:
        """Adds a reaction to anyone's message, or takes one's own back. Raises as `send` does."""
        return await self._about(message, "reaction", {"emoji": emoji} | ({"remove": True} if remove else {}))

    async def _about(self, message: Referable, kind: str, content: Any) -> Sent:
        to, channel = message.target
        return await self.send(to=to, channel=channel, content=content, kind=kind, ref=message.message_id)

    async def subscribe(self, channel: str, *, deadline_s: float = SUBSCRIBE_SECONDS) -> Subscribed:
        """Reads a topic from now on, or from where this device stopped; groups are read by themselves. Stays over
        reconnects. Raises Refused, TimeoutError, and Stopped when the client ends."""
        self._check()
        future = self._future(SUBSCRIBE + channel)
        self._perform(self._session.subscribe(channel))
        async with asyncio.timeout(deadline_s):
            return cast(Subscribed, await future)

    def unsubscribe(self, channel: str) -> None:
        self._perform(self._session.unsubscribe(channel))
        self._settle(Settle(SUBSCRIBE + channel, Refused("not_found", "unsubscribed meanwhile", channel)))

    def read(self, message: Message) -> None:
        """Marks a message that came, and all before it in its conversation, as read by this user."""
        self._read(message.target, message)

    def read_all(self, *, to: str | None = None, channel: str | None = None) -> None:
        """Marks as read what the application was given of a conversation."""
        self._read(Target(to, channel), None)

    def _read(self, target: Target, message: Message | None) -> None:
        place = message.place if message is not None else None
        inbox = target.to is not None
        channel = f"user:{self.user_id}" if inbox else target.channel or ""
        self._session.read(channel, place, target.to if inbox else None)

    def typing(
        self, *, to: str | None = None, channel: str | None = None, state: Literal["start", "stop"] = "start"
    ) -> None:
        """Says that this user types; call it for every key. Ends after 6 s, or with `state="stop"`."""
        target = Target(to, channel)
        frame = {"type": "typing", "state": state, **target.fields}
        self._perform(self._session.type(target.conversation, frame, self._now()))

    async def until_connected(self, timeout_s: float = 30.0) -> None:
        """Raises TimeoutError, and Stopped when the client ended."""
        async with asyncio.timeout(timeout_s):
            await self._connected.wait()
        self._check()
