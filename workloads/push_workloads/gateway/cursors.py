"""Device cursors: how far each device has received. Kept in Redis, at most one write a second for each device.

A cursor only grows within an epoch: a late write of an older one changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from push_workloads.common.cache import reaching
from push_workloads.common.cursor_keys import cursor_key, parse_cursor
from push_workloads.gateway.actions import Cursor, Who
from push_workloads.gateway.frames import Place

FLUSH_SECONDS: Final = 1.0
KEEP_SECONDS: Final = 90 * 86_400
BATCH: Final = 500
MAX_WAITING: Final = 50_000
_log = logging.getLogger(__name__)

# KEYS[1] the device, ARGV: channel, epoch, seq, seconds to keep. A new epoch replaces, within one the larger wins.
SET_LUA: Final = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
  local epoch, seq = string.match(held, '^(.*) (%d+)$')
  if epoch == ARGV[2] and tonumber(seq) >= tonumber(ARGV[3]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


def place_of(kept: bytes) -> Place | None:
    """None when it is no cursor."""
    reached = parse_cursor(kept)
    return Place(*reached) if reached is not None else None


class CursorWriter:
    """Coalesces: only the newest cursor of a device and channel waits to be written."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache
        self._waiting: dict[tuple[str, str, str], Cursor] = {}

    def moved(self, user_id: str, device_id: str, cursor: Cursor) -> None:
        key = (user_id, device_id, cursor.channel)
        held = self._waiting.get(key)
        if held is None or held.epoch != cursor.epoch or held.seq < cursor.seq:
            self._waiting[key] = cursor
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]  # a lost cursor costs its device a longer replay, no message

    def write(self, pipe: Any, who: Who, channel: str) -> None:
        """Adds what waits of one device to a pipeline; `written` when that has gone through."""
        cursor = self._waiting.get((who.user_id, who.device_id, channel))
        if cursor is not None:
            _set(pipe, who.user_id, who.device_id, cursor)

    async def read(self, who: Who, channels: Sequence[str]) -> dict[str, Place]:
        """Where a device stopped; channels without a cursor are left out. Raises Unavailable."""
        if not channels:
            return {}
        async with reaching("the device's cursors"):
            kept = await self._cache.hmget(cursor_key(who.user_id, who.device_id), channels)
        places = {channel: place_of(one) for channel, one in zip(channels, kept, strict=True) if one is not None}
        return {channel: place for channel, place in places.items() if place is not None}

    def written(self, who: Who, channel: str) -> None:
        self._waiting.pop((who.user_id, who.device_id, channel), None)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Writes what waits; on failure it goes on waiting."""
        while self._waiting:
            batch = [(key, self._waiting[key]) for key in list(self._waiting)[:BATCH]]
            pipe = self._cache.pipeline(transaction=False)
            for (user_id, device_id, _), cursor in batch:
                _set(pipe, user_id, device_id, cursor)
            try:
                await pipe.execute()
            except (RedisError, OSError, TimeoutError) as error:
                _log.warning("cursors cannot be written: %s", error)
                return
            for waiting, cursor in batch:
                if self._waiting.get(waiting) is cursor:
                    del self._waiting[waiting]


def _set(pipe: Any, user_id: str, device_id: str, cursor: Cursor) -> None:
    key = cursor_key(user_id, device_id)
    pipe.eval(SET_LUA, 1, key, cursor.channel, cursor.epoch, cursor.seq, KEEP_SECONDS)
