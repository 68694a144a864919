"""Who is here: channels with the sockets that read them. One subscription a channel, however many read it.

Messages of a channel pass in seq order. One that does not follow what was delivered before it means that something was
missed: the channel then holds what arrives, reads the missing part from the log, and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from push_workloads.common.bus import header_number, header_text
from push_workloads.common.errors import Unavailable
from push_workloads.common.subjects import delivery_subject
from push_workloads.common.tasks import Spawner
from push_workloads.gateway import codes
from push_workloads.gateway.frames import message_frame, message_head
from push_workloads.gateway.log import MSG_ID, Entry
from push_workloads.gateway.session import Delivered

SEQ: Final = b"\r\nNats-Sequence: "
LAST_SEQ: Final = b"\r\nNats-Last-Sequence: "
MAX_HELD: Final = 1000
MAX_FILL: Final = 1000  # messages read to close one gap; more is the client's recovery
FILL_TRIES: Final = 5
RECHECKS_AT_ONCE: Final = 32
UNKNOWN: Final = -1
_log = logging.getLogger(__name__)


class Member(Protocol):
    """A socket on a channel."""

    def deliver(self, message: Delivered) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class Reader(Protocol):
    """What the hub reads of the log."""

    async def head(self, channel: str) -> int: ...

    async def following(self, channel: str, seq: int) -> Entry | None: ...


class Interests(Protocol):
    """Subscriptions, without waiting."""

    def watch(self, subject: str) -> int: ...

    def unwatch(self, sid: int) -> None: ...


class Channel:
    """One channel that is present here. `last` is the seq last passed on, UNKNOWN until the head is known."""

    __slots__ = ("head", "held", "key", "last", "members", "name", "sid", "subject")

    def __init__(self, name: str, subject: str, epoch: str) -> None:
        self.name = name
        self.subject = subject
        self.key = delivery_subject(subject).encode()
        self.head = message_head(name, epoch)
        self.sid = 0
        self.members: set[Member] = set()
        self.last = UNKNOWN
        self.held: list[tuple[Entry, int]] | None = None  # entries with their prev, while a gap is being filled


class Hub:
    """All channels of this gateway."""

    def __init__(self, interests: Interests, log: Reader, spawner: Spawner) -> None:
        self._interests = interests
        self._log = log
        self._spawner = spawner
        self._channels: dict[bytes, Channel] = {}
        self._epoch = ""
        self.delivered = 0
        self.gaps = 0

    @property
    def channels(self) -> int:
        return len(self._channels)

    @property
    def epoch(self) -> str:
        """ "" until the log has told it; no socket may join before."""
        return self._epoch

    def set_epoch(self, epoch: str) -> None:
        """The log's epoch; another one than before means a rebuilt log: every cursor here is void, all reconnect."""
        if self._epoch and epoch != self._epoch:
            _log.warning("the log was rebuilt", extra={"epoch": epoch})
            for channel in self._channels.values():
                channel.head = message_head(channel.name, epoch)
                self._reset(channel, "the log was rebuilt")
        self._epoch = epoch

    def join(self, member: Member, name: str, subject: str) -> Channel:
        """Puts a socket on a channel; `name` is how clients call it, `subject` the channel's subject."""
        channel = self._channels.get(delivery_subject(subject).encode())
        if channel is None:
            channel = Channel(name, subject, self._epoch)
            channel.sid = self._interests.watch(channel.key.decode())
            self._channels[channel.key] = channel
        channel.members.add(member)
        return channel

    def leave(self, member: Member, channel: Channel) -> None:
        channel.members.discard(member)
        if not channel.members and self._channels.pop(channel.key, None) is not None:
            self._interests.unwatch(channel.sid)

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
        channel = self._channels.get(subject)
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

    def _pass(self, channel: Channel, entry: Entry, prev: int) -> None:
        if entry.seq <= channel.last:
            return
        channel.last = entry.seq
        self.delivered += 1
        frame = message_frame(channel.head, entry.seq, prev, entry.payload)
        message = Delivered(entry.message_id, entry.seq, frame)
        for member in channel.members:
            member.deliver(message)

    def _hold(self, channel: Channel, entry: Entry, prev: int) -> None:
        if channel.held is None:
            channel.held = []
        if len(channel.held) >= MAX_HELD:
            self._reset(channel, "too much arrived during a gap")
        else:
            channel.held.append((entry, prev))

    async def _fill(self, channel: Channel) -> None:
        """Reads what was missed, passes it on in order, then what was held meanwhile."""
        self.gaps += 1
        if channel.held is None:
            channel.held = []
        for attempt in range(FILL_TRIES):
            try:
                if await self._read_missing(channel):
                    self._release(channel)
                else:
                    self._reset(channel, "too much was missed")
                return
            except Unavailable:
                await asyncio.sleep(0.2 * 2**attempt)
        self._reset(channel, "the log does not answer")

    async def _read_missing(self, channel: Channel) -> bool:
        """False when there is more than a gap should have. What is held already need not be read."""
        for _ in range(MAX_FILL):
            if channel.held and channel.held[0][1] == channel.last:
                return True
            entry = await self._log.following(channel.subject, channel.last)
            if entry is None:
                return True
            self._pass(channel, entry, channel.last)
        return False

    def _release(self, channel: Channel) -> None:
        held, channel.held = channel.held or [], None
        for entry, prev in held:
            self._pass(channel, entry, prev)

    def _reset(self, channel: Channel, reason: str) -> None:
        """Gives up on a channel: its clients come back and recover; silence is never a gap."""
        _log.warning("closing the readers of a channel", extra={"reason": reason, "members": len(channel.members)})
        channel.held = None
        channel.last = UNKNOWN
        for member in tuple(channel.members):
            member.close(codes.RESTART, reason)

    async def recheck(self) -> None:
        """After a lost connection: compares every channel's head with what was passed on, and fills what is missing."""
        slots = asyncio.Semaphore(RECHECKS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for channel in tuple(self._channels.values()):
                if channel.last != UNKNOWN and channel.held is None:
                    await slots.acquire()
                    group.create_task(self._recheck(channel)).add_done_callback(lambda _: slots.release())

    async def _recheck(self, channel: Channel) -> None:
        try:
            head = await self._log.head(channel.subject)
        except Unavailable:
            self._reset(channel, "the log does not answer")
            return
        if 0 < head < channel.last:
            self._reset(channel, "the log is behind what was delivered")
        elif head > channel.last and channel.held is None:
            await self._fill(channel)
