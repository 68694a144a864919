"""Who is here: channels with the sockets that read them. One subscription a channel, however many read it.

Messages of a channel pass in seq order. One that does not follow what was delivered before it means that something was
missed: the channel then holds what arrives, reads the missing part from the log, and goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from push_workloads.common.bus import header_number, header_text
from push_workloads.common.errors import Unavailable
from push_workloads.common.latency import Deliveries
from push_workloads.common.subjects import reading_subject, shard_of
from push_workloads.common.tasks import Spawner
from push_workloads.gateway.frames import message_head
from push_workloads.gateway.log import LAST_SEQ, MSG_ID, SEQ
from push_workloads.gateway.recovery import Delivered, Entry, LogState, Told, delivered, told

MAX_HELD: Final = 1000
MAX_FILL: Final = 10  # pages read to close one gap; more is the client's recovery
FILL_TRIES: Final = 5
FILL_PAUSE_SECONDS = 0.2
RECHECKS_AT_ONCE: Final = 32
PATROL_SECONDS = 60.0
UNKNOWN: Final = -1
SUBJECT_AT: Final = 4  # of the channel's own subject, behind `dlv.` or `eph.`
_log = logging.getLogger(__name__)


class Member(Protocol):
    """A socket on a channel."""

    def deliver(self, channel: str, message: Delivered) -> None: ...

    def told(self, channel: str, told: Told) -> None: ...

    def send_away(self) -> None: ...


class Reader(Protocol):
    """What the hub reads of the log."""

    async def head(self, channel: str) -> int: ...

    async def after(self, channel: str, seq: int) -> list[Entry]: ...


class Interests(Protocol):
    """Subscriptions, without waiting."""

    def watch(self, subject: str) -> int: ...

    def unwatch(self, sid: int) -> None: ...


class Channel:
    """One channel that is present here. `last` is the seq last passed on, UNKNOWN until the head is known."""

    __slots__ = ("end", "epoch", "head", "held", "last", "members", "name", "shard", "sid", "subject")

    def __init__(self, name: str, subject: str, shard: int, epoch: str) -> None:
        self.name = name
        self.subject = subject
        self.shard = shard
        self.of_epoch(epoch)
        self.sid = 0
        self.members: set[Member] = set()
        self.last = UNKNOWN
        self.end = 0  # the log is known to reach at least here
        self.held: deque[tuple[Entry, int]] | None = None  # entries with their prev, while a gap is being filled

    def of_epoch(self, epoch: str) -> None:
        self.epoch = epoch
        self.head = message_head(self.name, epoch)


class Hub:
    """All channels of this gateway."""

    def __init__(self, interests: Interests, log: Reader, spawner: Spawner, shards: int = 1) -> None:
        self._interests = interests
        self._log = log
        self._spawner = spawner
        self._channels: dict[bytes, Channel] = {}
        self._states: list[LogState | None] = [None] * shards
        self.deliveries = Deliveries(time.time_ns)
        self.delivered = 0
        self.gaps = 0

    @property
    def channels(self) -> int:
        return len(self._channels)

    @property
    def ready(self) -> bool:
        """Every shard's log has told its epoch; no socket may join before."""
        return None not in self._states

    def epoch_of(self, subject: str) -> str:
        """The epoch of the log in which a channel lives."""
        state = self._states[shard_of(subject, len(self._states))]
        return state.epoch if state is not None else ""

    def floor_of(self, subject: str) -> int:
        """Nothing below it is in that log."""
        state = self._states[shard_of(subject, len(self._states))]
        return state.first if state is not None else 0

    def end_of(self, subject: str) -> int:
        """A seq that that log has reached."""
        state = self._states[shard_of(subject, len(self._states))]
        return state.last if state is not None else 0

    def set_state(self, shard: int, state: LogState) -> None:
        """What the log of a shard holds; another epoch than before means a rebuilt log: every cursor on it is void, and
        the readers of its channels reconnect."""
        before, self._states[shard] = self._states[shard], state
        if before is None or before.epoch == state.epoch:
            return
        _log.warning("the log was rebuilt", extra={"epoch": state.epoch, "shard": shard})
        for channel in tuple(self._channels.values()):
            if channel.shard == shard:
                channel.of_epoch(state.epoch)
                self._reset(channel, "the log was rebuilt")

    def join(self, member: Member, name: str, subject: str) -> Channel:
        """Puts a socket on a channel; `name` is how clients call it, `subject` the channel's subject."""
        channel = self._channels.get(subject.encode())
        if channel is None:
            channel = Channel(name, subject, shard_of(subject, len(self._states)), self.epoch_of(subject))
            channel.sid = self._interests.watch(reading_subject(subject))
            self._channels[subject.encode()] = channel
        channel.members.add(member)
        return channel

    def leave(self, member: Member, channel: Channel) -> None:
        channel.members.discard(member)
        key = channel.subject.encode()
        if not channel.members and self._channels.get(key) is channel:
            del self._channels[key]
            self._interests.unwatch(channel.sid)

    def members(self, subject: str) -> tuple[Member, ...]:
        """The sockets that are on a channel now."""
        channel = self._channels.get(subject.encode())
        return tuple(channel.members) if channel is not None else ()

    def known_head(self, channel: Channel) -> int | None:
        """Where a socket that joins now starts, when that is known without asking.

        Must be read in the same step as `join`: what is passed on later is the socket's own to keep.
        """
        return channel.last if channel.last != UNKNOWN and channel.held is None else None

    async def ask_head(self, channel: Channel) -> int:
        """The log's head of a channel. The subscription stands before the question, so nothing falls between.

        Raises Unavailable.
        """
        head = await self._log.head(channel.subject)
        if channel.last == UNKNOWN:  # else live messages have told already, perhaps more than the answer knows
            channel.last = head
        return head

    def arrived(self, subject: bytes, payload: bytes, headers: bytes) -> None:
        """A message from the bus."""
        channel = self._channels.get(subject[SUBJECT_AT:])
        if channel is None:
            return
        message_id = header_text(headers, MSG_ID).partition(":")[0]
        entry = Entry(header_number(headers, SEQ), message_id, payload)
        prev = header_number(headers, LAST_SEQ)
        if channel.held is not None:
            self._hold(channel, entry, prev)
        elif channel.last != UNKNOWN and entry.seq > channel.last and prev != channel.last:
            self._hold(channel, entry, prev)
            self._spawner.spawn(self._fill(channel))
        else:
            self._pass(channel, entry, prev)

    def passed_by(self, subject: bytes, payload: bytes) -> None:
        """What is not stored: passed on at once, also while a gap is filled."""
        channel = self._channels.get(subject[SUBJECT_AT:])
        message = told(payload) if channel is not None else None
        if channel is not None and message is not None:
            for member in channel.members:
                member.told(channel.name, message)

    def _pass(self, channel: Channel, entry: Entry, prev: int) -> None:
        if entry.seq <= channel.last:
            return
        channel.last = entry.seq
        self.delivered += 1
        message = delivered(channel.head, entry, prev)
        # A change may make a member leave.
        for member in channel.members if message.change is None else tuple(channel.members):
            member.deliver(channel.name, message)
        self.deliveries.passed(entry.payload, len(channel.members))

    def _hold(self, channel: Channel, entry: Entry, prev: int) -> None:
        if channel.held is None:
            channel.held = deque()
        if len(channel.held) >= MAX_HELD:
            self._reset(channel, "too much arrived during a gap")
        else:
            channel.held.append((entry, prev))

    async def _fill(self, channel: Channel) -> None:
        """Brings a held channel up to date; what arrives meanwhile is held too."""
        self.gaps += 1
        for attempt in range(FILL_TRIES):
            try:
                if not await self._catch_up(channel):
                    self._reset(channel, "too much was missed")
                return
            except Unavailable:
                await asyncio.sleep(FILL_PAUSE_SECONDS * 2**attempt)
        self._reset(channel, "the log does not answer")

    async def _catch_up(self, channel: Channel) -> bool:
        """Passes on what is held where it follows, reads what is missing before it, until nothing is held and the log's
        known end is reached. False when more is missing than a gap should have."""
        for _ in range(MAX_FILL):
            if channel.held is None:
                return True  # given up meanwhile
            self._pass_held(channel, lambda prev: prev == channel.last)
            if not channel.held and channel.last >= channel.end:
                channel.held = None
                return True
            page = await self._log.after(channel.subject, channel.last)
            if channel.held is None:
                return True  # given up meanwhile
            for entry in page:
                self._pass(channel, entry, channel.last)
            if not page:  # the log has no more: what is held says so little of its place as it can
                channel.end = channel.last
                self._pass_held(channel, lambda _: True)
        return False

    def _pass_held(self, channel: Channel, follows: Callable[[int], bool]) -> None:
        held = channel.held
        while held and (held[0][0].seq <= channel.last or follows(held[0][1])):
            self._pass(channel, *held.popleft())

    def _reset(self, channel: Channel, reason: str) -> None:
        """Gives up on a channel: its clients come back and recover; silence is never a gap."""
        _log.warning("closing the readers of a channel", extra={"reason": reason, "members": len(channel.members)})
        channel.held, channel.last, channel.end = None, UNKNOWN, 0
        for member in tuple(channel.members):
            member.send_away()

    async def recheck(self) -> None:
        """After a lost connection: compares every channel's head with what was passed on, and fills what is missing."""
        slots = asyncio.Semaphore(RECHECKS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for channel in self._known():
                await slots.acquire()
                group.create_task(self._recheck(channel)).add_done_callback(lambda _: slots.release())

    async def patrol(self) -> None:
        """The same about once a minute, spread out: finds a lost message that no later one would show."""
        while True:
            channels = self._known()
            pause = PATROL_SECONDS / (len(channels) + 1)
            for channel in channels:
                await asyncio.sleep(pause)
                if channel.members and channel.last != UNKNOWN:
                    with suppress(Unavailable):  # the reconnect that follows looks at all of them
                        await self._compare(channel)
            await asyncio.sleep(pause)

    def _known(self) -> list[Channel]:
        return [channel for channel in self._channels.values() if channel.last != UNKNOWN]

    async def _recheck(self, channel: Channel) -> None:
        try:
            await self._compare(channel)
        except Unavailable:
            self._reset(channel, "the log does not answer")

    async def _compare(self, channel: Channel) -> None:
        before = channel.last  # what comes while the answer is on its way says nothing about the log
        head = await self._log.head(channel.subject)
        if channel.last == UNKNOWN:
            return  # given up meanwhile
        if 0 < head < before:
            self._reset(channel, "the log is behind what was delivered")
        elif head > channel.last:
            channel.end = head
            if channel.held is None:  # else it is being filled already, and now up to this end
                channel.held = deque()
                await self._fill(channel)
