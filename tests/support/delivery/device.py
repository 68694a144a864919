"""One device of the checker: connects, sends, receives, loses its socket, comes back.

It is a client as the protocol wants one. With `own_cursors` it resumes every channel itself, and a group that it hears
of in its inbox from the `since` that stands there; else it keeps nothing but its name and says `received`, unless the
server says that it has lost the place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from push_workloads.common.tasks import Spawner
from tests.support.chat import token_for
from tests.support.delivery.book import GROUP, Book, Sent, View, name_of
from tests.support.delivery.members import Change

RECEIVED_EVERY: Final = 5  # frames
AGAIN_SECONDS: Final = 0.2
MAY_CLOSE: Final = frozenset({1000, 1001, 1006, 1012, 1013})
MAY_REFUSE: Final = frozenset({"unavailable", "rate_limited"})
Frame = dict[str, Any]


@dataclass
class Seat:
    """One channel. `open`: what comes in this session is taken; `waiting`: not before the `subscribed` with this id."""

    view: View
    cursor: Frame | None = None
    since: int = 0
    open: bool = False
    waiting: str | None = None
    unreported: int = 0

    def begin(self, epoch: str, since: int) -> None:
        self.open, self.waiting, self.since = True, None, since
        if self.cursor is None or self.cursor["seq"] < since:
            self.cursor = {"epoch": epoch, "seq": since}


class Device:
    """`channels`: that it reads from the beginning on, beside its inbox. `gateways`: where one can connect now."""

    def __init__(
        self,
        name: str,
        user: str,
        own_cursors: bool,
        channels: Iterable[str],
        gateways: Callable[[], list[str]],
        book: Book,
        random: Random,
    ) -> None:
        self.name = name
        self.user = user
        self.channels = (f"user:{user}", *channels)
        self._own_cursors = own_cursors
        self._gateways = gateways
        self._book = book
        self._random = random
        self._inbox = self.channels[0]
        self._token = token_for(user, ttl_seconds=36_000)
        self._socket: ClientConnection | None = None
        self._seats = {channel: Seat(book.view(name, user, channel)) for channel in self.channels}
        self._asked = 0
        self._places_itself = False  # in this session
        self._outbox: dict[str, Frame] = {}
        self._spawner = Spawner()
        self.leaving = False
        self.away = 0.0  # seconds to stay away after the next cut
        self.ready = asyncio.Event()  # it reads all its channels

    @property
    def settled(self) -> bool:
        return not self._outbox

    async def live(self) -> None:
        """Until `leaving`: connected, or trying to be."""
        try:
            while not self.leaving:
                with suppress(OSError, InvalidHandshake, TimeoutError, EOFError):
                    async with connect(self._url(), compression=None, open_timeout=10, close_timeout=2) as socket:
                        await self._session(socket)
                away, self.away = self.away, 0.0
                await asyncio.sleep(away + self._random.uniform(0.2, 1.0) * AGAIN_SECONDS)
        finally:
            await self._spawner.close()

    def _url(self) -> str:
        resume = "&resume=client" if self._own_cursors and self.ready.is_set() else ""
        where = self._random.choice(self._gateways())
        return f"{where}/ws?token={self._token}&device_id={self.name}{resume}"

    async def _session(self, socket: ClientConnection) -> None:
        self._places_itself = self._own_cursors and self.ready.is_set()
        for seat in self._seats.values():
            seat.open, seat.waiting = False, None
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

    async def send(self, content: str, target: str) -> None:
        """To a channel: `user:ID` is a direct message."""
        direct = target.startswith("user:")
        to = {"recipient_id": target[5:]} if direct else {"channel": target}
        self._book.sent[content] = Sent(self.user, (self._inbox, target) if direct else (target,))
        frame = {"type": "send_message", "id": content, "dedup_id": content, "content": content, **to}
        self._outbox[content] = frame
        await self._write(frame)

    async def _write(self, frame: Frame) -> None:
        if self._socket is not None:
            with suppress(ConnectionClosed):
                await self._socket.send(json.dumps(frame))

    async def _again(self, content: str, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        if content in self._outbox:
            await self._write(self._outbox[content])

    # Where it reads

    async def _welcome(self, frame: Frame) -> None:
        inbox = self._seats[self._inbox]
        topics = [channel for channel in self.channels if channel.startswith("topic:")]
        if not self.ready.is_set():
            inbox.view.begins = frame["inbox"]["seq"]
            inbox.begin(**_place(frame["inbox"]))
            await self._reads(inbox)
        elif self._own_cursors:
            await self._resume([channel for channel, seat in self._seats.items() if seat.cursor is not None])
            topics = []
        elif not frame["resumes"]:
            inbox.begin(**_place(frame["inbox"]))
        for topic in topics:  # nobody remembers them but the client
            await self._subscribe(topic)
        for waiting in tuple(self._outbox.values()):
            await self._write(waiting)

    async def _subscribe(self, channel: str) -> None:
        self._asked += 1
        seat = self._wait(channel)
        since = {} if seat.cursor is None else {"since": seat.cursor}
        await self._write({"type": "subscribe", "id": seat.waiting, "channel": channel, **since})

    async def _resume(self, channels: list[str]) -> None:
        self._asked += 1
        seats = [self._wait(channel) for channel in channels]
        cursors = {seat.view.channel: seat.cursor for seat in seats}
        await self._write({"type": "resume", "id": f"resume {self._asked}", "channels": cursors})

    def _wait(self, channel: str) -> Seat:
        seat = self._seat(channel)
        seat.open, seat.waiting = False, f"resume {self._asked}"
        return seat

    async def _ask_again(self, channel: str, identifier: str, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        if self._seats[channel].waiting == identifier:
            await self._subscribe(channel)

    def _seat(self, channel: str) -> Seat:
        if channel not in self._seats:
            self._seats[channel] = Seat(self._book.view(self.name, self.user, channel))
        return self._seats[channel]

    async def _subscribed(self, frame: Frame) -> None:
        seat, reason = self._seat(frame["channel"]), frame.get("reason")
        self._book.told["recovered" if reason is None else reason] += 1
        if reason == "no_cursor":
            self._places_itself = True
            if seat.cursor is not None:
                await self._resume([frame["channel"]])
            return
        if reason is not None:
            self._book.unexplained[f"not recovered: {reason}"] += 1
        if seat.waiting != frame.get("id") or (seat.waiting is None and self._places_itself):
            return  # by itself: from where on will be known when the inbox has told of it
        seat.begin(frame["epoch"], frame["since"])
        if not self.ready.is_set():
            seat.view.begins = frame["since"]
            await self._reads(seat)

    async def _reads(self, seat: Seat) -> None:
        """One more of those from the beginning on."""
        await self._report(seat)
        if all(self._seats[channel].open for channel in self.channels):
            self.ready.set()

    # Receiving

    async def _on(self, socket: ClientConnection, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "message":
            await self._saw(frame, frame["content"])
        elif kind == "ack":
            await self._ack(frame)
        elif kind == "membership":
            await self._membership(frame)
        elif kind == "welcome":
            self._socket = socket
            await self._welcome(frame)
        elif kind == "subscribed":
            await self._subscribed(frame)
        elif kind == "error":
            self._error(frame)
        elif kind == "reconnect":
            self.away = frame["after_ms"] / 1000

    async def _ack(self, frame: Frame) -> None:
        content = frame["id"]
        self._outbox.pop(content, None)
        self._book.ack(content, frame["seq"])
        seat = self._seats.get(frame["channel"])
        if seat is not None and seat.open and frame["seq"] > seat.since:  # it stands in its message's place
            await self._saw(frame, content)

    async def _membership(self, frame: Frame) -> None:
        channel, users = frame["channel"], tuple(frame.get("user_ids", ()))
        change = Change(frame["change"], users, frame["message_id"])
        if channel == self._inbox:
            await self._saw(frame, name_of(change))
            if change.what == "added" and self._places_itself:
                await self._added(f"{GROUP}{frame['group_id']}", frame["since"])
            return
        self._book.changed(channel, frame["seq"], change)
        await self._saw(frame, name_of(change))
        seat = self._seat(channel)
        if seat.open and change.what == "removed" and self.user in users:
            seat.open, seat.cursor = False, None

    async def _added(self, channel: str, since: Frame) -> None:
        seat = self._seat(channel)
        if seat.cursor is None or seat.cursor["seq"] < since["seq"]:
            seat.cursor = since
            await self._resume([channel])

    async def _saw(self, frame: Frame, content: str) -> None:
        seat = self._seat(frame["channel"])
        if not seat.open:
            self._book.passed.add((self.user, frame["channel"], frame["seq"]))
            if not self._places_itself and seat.waiting is None:
                self._book.unexplained["a message on a channel that is not open"] += 1
            return
        assert seat.cursor is not None
        if frame["epoch"] != seat.cursor["epoch"]:
            self._book.unexplained["another epoch"] += 1
        seat.view.saw(frame["seq"], content)
        seat.cursor = {"epoch": frame["epoch"], "seq": max(seat.cursor["seq"], frame["seq"])}
        seat.unreported += 1
        if seat.unreported >= RECEIVED_EVERY:
            await self._report(seat)

    async def _report(self, seat: Seat) -> None:
        assert seat.cursor is not None
        seat.unreported = 0
        await self._write({"type": "received", "channel": seat.view.channel, "seq": seat.cursor["seq"]})

    def _error(self, frame: Frame) -> None:
        code, identifier, channel = frame["code"], frame.get("id"), frame.get("channel")
        sent = self._outbox.get(identifier or "")
        target = sent.get("channel") if sent is not None else channel
        seat = self._seats.get(channel or "")
        if code == "not_found" and (target, self.user) in self._book.removed:
            self._book.told["refused: no member"] += 1
            self._outbox.pop(identifier or "", None)
            if seat is not None and sent is None and seat.waiting == identifier and identifier is not None:
                seat.waiting = seat.cursor = None
        elif code not in MAY_REFUSE or identifier is None:
            self._book.unexplained[f"error {code}: {frame['message']}"] += 1
        else:
            self._book.told[code] += 1
            if sent is not None:
                self._spawner.spawn(self._again(identifier, frame["retry_after_ms"]))
            elif seat is not None and seat.waiting == identifier:
                self._spawner.spawn(self._ask_again(seat.view.channel, identifier, frame["retry_after_ms"]))


def _place(cursor: Frame) -> Frame:
    return {"epoch": cursor["epoch"], "since": cursor["seq"]}
