"""Completes direct messages of which only the recipient's copy is in the log (`twins.py`).

Replicas share the log, so one may see the first copy and another the second: each tells the others of the second copies
that it cannot match. What is missed that way is published once more in vain, which the log drops for two minutes; after
that it is looked for first. What was seen before this process started is looked through when it starts.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from prometheus_client import CollectorRegistry, Counter

from push_workloads.common.bus import Bus
from push_workloads.common.errors import Unavailable
from push_workloads.common.subjects import BadId, inbox_subject
from push_workloads.message.log import Log
from push_workloads.message.model import Payload
from push_workloads.message.twins import Half, Twins, side_of, twin_of

TOLD: Final = "ctl.message.twins"  # [message_id, …] of sender's copies, among the replicas of this service
LOOK_SECONDS: Final = 5.0
DROPPED_SECONDS: Final = (
    100.0  # for so long the log surely drops a second copy that is there: its window, less a margin
)
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(list[str]).decode
_log = logging.getLogger(__name__)


class Completer:
    def __init__(self, bus: Bus, log: Log, registry: CollectorRegistry) -> None:
        self._bus = bus
        self._log = log
        self._twins = Twins()
        self._outcomes = Counter("push_message_twins", "Copies looked for, by outcome", ["outcome"], registry=registry)

    async def open(self) -> None:
        """Hears the other replicas from now on."""
        await self._bus.client.subscribe(TOLD, cb=self._heard)

    async def saw(self, copies: Sequence[tuple[Payload, str, int]]) -> None:
        """Copies that are written: each with its channel's subject and its seq."""
        now = asyncio.get_running_loop().time()
        unmatched = []
        for payload, subject, seq in copies:
            side = side_of(payload)
            if side == "recipient":
                self._twins.recipients(Half(payload.message_id, subject, seq, now))
            elif side == "sender" and not self._twins.senders(payload.message_id, now):
                unmatched.append(payload.message_id)
        if unmatched and self._bus.client.is_connected:
            with suppress(NatsError):
                await self._bus.client.publish(TOLD, _encode(unmatched))

    def remembered(self, message_id: str, subject: str, seq: int, *, is_senders: bool) -> None:
        """A copy that was seen before this process started."""
        now = asyncio.get_running_loop().time()
        if is_senders:
            self._twins.senders(message_id, now)
        else:
            self._twins.recipients(Half(message_id, subject, seq, now))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads replicas
            for half in self._twins.due(asyncio.get_running_loop().time()):
                await self._complete(half)

    async def _heard(self, message: Msg) -> None:
        now = asyncio.get_running_loop().time()
        with suppress(msgspec.DecodeError):
            for message_id in _decode(message.data):
                self._twins.senders(message_id, now)

    async def _complete(self, half: Half) -> None:
        try:
            outcome = await self._completed(half)
        except Unavailable:
            outcome = "later"
            now = asyncio.get_running_loop().time()
            self._twins.recipients(half._replace(seen_at=now))
        self._outcomes.labels(outcome).inc()

    async def _completed(self, half: Half) -> str:
        """What became of it, in a word. Raises Unavailable."""
        logged = await self._log.logged(half.subject, half.seq)
        if logged is None:
            return "gone"
        payload = logged.entry
        if not isinstance(payload, Payload) or side_of(payload) != "recipient":
            return "none"  # a change of a group, a note to oneself
        try:
            publication = twin_of(payload)
        except BadId:
            return "none"
        old = time.time() - logged.stored_at > DROPPED_SECONDS
        if old and await self._log.find(inbox_subject(payload.sender), payload.message_id, logged.stored_at):
            return "there"
        ack = await self._log.publish(publication)
        if not ack.duplicate:
            _log.info("completed a message with its sender's copy", extra={"message_id": payload.message_id})
        return "there" if ack.duplicate else "completed"
