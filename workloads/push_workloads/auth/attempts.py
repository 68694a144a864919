"""How fast passwords may be guessed: each wrong one makes the next attempt wait longer.

Counted for each account and for each address, in Redis for all replicas together. An attempt is counted before the
password is checked: of a hundred at once no more are let through than one after the other. Attempts during a wait are
refused and not counted, so that nobody makes it longer than `most_ms` by asking.

Whoever fails at an account from everywhere makes everybody wait for it, except from the addresses that have been let in
before: those have a count of their own. And there is a way in that no count stops: a reset by mail signs in. So an
attacker delays an owner at most, and locks nobody out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from push_workloads.auth.accounts import wrong
from push_workloads.common.cache import reaching
from push_workloads.common.errors import RateLimited, Unavailable

KNOWN_MS: Final = 90 * 86_400_000  # how long an address is remembered as one that its owner uses
REMEMBERED: Final = 10_000  # counts in this process, while Redis is away
_log = logging.getLogger(__name__)


class Policy(NamedTuple):
    """`free` attempts without a wait, then 1 s, 2 s, 4 s …, at most `most_ms`; forgotten `window_ms` after the last."""

    free: int
    most_ms: int
    window_ms: int


ACCOUNT: Final = Policy(free=5, most_ms=300_000, window_ms=3_600_000)
ADDRESS: Final = Policy(free=100, most_ms=60_000, window_ms=900_000)  # a whole office may share one


class Attempt(NamedTuple):
    """One that was let through: what it was counted under, and by whom."""

    account: str
    address: str
    known: str
    by: Any


def wait_after(attempts: int, policy: Policy) -> int:
    """How many milliseconds the next attempt has to wait after so many that were wrong."""
    over = attempts - policy.free
    return min(policy.most_ms, 1000 << min(over, 32)) if over >= 0 else 0


def network_of(address: str) -> str:
    """What one customer of a network has at least: an IPv4 address, or 64 bits of an IPv6 one (RFC 6177)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False).network_address)


# KEYS: the count of the account, that of the account from this address, that of the address; the mark of an address
# that was let in. ARGV: free, most and window of account and address. Returns the wait in ms; 0 when counted, under
# the first key, and -1, under the second.
_BEGIN_LUA: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('EXISTS', KEYS[4]) == 1
local counts = {known and KEYS[2] or KEYS[1], KEYS[3]}
local wait = 0
for at = 1, 2 do
  wait = math.max(wait, tonumber(redis.call('HGET', counts[at], 'until') or '0') - now)
end
if wait > 0 then return wait end
for at = 1, 2 do
  local free, most, window = tonumber(ARGV[at * 3 - 2]), tonumber(ARGV[at * 3 - 1]), ARGV[at * 3]
  local over = redis.call('HINCRBY', counts[at], 'n', 1) - free
  if over >= 0 then
    redis.call('HSET', counts[at], 'until', string.format('%d', now + math.min(most, 1000 * 2 ^ math.min(over, 32))))
  end
  redis.call('PEXPIRE', counts[at], window)
end
return known and -1 or 0
"""
# KEYS: the count under which it stands, that of the address, the mark. ARGV: how long the mark is kept, 0 for none.
# A good attempt begins its account's count anew; that of its address is only put back by this one: else whoever has an
# account here could guess at others', with a good login in between.
_END_LUA: Final = """
if tonumber(ARGV[1]) > 0 then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[3], '1', 'PX', ARGV[1])
elseif redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'n', -1)
  redis.call('HDEL', KEYS[1], 'until')
end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('HINCRBY', KEYS[2], 'n', -1) end
"""


class RedisCounts:
    """The counts of all replicas. Raises Unavailable without Redis."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    async def begin(self, email: str, address: str) -> Attempt:
        everywhere, here, network, known = _keys(email, address)
        async with reaching("login"):
            answer = int(await self._cache.eval(_BEGIN_LUA, 4, everywhere, here, network, known, *ACCOUNT, *ADDRESS))
        if answer > 0:
            raise _wait(answer)
        return Attempt(here if answer < 0 else everywhere, network, known, self)

    async def end(self, attempt: Attempt, *, good: bool) -> None:
        keys = (attempt.account, attempt.address, attempt.known)
        async with reaching("login"):
            await self._cache.eval(_END_LUA, 3, *keys, KNOWN_MS if good else 0)


class MemoryCounts:
    """The same for this process alone: its twin in tests, and while Redis is away. `now_ms` is the clock."""

    def __init__(self, now_ms: Callable[[], int], remembered: int = REMEMBERED) -> None:
        self._now_ms = now_ms
        self._remembered = remembered
        self._counts: OrderedDict[str, tuple[int, int, int]] = OrderedDict()  # attempts, wait until, forgotten at
        self._known: OrderedDict[str, int] = OrderedDict()

    async def begin(self, email: str, address: str) -> Attempt:
        everywhere, here, network, known = _keys(email, address)
        now = self._now_ms()
        account = here if self._known.get(known, 0) > now else everywhere
        wait = max(self._count(key)[1] for key in (account, network)) - now
        if wait > 0:
            raise _wait(wait)
        for key, policy in ((account, ACCOUNT), (network, ADDRESS)):
            attempts = self._count(key)[0] + 1
            waits = wait_after(attempts, policy)
            self._keep(key, (attempts, now + waits if waits else 0, now + policy.window_ms))
        return Attempt(account, network, known, self)

    async def end(self, attempt: Attempt, *, good: bool) -> None:
        if good:
            self._counts.pop(attempt.account, None)
            self._known[attempt.known] = self._now_ms() + KNOWN_MS
            _bound(self._known, self._remembered)
        elif attempt.account in self._counts:
            attempts, _, forgotten = self._counts[attempt.account]
            self._counts[attempt.account] = (attempts - 1, 0, forgotten)
        if attempt.address in self._counts:
            attempts, until, forgotten = self._counts[attempt.address]
            self._counts[attempt.address] = (attempts - 1, until, forgotten)

    def _count(self, key: str) -> tuple[int, int, int]:
        found = self._counts.get(key, (0, 0, 0))
        return found if found[2] > self._now_ms() else (0, 0, 0)

    def _keep(self, key: str, count: tuple[int, int, int]) -> None:
        self._counts[key] = count
        self._counts.move_to_end(key)
        _bound(self._counts, self._remembered)


class Attempts:
    """The counts of all replicas, and this process's own as long as those cannot be reached: logins go on without
    Redis, and still nobody guesses at will."""

    def __init__(self, shared: RedisCounts | MemoryCounts, own: MemoryCounts) -> None:
        self._shared = shared
        self._own = own

    async def check(self, email: str, address: str, whether: Callable[[], Awaitable[bool]]) -> None:
        """Asks `whether` the password is right, as often as that may be asked. Raises BadCredentials when it is wrong,
        RateLimited when it comes too soon."""
        attempt = await self._begin(email, address)
        try:
            right = await whether()
        except BaseException:
            await self._end(attempt, good=False)  # it was not found out: does not count
            raise
        if not right:
            raise wrong()
        await self._end(attempt, good=True)

    async def _begin(self, email: str, address: str) -> Attempt:
        try:
            return await self._shared.begin(email, address)
        except Unavailable:
            return await self._own.begin(email, address)

    async def _end(self, attempt: Attempt, *, good: bool) -> None:
        try:
            await attempt.by.end(attempt, good=good)
        except Unavailable:
            _log.warning("a login counts as a wrong one: Redis does not answer")


def _keys(email: str, address: str) -> tuple[str, str, str, str]:
    """No e-mail stands in Redis."""
    account = hashlib.blake2b(email.encode("utf-8", "replace"), digest_size=16).hexdigest()
    network = network_of(address)
    return (
        f"auth:try:{account}",
        f"auth:try:{account}:{network}",
        f"auth:from:{network}",
        f"auth:known:{account}:{network}",
    )


def _wait(wait_ms: int) -> RateLimited:
    return RateLimited("too many attempts; try again later", retry_after_ms=wait_ms)


def _bound(held: OrderedDict[str, Any], most: int) -> None:
    while len(held) > most:
        held.popitem(last=False)
