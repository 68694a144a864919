"""Sends over HTTP: the same steps as on a socket (`common/sending.py`), awaited one after the other."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from push_workloads.common.errors import BadRequest, Conflict, PushError, RateLimited, Unavailable
from push_workloads.common.outgoing import Outgoing, unusable
from push_workloads.common.sending import (
    AWAY,
    CONFLICT,
    RETRY_AFTER_MS,
    TO_RECIPIENT,
    TO_SENDER,
    UNANSWERED,
    Send,
    begin,
)
from push_workloads.common.subjects import inbox_subject
from push_workloads.common.tokens import Identity
from push_workloads.message.access import Access
from push_workloads.message.callers import Callers
from push_workloads.message.doors import writing
from push_workloads.message.known import KnownMessages
from push_workloads.message.log import Log

ANSWER_SECONDS: Final = 10.0  # a caller that waits longer has gone; the same dedup_id may be sent again
REQUESTS_AT_ONCE: Final = 256


class Sender:
    """Takes messages as soon as `open` has given it the log."""

    def __init__(self, callers: Callers, access: Access, known: KnownMessages, registry: CollectorRegistry) -> None:
        self._callers = callers
        self._access = access
        self._known = known
        self._log: Log | None = None
        self._running = 0
        self._outcomes = Counter("push_message_sends", "Sends over HTTP by outcome", ["outcome"], registry=registry)

    def open(self, log: Log) -> None:
        self._log = log

    async def send(self, caller: Identity, messages: Sequence[Outgoing]) -> list[Send | PushError]:
        """Sends the same content to each recipient, or to one channel; what became of each, in their order.

        Raises BadRequest, RateLimited or Unavailable when nothing was sent to anyone.
        """
        log = self._admit(caller.user_id, messages)
        self._running += 1
        try:
            now = asyncio.get_running_loop().time()
            sent_at = self._callers.sent_at(caller.user_id, now, time.time_ns() // 1_000_000)
            return list(await asyncio.gather(*(self._one(log, caller, message, sent_at) for message in messages)))
        finally:
            self._running -= 1

    def _admit(self, user_id: str, messages: Sequence[Outgoing]) -> Log:
        first = messages[0]
        refusal = unusable(first, user_id)
        if refusal:
            raise BadRequest(refusal)
        if self._log is None:
            raise Unavailable(AWAY, retry_after_ms=RETRY_AFTER_MS)
        if self._running >= REQUESTS_AT_ONCE:
            raise Unavailable("too many messages on their way", retry_after_ms=RETRY_AFTER_MS)
        now = asyncio.get_running_loop().time()
        wait = self._callers.wait_ms(user_id, now, len(bytes(first.content)), len(messages))
        if wait:
            raise RateLimited("too many messages", retry_after_ms=wait)
        return self._log

    async def _one(self, log: Log, caller: Identity, message: Outgoing, sent_at: int) -> Send | PushError:
        outcome = await self._sent(log, caller, message, sent_at)
        self._outcomes.labels(outcome.code if isinstance(outcome, PushError) else "ok").inc()
        return outcome

    async def _sent(self, log: Log, caller: Identity, message: Outgoing, sent_at: int) -> Send | PushError:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await writing(self._access, caller, message)
                send = begin(caller.user_id, inbox_subject(caller.user_id), message, 0.0, sent_at, os.urandom(10))
                if not (message.retry and await self._is_known(send)):
                    await _write(log, send)
        except TimeoutError:
            return Unavailable(UNANSWERED, retry_after_ms=RETRY_AFTER_MS)
        except PushError as error:
            return error
        return send

    async def _is_known(self, send: Send) -> bool:
        """Whether history has it: then it is the duplicate of that. Raises Conflict or Unavailable."""
        for held in await self._known.find(send.recipient, [send.message_id]):
            if held.digest != send.digest():
                raise Conflict(CONFLICT)
            send.sent_at, send.duplicate = held.sent_at, True
        return send.duplicate


async def _write(log: Log, send: Send) -> None:
    """All copies are in the log when this returns. Raises Conflict or Unavailable."""
    if send.stage == TO_RECIPIENT:
        await _copy(log, send)
        send.stage = TO_SENDER
    await _copy(log, send)


async def _copy(log: Log, send: Send) -> None:
    publication = send.publication()
    ack = await log.publish(publication)
    if ack.duplicate and not send.duplicate:
        send.duplicate = True
        stored = await log.stored(publication.subject, ack.seq)
        if stored is not None and not send.same_as(stored):
            raise Conflict(CONFLICT)
        if stored is not None:
            send.sent_at = stored.sent_at  # the second answer equals the first
