"""The log as this service writes to it for those who send over HTTP: every wait bounded, nothing kept for later."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import NamedTuple

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import PubAck, RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from push_workloads.common.bus import REQUEST_SECONDS, Bus
from push_workloads.common.changes import Change
from push_workloads.common.errors import Unavailable
from push_workloads.common.sending import (
    AWAY,
    IN_PROCESS,
    LOG_FULL,
    MAX_TRIES,
    NOT_NOW,
    RETRY_AFTER_MS,
    RETRY_IN_PROCESS_SECONDS,
    UNANSWERED,
    VIA,
    Publish,
    Stored,
    headers,
    msg_id,
)
from push_workloads.common.subjects import BadId, log_subject, shard_of, stream_name
from push_workloads.common.tracing import HEADER as TRACEPARENT
from push_workloads.message.headers import MESSAGE_ID, headers_since
from push_workloads.message.model import Payload, Position, decode_payload

PUBLISHES_AT_ONCE = 256
LOOKED_THROUGH = 1000
_log = logging.getLogger(__name__)


class Logged(NamedTuple):
    """An entry of a channel's log, and when it was stored, in Unix seconds."""

    entry: Payload | Change
    stored_at: float

    @property
    def place(self) -> Position:
        return Position(self.entry.sent_at, self.entry.message_id)


class Found(NamedTuple):
    """Where a copy is in its log, and when it was stored, in Unix seconds. `via`: the gateway and the device from which
    it came, with a blank between them; None over HTTP."""

    seq: int
    stored_at: float
    traceparent: str | None = None
    via: str | None = None


class Log:
    """Each method raises Unavailable. A publish that was not answered may still have arrived: only the same message id
    may be sent again."""

    def __init__(self, bus: Bus, shards: int, epochs: Callable[[int], str]) -> None:
        """`epochs`: of the log of a shard, "" while it is not known."""
        self._bus = bus
        self._shards = shards
        self._epochs = epochs
        self._js = bus.client.jetstream(timeout=REQUEST_SECONDS)
        self._slots = asyncio.Semaphore(PUBLISHES_AT_ONCE)

    def shard(self, channel: str) -> int:
        return shard_of(channel, self._shards)

    def epoch(self, channel: str) -> str:
        """Of the log in which a channel lives."""
        epoch = self._epochs(self.shard(channel))
        if not epoch:
            raise Unavailable(AWAY, retry_after_ms=RETRY_AFTER_MS)
        return epoch

    async def publish(self, publication: Publish) -> PubAck:
        """Stored when this returns; `duplicate` when it was there before."""
        for tries in range(1, MAX_TRIES + 1):
            async with self._slots:
                ack = await self._attempt(publication)
            if ack is not None:
                return ack
            await asyncio.sleep(RETRY_IN_PROCESS_SECONDS * tries * random.uniform(0.5, 1.5))  # noqa: S311 - spreads
        raise Unavailable(NOT_NOW, retry_after_ms=RETRY_AFTER_MS)

    async def _attempt(self, publication: Publish) -> PubAck | None:
        """None while the log says that the same id is being stored right now."""
        if not self._bus.client.is_connected:
            raise Unavailable(AWAY, retry_after_ms=RETRY_AFTER_MS)  # nats-py would keep it for later
        subject = log_subject(publication.subject, self._shards)
        try:
            return await self._js.publish(subject, publication.payload, headers=headers(publication))
        except APIError as error:
            if error.err_code == IN_PROCESS:
                return None
            if error.err_code != LOG_FULL:
                _log.warning("the log refused a message", extra={"code": error.code, "err_code": error.err_code})
            raise Unavailable(NOT_NOW, retry_after_ms=RETRY_AFTER_MS) from error
        except (NatsError, TimeoutError) as error:
            raise Unavailable(UNANSWERED, retry_after_ms=RETRY_AFTER_MS) from error

    async def stored(self, channel: str, seq: int) -> Stored | None:
        """What is stored under `seq`, None when it is gone. Asks the leader: a follower may be behind."""
        message = await self._message(channel, seq)
        return msgspec.json.decode(message.data or b"", type=Stored) if message is not None else None

    async def logged(self, channel: str, seq: int) -> Logged | None:
        """What this channel has under `seq`; None when it is gone, or another channel's, or nothing that we read."""
        message = await self._message(channel, seq)
        if message is None or message.subject != log_subject(channel, self._shards):
            return None
        try:
            stored_at = message.time.timestamp() if message.time is not None else 0.0
            return Logged(decode_payload(message.data or b""), stored_at)
        except (msgspec.DecodeError, BadId, UnicodeError, RecursionError):
            return None

    async def find(self, channel: str, message_id: str, since: float) -> Found | None:
        """A channel's copy of a message that was stored after a time (Unix seconds), if it is among the thousand that
        follow it: whoever writes the second copy of a message does so within minutes."""
        seen = 0
        wanted = msg_id(message_id, channel)
        subject = log_subject(channel, self._shards)
        async with aclosing(headers_since(self._bus, stream_name(self.shard(channel)), subject, since)) as messages:
            async for message in messages:
                seen += 1
                headers_of = message.headers or {}
                if headers_of.get(MESSAGE_ID) == wanted:
                    stored_at = message.metadata.timestamp.timestamp()
                    seq = message.metadata.sequence.stream
                    return Found(seq, stored_at, headers_of.get(TRACEPARENT), headers_of.get(VIA))
                if seen >= LOOKED_THROUGH:
                    break
        return None

    async def _message(self, channel: str, seq: int) -> RawStreamMsg | None:
        if seq < 1:
            return None
        try:
            return await self._js.get_msg(stream_name(self.shard(channel)), seq)
        except NotFoundError:
            return None
        except (NatsError, TimeoutError) as error:
            raise Unavailable(UNANSWERED, retry_after_ms=RETRY_AFTER_MS) from error
