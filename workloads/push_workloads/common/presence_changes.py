"""How a user's status changes: decided inside Redis, one step for each change, so that whoever races sees one order.

A user's status is the best that any open session has: online before away before offline. A rise is told at once. A fall
waits: who has less than is told stands in `presence:leaving` until a grace is over, and is told then, once, if it is
still so. So a reconnect is seen by nobody, whichever of the devices it was; a user who says `away` is believed at once.

Every step writes under one session's own field, which names its connection: the end of an old one touches no new one.
Times are of Redis' own clock, so the gateways' need not agree. What is told has a revision that only grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from push_workloads.common import presence_keys as keys
from push_workloads.common.announcements import Announcement, Status
from push_workloads.common.subjects import identifier, token

STATUSES: Final[tuple[Status, ...]] = ("offline", "away", "online")  # by rank

# What both scripts need. `%.0f`: Lua writes 1.79e+12 by itself.
_PRELUDE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lives = {}
local function alive(gid)
  if lives[gid] == nil then lives[gid] = redis.call('EXISTS', 'presence:lease:' .. gid) == 1 end
  return lives[gid]
end
local function is_away(value) return string.match(value, '^[^|]*|[^|]*|[^|]*|away$') ~= nil end
local function rank_of(user)
  local held, best = redis.call('HGETALL', 'presence:user:' .. user), 0
  for at = 1, #held, 2 do
    if alive(string.match(held[at], '^[^|]*')) then
      if not is_away(held[at + 1]) then return 2 end
      best = 1
    end
  end
  return best
end
local function told(user)
  local rank, revision = string.match(redis.call('GET', 'presence:told:' .. user) or '0|0', '^(%d)|(%d+)$')
  return tonumber(rank), tonumber(revision)
end
local function tell(leaving, user, rank, revision)
  revision = string.format('%.0f', math.max(now, revision + 1))
  if rank == 0 then
    redis.call('DEL', 'presence:told:' .. user)
  else
    redis.call('SET', 'presence:told:' .. user, rank .. '|' .. revision)
  end
  redis.call('ZREM', leaving, user)
  return {user, rank, revision, redis.call('GET', 'presence:seen:' .. user) or '0'}
end
"""

# KEYS: gateways, of:<gid>, leaving. ARGV: gid, how long a fall waits in ms; then for each session: user id, its token,
# field, value ('' for the end). A write that comes late, after a sweep of this gid, is swept again: so the gid first.
# Who says `away` lowers the status by choice; any other fall may be a reconnect. The grace of the last session begins
# with its own end, also when that of a better one runs already: an away phone that reconnects then is not offline.
_CHANGE: Final = (
    _PRELUDE
    + """
local announced = {}
redis.call('SADD', KEYS[1], ARGV[1])
local function is_here(key)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.match(field, '^[^|]*') == ARGV[1] then return true end
  end
  return false
end
for at = 3, #ARGV, 4 do
  local user, field, value = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local key, chosen, ended = 'presence:user:' .. user, false, false
  if value == '' then
    ended = redis.call('HDEL', key, field) == 1
    if not is_here(key) then redis.call('SREM', KEYS[2], ARGV[at]) end
    local seen = 'presence:seen:' .. user
    if now > tonumber(redis.call('GET', seen) or '0') then redis.call('SET', seen, string.format('%.0f', now)) end
  else
    local before = redis.call('HGET', key, field)
    chosen = before and is_away(value) and not is_away(before)
    redis.call('SADD', KEYS[2], ARGV[at])
    redis.call('HSET', key, field, value)
  end
  local rank, is_told, revision = rank_of(user), told(user)
  if rank > is_told or (rank > 0 and rank < is_told and chosen and not redis.call('ZSCORE', KEYS[3], user)) then
    announced[#announced + 1] = tell(KEYS[3], user, rank, revision)
  elseif rank == is_told then
    redis.call('ZREM', KEYS[3], user)
  else
    redis.call('ZADD', KEYS[3], (ended and rank == 0) and 'GT' or 'NX', string.format('%.0f', now + ARGV[2]), user)
  end
end
return announced
"""
)

# KEYS: leaving. ARGV[1] at most so many.
_SETTLE: Final = (
    _PRELUDE
    + """
local announced = {}
for _, user in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])) do
  local rank, is_told, revision = rank_of(user), told(user)
  if rank == is_told then
    redis.call('ZREM', KEYS[1], user)
  else
    announced[#announced + 1] = tell(KEYS[1], user, rank, revision)
  end
end
return announced
"""
)


class Change(NamedTuple):
    """Of one session of a user; `value` "" when it has ended."""

    user_id: str
    field: str
    value: str


class PresenceChanges:
    """Both steps. They raise Redis' own errors."""

    def __init__(self, cache: Any) -> None:
        self._change = cache.register_script(_CHANGE)
        self._settle = cache.register_script(_SETTLE)

    async def write(self, gid: str, changes: Iterable[Change], wait_ms: int) -> list[Announcement]:
        """Sessions of that gateway generation; what is to be told now. A fall is told after `wait_ms`."""
        values = [part for one in changes for part in (one.user_id, token(one.user_id), one.field, one.value)]
        names = [keys.GATEWAYS, keys.sessions_of(gid), keys.LEAVING]
        return _announced(await self._change(keys=names, args=[gid, wait_ms, *values]))

    async def settle(self, limit: int) -> list[Announcement]:
        """What has waited long enough, of at most so many users; fewer than that many may come of it."""
        return _announced(await self._settle(keys=[keys.LEAVING], args=[limit]))


async def read_presence(cache: Any, user_ids: Sequence[str]) -> list[Announcement]:
    """What is told of these users now, in their order: one round trip. Raises Redis' own errors."""
    if not user_ids:
        return []
    names = [*(keys.told(one) for one in user_ids), *(keys.last_seen(one) for one in user_ids)]
    found = await cache.mget(names)
    return [
        _read(user_id, told, seen)
        for user_id, told, seen in zip(user_ids, found[: len(user_ids)], found[len(user_ids) :], strict=True)
    ]


def _read(user_id: str, told: bytes | None, seen: bytes | None) -> Announcement:
    rank, _, revision = (told or b"0|0").partition(b"|")
    return Announcement(user_id, STATUSES[int(rank)], int(revision), int(seen) if seen else None)


def _announced(rows: Iterable[tuple[bytes, int, bytes, bytes]]) -> list[Announcement]:
    return [
        Announcement(identifier(user.decode()), STATUSES[rank], int(revision), int(seen) or None)
        for user, rank, revision, seen in rows
    ]
