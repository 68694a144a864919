"""Devices in Redis: which connection of a device is the newest, and how far the device has come.

Every connection takes a number. The newer one wins: the gateway that has the older is told on its own subject, and
closes it. What a device is asked and told goes in batches, one at a time, so that thousands that come back at once cost
a few round trips. Without Redis devices are served all the same: then two connections of one device on two gateways do
not learn of each other, and no device is resumed by its name alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from push_workloads.common.cache import reaching
from push_workloads.common.cursor_keys import cursor_key
from push_workloads.common.errors import Unavailable
from push_workloads.common.subjects import inbox
from push_workloads.common.tasks import Spawner
from push_workloads.gateway.actions import Start, Who
from push_workloads.gateway.cursors import KEEP_SECONDS, CursorWriter, place_of
from push_workloads.gateway.frames import Place
from push_workloads.gateway.recovery import NO_CURSOR

BATCH: Final = 100
DOWN_SECONDS: Final = 4.0  # Redis fails for so long: devices are served without
RETRY_SECONDS: Final = 0.05
TELL_SECONDS: Final = 2.0
TELL_TRIES: Final = 3
TELLS_AT_ONCE: Final = 32
VERIFY_TRIES: Final = 7
VERIFY_PAUSE_SECONDS: Final = 0.5
KEEP_UNUSED_SECONDS: Final = 3600  # of a device without a cursor: its connection number
_log = logging.getLogger(__name__)

# KEYS[1] the device, KEYS[2] since when cursors are kept. ARGV: channel, gateway, where the log ends, seconds to keep.
ENTER_LUA: Final = """
redis.call('SET', KEYS[2], ARGV[3], 'NX')
local number = redis.call('HINCRBY', KEYS[1], 'connection', 1)
local before = redis.call('HGET', KEYS[1], 'gateway')
redis.call('HSET', KEYS[1], 'gateway', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {number, before, redis.call('HGET', KEYS[1], ARGV[1]), redis.call('GET', KEYS[2])}
"""

# KEYS[1] the device, ARGV: its connection's number, channel, seconds to keep what has no cursor.
LEAVE_LUA: Final = """
if redis.call('HGET', KEYS[1], 'connection') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'gateway')
if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1
"""


class Entered(NamedTuple):
    """`number`: of this connection among those of its device, 0 when Redis does not say. `start`: where the device
    would go on."""

    number: int
    start: Start


NOT_KNOWN: Final = Entered(0, NO_CURSOR)


class _Entry(NamedTuple):
    who: Who
    epoch: str
    log_end: int
    done: asyncio.Future[Entered]


class _Leave(NamedTuple):
    who: Who
    number: int
    channels: tuple[str, ...]


class Notice(msgspec.Struct, array_like=True):
    """A device has a newer connection than those with a lower number."""

    user_id: str
    device_id: str
    number: int


Displace = Callable[[Notice], None]
Connections = Callable[[], Iterable[tuple[Who, int]]]


class Devices:
    """The devices that are connected to this process. `instance` names it on the bus."""

    def __init__(self, cache: Any, cursors: CursorWriter, client: Client, spawner: Spawner, instance: str) -> None:
        self._cache = cache
        self._cursors = cursors
        self._client = client
        self._spawner = spawner
        self._instance = instance
        self._queue: deque[_Entry | _Leave] = deque()
        self._wake = asyncio.Event()
        self._failing_since: float | None = None
        self._entering: dict[tuple[str, str], int] = {}  # with the highest number that was told meanwhile
        self._tells = asyncio.Semaphore(TELLS_AT_ONCE)

    def enter(self, who: Who, epoch: str, log_end: int) -> asyncio.Future[Entered]:
        """Takes a number and asks for the cursor on the inbox; never fails. A number below 0: a newer one is there
        already. `epoch` and `log_end`: of the log of the inbox, and a seq that it has reached."""
        entry = _Entry(who, epoch, log_end, asyncio.get_running_loop().create_future())
        self._entering.setdefault((who.user_id, who.device_id), 0)
        self._queue.append(entry)
        self._wake.set()
        return entry.done

    def leave(self, who: Who, number: int, channels: tuple[str, ...]) -> None:
        """Writes the device's last cursors on what it read, and that it is not here any more."""
        self._queue.append(_Leave(who, number, channels))
        self._wake.set()

    async def listen(self, displace: Displace) -> None:
        """From now on other gateways can say that a device is with them."""

        async def told(message: Msg) -> None:
            notice = msgspec.json.decode(message.data, type=Notice)
            key = (notice.user_id, notice.device_id)
            if key in self._entering:
                self._entering[key] = max(self._entering[key], notice.number)
            displace(notice)
            await message.respond(b"")

        await self._client.subscribe(_subject(self._instance), cb=told)

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            try:
                await self._exchange(batch)
                self._failing_since = None
            except Unavailable:
                self._queue.extendleft(reversed(batch))
                await self._failed()

    async def _failed(self) -> None:
        """One failure may be this process's own: thousands of handshakes at once make any answer late."""
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since < DOWN_SECONDS:
            return await asyncio.sleep(RETRY_SECONDS)
        _log.warning("devices cannot be looked up: Redis does not answer")
        self._give_up()
        return None

    async def verify(self, connections: Connections, displace: Displace) -> None:
        """After a time without the bus: finds the devices that connected elsewhere meanwhile."""
        for attempt in range(VERIFY_TRIES):
            try:
                return await self._verify(connections(), displace)
            except Unavailable:
                await asyncio.sleep(VERIFY_PAUSE_SECONDS * 2**attempt)
        _log.warning("whether devices went elsewhere is not known: Redis does not answer")
        return None

    async def _verify(self, connections: Iterable[tuple[Who, int]], displace: Displace) -> None:
        known = [(who, number) for who, number in connections if number > 0]
        for start in range(0, len(known), BATCH):
            batch = known[start : start + BATCH]
            pipe = self._cache.pipeline(transaction=False)
            for who, _ in batch:
                pipe.hget(cursor_key(who.user_id, who.device_id), "connection")
            async with reaching("the device registry"):
                numbers = await pipe.execute()
            for (who, number), newest in zip(batch, numbers, strict=True):
                if newest is not None and int(newest) > number:
                    displace(Notice(who.user_id, who.device_id, int(newest)))

    async def _exchange(self, batch: list[_Entry | _Leave]) -> None:
        pipe = self._cache.pipeline(transaction=False)
        for one in batch:
            key, channel = cursor_key(one.who.user_id, one.who.device_id), inbox(one.who.user_id)
            if isinstance(one, _Entry):
                since = f"cursors:since:{one.epoch}"
                pipe.eval(ENTER_LUA, 2, key, since, channel, self._instance, one.log_end, KEEP_SECONDS)
            else:
                for read in one.channels:
                    self._cursors.write(pipe, one.who, read)
                pipe.eval(LEAVE_LUA, 1, key, one.number, channel, KEEP_UNUSED_SECONDS)
        async with reaching("the device registry"):
            answers = [answer for answer in await pipe.execute() if isinstance(answer, list)]
        for entry, answer in zip((one for one in batch if isinstance(one, _Entry)), answers, strict=True):
            self._entered(entry, *answer)
        for one in batch:
            if isinstance(one, _Leave):
                for read in one.channels:
                    self._cursors.written(one.who, read)

    def _entered(self, entry: _Entry, number: int, before: bytes | None, cursor: bytes | None, since: bytes) -> None:
        who = entry.who
        newest = self._entering.pop((who.user_id, who.device_id), 0)
        gateway = before.decode() if before is not None else self._instance
        if gateway != self._instance:
            self._spawner.spawn(self._tell(gateway, Notice(who.user_id, who.device_id, number)))
        if not entry.done.done():
            entry.done.set_result(Entered(-1 if newest > number else number, _start(cursor, since)))

    def _give_up(self) -> None:
        for one in self._queue:
            if isinstance(one, _Entry):
                self._entering.pop((one.who.user_id, one.who.device_id), None)
                if not one.done.done():
                    one.done.set_result(NOT_KNOWN)
        self._queue.clear()

    async def _tell(self, gateway: str, notice: Notice) -> None:
        """A gateway that is cut off from the bus looks for itself when it is back (`verify`)."""
        async with self._tells:
            for _ in range(TELL_TRIES):
                try:
                    await self._client.request(_subject(gateway), msgspec.json.encode(notice), timeout=TELL_SECONDS)
                except NoRespondersError:
                    return
                except (NatsError, TimeoutError):
                    continue
                return
        _log.warning("a gateway does not hear that a device went elsewhere", extra={"gateway": gateway})


def _start(cursor: bytes | None, since: bytes) -> Start:
    """A device without a cursor has never sent one, if cursors were kept since the log began; else it may be that Redis
    has lost it."""
    place: Place | None = place_of(cursor) if cursor is not None else None
    if place is None and cursor is None and since == b"0":
        return None
    return place or NO_CURSOR


def _subject(instance: str) -> str:
    return f"ctl.gateway.{instance}"
