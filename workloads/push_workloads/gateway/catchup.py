"""Performs `Recover`: reads the log from a device's cursor on, a page at a time, as fast as its socket takes it.

Reads take turns: however many sockets come back at once, a few pages are under way, and live messages pass between
them. A slow socket holds no turn.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Protocol, TypeVar

from push_workloads.common.errors import Unavailable
from push_workloads.gateway.actions import Action, Recover
from push_workloads.gateway.frames import Place
from push_workloads.gateway.hub import Channel, Hub
from push_workloads.gateway.recovery import EPOCH_CHANGED, Entry, LogState, judge, replay
from push_workloads.gateway.session import Session
from push_workloads.gateway.states import States

READS_AT_ONCE: Final = 16
READ_TRIES: Final = 6
READ_PAUSE_SECONDS = 0.1
_Read = TypeVar("_Read")


class Pages(Protocol):
    """What recovery reads of the log."""

    async def after(self, channel: str, seq: int) -> list[Entry]: ...

    async def state(self, shard: int) -> LogState | None: ...


class Reader(Protocol):
    """A socket that catches up."""

    def perform_paced(self, actions: Iterable[Action]) -> None: ...

    async def drained(self) -> bool:
        """Waits for a slow client; False when it is gone."""

    def send_away(self) -> None: ...


class CatchUp:
    """The replays of this process."""

    def __init__(self, hub: Hub, log: Pages) -> None:
        self._hub = hub
        self._log = log
        self._states = States(log.state)
        self._turns = asyncio.Semaphore(READS_AT_ONCE)
        self.replayed = 0
        self.refused: dict[str, int] = {}  # by reason

    async def run(self, reader: Reader, session: Session, channel: Channel, request: Recover) -> None:
        """Until the session is live again. When the log does not answer the client is sent away, to come back."""
        try:
            await self._position(reader, session, channel, request)
            while (seq := session.wanted(request)) is not None and await reader.drained():
                await self._next(reader, session, channel, request, seq)
        except Unavailable:
            reader.send_away()
        except Exception:
            reader.send_away()  # else it would stay behind for ever, without a word
            raise

    def count(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    async def _position(self, reader: Reader, session: Session, channel: Channel, request: Recover) -> None:
        head = self._hub.known_head(channel)
        if head is None:
            head = await self._patiently(lambda: self._hub.ask_head(channel))
        # What is below the floor is gone: to begin there keeps the cursor of an empty channel from growing too old.
        head = max(head, self._hub.floor_of(channel.subject) - 1)
        page: list[Entry] = []
        reason, place = request.reason, request.place
        if place is not None and (place.epoch != channel.epoch or place.seq != head):
            page, reason = await self._patiently(lambda: self._look(channel, place, place.seq < head))
        if reason is not None:
            self.count(reason)
        reader.perform_paced(session.positioned(request, channel.epoch, head, reason))
        if reason is None:
            await self._pass(reader, session, channel, request, 0, page)

    async def _next(self, reader: Reader, session: Session, channel: Channel, request: Recover, seq: int) -> None:
        page, reason = await self._patiently(lambda: self._look(channel, Place(channel.epoch, seq), True))
        if reason is not None or not page:
            reader.perform_paced(session.gave_up(request, reason))
        else:
            await self._pass(reader, session, channel, request, seq, page)

    async def _look(self, channel: Channel, place: Place, read: bool) -> tuple[list[Entry], str | None]:
        """A page after a cursor, and the reason if that is not all there was."""
        if place.epoch != channel.epoch:
            state = await self._states.now(channel.shard)
            if state is not None:
                self._hub.set_state(channel.shard, state)  # perhaps it is we who are late
            return [], EPOCH_CHANGED
        page = await self._log.after(channel.subject, place.seq) if read else []
        # Asked after the page: what the log had forgotten by now may have been missing in it.
        state = await self._states.now(channel.shard)
        if state is None:
            raise Unavailable("there is no log", retry_after_ms=1000)
        return page, judge(place, place.epoch, state)

    async def _pass(
        self, reader: Reader, session: Session, channel: Channel, request: Recover, after: int, page: list[Entry]
    ) -> None:
        for message in replay(channel.head, after, page):
            if session.wanted(request) is None or not await reader.drained():
                return
            self.replayed += 1
            reader.perform_paced(session.replayed(request, (message,)))

    async def _patiently(self, read: Callable[[], Awaitable[_Read]]) -> _Read:
        """Raises Unavailable when the log does not answer again and again."""
        for attempt in range(READ_TRIES - 1):
            try:
                async with self._turns:
                    return await read()
            except Unavailable:
                await asyncio.sleep(READ_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - spreads
        async with self._turns:
            return await read()
