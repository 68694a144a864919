"""Entries of the queue, a batch at once: each is handled by itself, and is done, comes again, or is dead.

Nothing is dropped without a word. What cannot be read, what fails again and again, and what its handler gives up goes
to the dead letters before it leaves the queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Generic, TypeVar

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from push_workloads.common.errors import Unavailable
from push_workloads.push.dead import DeadLetters
from push_workloads.push.measures import PushMetrics

# An entry that fails for no reason that we know of fails as often again. One whose peers are away waits for them: with
# the pauses below for two hours and more.
MAX_FAULTS: Final = 5
MAX_DELIVERIES: Final = 250
AGAIN_FIRST_S, AGAIN_LAST_S = 0.5, 30.0
UNDECODABLE, TOO_OFTEN, FAULT = "undecodable", "too_often", "fault"
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Entries(Generic[T]):
    """`name` is that of the queue, for numbers and logs. `handle` returns when the entry is done with: None, or the
    reason why it is dead. It may raise Unavailable: then the entry comes again. `now_ms` is the clock."""

    def __init__(
        self,
        name: str,
        decode: Callable[[bytes], T],
        handle: Callable[[T], Awaitable[str | None]],
        client: Client,
        dead: DeadLetters,
        metrics: PushMetrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._name = name
        self._decode = decode
        self._handle = handle
        self._client = client
        self._dead = dead
        self._metrics = metrics
        self._now_ms = now_ms
        metrics.begin(name)

    async def batch(self, messages: Sequence[Msg]) -> None:
        """Raises Unavailable when none of them could be handled: a pause is better than to ask in vain."""
        failures = [one for one in await asyncio.gather(*map(self._one, messages)) if one is not None]
        if failures and len(failures) == len(messages):
            raise failures[0]

    async def _one(self, message: Msg) -> Unavailable | None:
        delivered = message.metadata.num_delivered
        self._metrics.taken(self._name, self._now_ms() / 1000 - message.metadata.timestamp.timestamp())
        try:
            reason = await self._done(message, delivered)
            if reason is not None:
                await self._bury(message, reason, delivered)
            await message.ack()
        except Unavailable as error:
            _log.debug("an entry waits: %s", error.message, extra={"queue": self._name})
            await self._again(message, delivered)
            return error
        except (NatsError, OSError, TimeoutError) as error:
            return Unavailable(f"the bus does not answer: {type(error).__name__}")
        return None

    async def _done(self, message: Msg, delivered: int) -> str | None:
        """Why it is dead; None when it is handled."""
        if delivered > MAX_DELIVERIES:
            return TOO_OFTEN
        try:
            entry = self._decode(message.data)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return f"{UNDECODABLE}: {error}"
        try:
            return await self._handle(entry)
        except (Unavailable, NatsError, OSError, TimeoutError):
            raise
        except Exception as error:
            _log.exception("an entry cannot be handled", extra={"queue": self._name, "subject": message.subject})
            if delivered >= MAX_FAULTS:
                return f"{FAULT}: {type(error).__name__}"
            raise Unavailable("it may be handled later") from error

    async def _bury(self, message: Msg, reason: str, attempts: int) -> None:
        entry_id = f"{message.metadata.stream}:{message.metadata.sequence.stream}"
        since = _ms(message.metadata.timestamp)
        _log.error("a dead letter", extra={"queue": self._name, "subject": message.subject, "reason": reason})
        await self._dead.put(message.subject, message.data, reason, attempts, since, entry_id)
        self._metrics.died(self._name)

    async def _again(self, message: Msg, delivered: int) -> None:
        """Asks for it again after a pause. Not with `nak`: that marks it as done, and it would be counted so."""
        pause = min(AGAIN_LAST_S, AGAIN_FIRST_S * 2.0 ** min(delivered - 1, 10))
        body = Msg.Ack.Nak + b" " + json.dumps({"delay": round(pause * 1e9)}).encode()
        try:
            await self._client.publish(message.reply, body)
        except (NatsError, OSError) as error:
            _log.warning("an entry comes again when its time is over: %s", error, extra={"queue": self._name})


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
