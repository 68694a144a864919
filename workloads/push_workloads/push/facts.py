"""What must be known of a user before somebody is told: the port, its adapter on Redis and the bus, its twin in memory.

None of it is guessed. Who does not answer makes the job come again later: a notification that is late can be explained,
one that should not have been sent cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from push_workloads.common import presence_keys, questions
from push_workloads.common.asking import ask
from push_workloads.common.bus import Bus
from push_workloads.common.cache import reaching
from push_workloads.common.cursor_keys import Reached, cursor_key, parse_cursor
from push_workloads.common.subjects import token
from push_workloads.common.together import Together

RATE_WINDOW_MS: Final = 60_000

# KEYS[1] the user's sessions, the others a device each; ARGV[1] the channel, ARGV[2] what a lease's key begins with.
# One round trip: the leases' names stand in the sessions. Returns whether one of them lives, then the cursors.
NEAR_LUA: Final = """
local found = {0}
for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
  local gid = string.match(field, '^([^|]*)')
  if redis.call('EXISTS', ARGV[2] .. gid) == 1 then found[1] = 1 break end
end
for at = 2, #KEYS do found[at] = redis.call('HGET', KEYS[at], ARGV[1]) end
return found
"""
# KEYS[1] of the user; ARGV: message id, now, window, limit. Whether this message is one too many. What was let through
# before is again, so a job that comes twice counts once.
RATE_LUA: Final = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2] - ARGV[3])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 1 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 0
"""


class Near(NamedTuple):
    """`online`: a socket of the user's is open. `reached`: each device's cursor on the channel, as they were asked."""

    online: bool
    reached: list[Reached | None]


class Reading(NamedTuple):
    """`read`: that message. `unread`: how many messages are, None when nobody counts."""

    read: bool = False
    unread: int | None = None


class FactSource(Protocol):
    """Each may raise Unavailable."""

    async def near(self, user_id: str, channel: str, device_ids: Sequence[str]) -> Near: ...

    async def reading(self, user_id: str, conversation: str, sent_at: int, message_id: str) -> Reading: ...

    async def over_rate(self, user_id: str, message_id: str, now_ms: int) -> bool:
        """Whether this message would be one too many for the user; counts it when it is not."""


class LiveFacts:
    """`per_minute`: so many notifications a user gets at most, in any minute."""

    def __init__(self, cache: Any, bus: Bus, per_minute: int) -> None:
        self._cache = Together(cache)
        self._bus = bus
        self._per_minute = per_minute

    async def near(self, user_id: str, channel: str, device_ids: Sequence[str]) -> Near:
        keys = [presence_keys.user(user_id), *(cursor_key(user_id, device_id) for device_id in device_ids)]
        async with reaching("presence"):
            online, *cursors = await self._cache.do(
                "EVAL", NEAR_LUA, len(keys), *keys, channel, presence_keys.lease("")
            )
        return Near(bool(online), [parse_cursor(one) if one else None for one in cursors])

    async def reading(self, user_id: str, conversation: str, sent_at: int, message_id: str) -> Reading:
        asked = questions.UnreadAsked(user_id, conversation, sent_at, message_id)
        answer = await ask(self._bus.client, questions.UNREAD, asked, questions.Unread)
        return Reading(answer.read, answer.count)

    async def over_rate(self, user_id: str, message_id: str, now_ms: int) -> bool:
        key = f"push:rate:{token(user_id)}"
        async with reaching("the rate of notifications"):
            over = await self._cache.do("EVAL", RATE_LUA, 1, key, message_id, now_ms, RATE_WINDOW_MS, self._per_minute)
        return bool(over)


class MemoryFacts:
    """For tests: what they set."""

    def __init__(self) -> None:
        self.online: set[str] = set()
        self.reached: dict[tuple[str, str, str], Reached] = {}  # user, device, channel
        self.read: set[tuple[str, str]] = set()  # user, message
        self.unread: dict[str, int] = {}
        self.limited: set[str] = set()

    async def near(self, user_id: str, channel: str, device_ids: Sequence[str]) -> Near:
        reached = [self.reached.get((user_id, device_id, channel)) for device_id in device_ids]
        return Near(user_id in self.online, reached)

    async def reading(self, user_id: str, conversation: str, sent_at: int, message_id: str) -> Reading:
        return Reading((user_id, message_id) in self.read, self.unread.get(user_id, 0))

    async def over_rate(self, user_id: str, message_id: str, now_ms: int) -> bool:
        return user_id in self.limited
