"""Claims: who sends a notification to a device does it once, however many workers and retries there are.

One key in Redis for each (message, user, device). Who sets it may send; what came of it is written there before it is
written anywhere else, so that a job that comes again finds its end:

| a worker is killed | what is there | who comes next |
|---|---|---|
| before it claims | nothing | sends |
| after that, before the answer is written down | a claim without an end | does not send; `ambiguous` after a while |
| then, before the record or the ack | the end | writes the record anew |
| after Later: the claim is let go first, then the timer is set | nothing | sends, as nothing was shown |

A decision not to send ends the claim too: a job that is decided on twice, once with another outcome, is told once or
never. A claim whose Redis is away is not had: the send comes again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from push_workloads.common.cache import reaching
from push_workloads.common.subjects import token
from push_workloads.common.tasks import together
from push_workloads.common.together import Together
from push_workloads.push.deliveries import Delivery

KEEP_MS: Final = 24 * 3_600_000
MARGIN_MS: Final = 3_600_000  # over a message's worth: what is left in the queue of it comes to an end meanwhile
MAX_DOUBTFUL: Final = 10_000
_CLAIMED: Final = b"claimed:"


class Key(NamedTuple):
    """Names a send: one device is told of one message once."""

    message_id: str
    user_id: str
    device_id: str


class Mine(NamedTuple):
    """Send it."""


class Others(NamedTuple):
    """Somebody began to send it, `since` then, Unix milliseconds, and either is still at it or gone."""

    since: int


class Ended(NamedTuple):
    """It came to this end before."""

    delivery: Delivery


Taken = Mine | Others | Ended


class Claims(Protocol):
    """Each may raise Unavailable."""

    async def take(self, key: Key, keep_ms: int, now_ms: int) -> Taken:
        """Kept for `keep_ms` milliseconds."""

    async def end(self, delivery: Delivery, keep_ms: int) -> None:
        """What came of a claim of mine."""

    async def release(self, key: Key) -> None:
        """A claim of mine: nothing was shown, and it may be taken again."""

    async def cancel(self, deliveries: Sequence[Delivery], keep_ms: int) -> list[bool]:
        """Ends what nobody has claimed. For each whether it is cancelled now; else it was sent, or is being sent."""


def keep_ms(expires_ms: int, now_ms: int) -> int:
    """How long a claim must be kept: a day, or as long as the message may still be told."""
    return max(KEEP_MS, expires_ms - now_ms + MARGIN_MS)


def key_of(delivery: Delivery) -> Key:
    return Key(delivery.message_id, delivery.user_id, delivery.device_id)


class RedisClaims:
    """Claims in Redis. A claim holds a random word of whoever set it. When Redis does not answer to a take or a
    release, that word is remembered: if it is found there later, the claim is had, and nothing was sent with it."""

    def __init__(self, cache: Any) -> None:
        self._cache = Together(cache)
        self._doubtful: dict[Key, bytes] = {}
        self._mine: dict[Key, bytes] = {}

    async def take(self, key: Key, keep_ms: int, now_ms: int) -> Taken:
        word = self._doubtful.get(key) or _CLAIMED + b"%d:" % now_ms + secrets.token_hex(8).encode()
        self._doubt(key, word)
        async with reaching("the claim on a notification"):
            held = await self._claim(key, word, keep_ms)
        self._doubtful.pop(key, None)
        if held is not None and held != word:
            return _held(held)
        self._mine[key] = word
        return Mine()

    async def end(self, delivery: Delivery, keep_ms: int) -> None:
        self._mine.pop(key_of(delivery), None)
        async with reaching("the claim on a notification"):
            await self._cache.do("SET", _name(key_of(delivery)), msgspec.json.encode(delivery), "PX", keep_ms)

    async def release(self, key: Key) -> None:
        if (word := self._mine.pop(key, None)) is not None:
            self._doubt(key, word)
        async with reaching("the claim on a notification"):
            await self._cache.do("DEL", _name(key))
        self._doubtful.pop(key, None)

    def _doubt(self, key: Key, word: bytes) -> None:
        self._doubtful[key] = word
        if len(self._doubtful) > MAX_DOUBTFUL:
            del self._doubtful[next(iter(self._doubtful))]  # costs a notification after an outage, never two

    async def cancel(self, deliveries: Sequence[Delivery], keep_ms: int) -> list[bool]:
        ends = [(key_of(one), msgspec.json.encode(one)) for one in deliveries]
        async with reaching("the claim on a notification"):
            held = await together(self._claim(key, end, keep_ms) for key, end in ends)
        return [one is None or _is_same_end(_held(one), wanted) for one, wanted in zip(held, deliveries, strict=True)]

    async def _claim(self, key: Key, value: bytes, keep_ms: int) -> bytes | None:
        """What was there already; None: the value is now."""
        held: bytes | None = await self._cache.do("SET", _name(key), value, "NX", "PX", keep_ms, "GET", get=True)
        return held


class MemoryClaims:
    """For tests. Keeps for ever."""

    def __init__(self) -> None:
        self.held: dict[Key, Delivery | int] = {}  # an end, or since when it is claimed

    async def take(self, key: Key, keep_ms: int, now_ms: int) -> Taken:
        if key not in self.held:
            self.held[key] = now_ms
            return Mine()
        held = self.held[key]
        return Others(held) if isinstance(held, int) else Ended(held)

    async def end(self, delivery: Delivery, keep_ms: int) -> None:
        self.held[key_of(delivery)] = delivery

    async def release(self, key: Key) -> None:
        self.held.pop(key, None)

    async def cancel(self, deliveries: Sequence[Delivery], keep_ms: int) -> list[bool]:
        return [self._cancel(one) for one in deliveries]

    def _cancel(self, delivery: Delivery) -> bool:
        key = key_of(delivery)
        if key not in self.held:
            self.held[key] = delivery
            return True
        held = self.held[key]
        return not isinstance(held, int) and held.state == delivery.state


def _name(key: Key) -> str:
    return f"push:claim:{token(key.message_id)}:{token(key.user_id)}:{key.device_id}"


def _held(raw: bytes) -> Others | Ended:
    if raw.startswith(_CLAIMED):
        return Others(int(raw.split(b":")[1]))
    return Ended(_decoder.decode(raw))


def _is_same_end(held: Others | Ended, wanted: Delivery) -> bool:
    return isinstance(held, Ended) and held.delivery.state == wanted.state


_decoder = msgspec.json.Decoder(Delivery)
