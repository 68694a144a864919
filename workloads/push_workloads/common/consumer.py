"""A durable pull consumer that outlives its server: fetch, handle, acknowledge, for as long as the process runs.

`handle` acknowledges what it has finished; what it does not comes again after `ack_wait_seconds`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from push_workloads.common.errors import Unavailable
from push_workloads.common.measures import Consumed
from push_workloads.common.pulling import Pull, pulling

# A request that is open over a restart of the server is lost, and that is found out when its time is over.
FETCH_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 5.0
PAUSE_FIRST, PAUSE_LAST = 0.2, 5.0
_log = logging.getLogger(__name__)
Handle = Callable[[Sequence[Msg]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Source:
    """Which messages, in what portions. `max_deliver` -1: again and again until they are acknowledged. `label`: its
    name in numbers, where a stream has more than one consumer; else that of the stream."""

    stream: str
    subject: str
    durable: str
    batch: int
    ack_wait_seconds: int = 30
    max_ack_pending: int = 2048
    max_deliver: int = -1
    label: str = ""


class Consumer:
    """Runs until cancelled. A failure of the bus or of `handle` (Unavailable) is a pause, never an end."""

    def __init__(self, client: Client, source: Source, handle: Handle, consumed: Consumed) -> None:
        self._client = client
        self._consumed = consumed
        self._source = source
        self._handle = handle
        self._open = False
        self._label = source.label or source.stream
        consumed.begin(self._label)

    @property
    def stream(self) -> str:
        return self._source.stream

    def waiting(self) -> str | None:
        """A readiness check: None while it can take messages."""
        return None if self._open else f"waiting for the {self._source.stream} stream"

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                await self._make()
                failures = 0
                source = self._source
                async with pulling(self._client, source.stream, source.durable, source.batch, FETCH_SECONDS) as pull:
                    await self._take_all(pull)
            except (NatsError, Unavailable, OSError, TimeoutError) as error:
                if self._client.is_closed:
                    return
                _log.warning("consuming %s stopped: %s", self._source.stream, str(error) or type(error).__name__)
            self._open = False
            pause = min(PAUSE_LAST, PAUSE_FIRST * 2.0 ** min(failures, 8))
            failures += 1
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries

    async def _make(self) -> None:
        """Makes it, or brings it to what this version wants of it: an older one may have left it otherwise."""
        source = self._source
        config = ConsumerConfig(
            name=source.durable,
            durable_name=source.durable,
            filter_subject=source.subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=source.ack_wait_seconds,
            max_ack_pending=source.max_ack_pending,
            max_deliver=source.max_deliver,
        )
        await self._js.add_consumer(source.stream, config)

    async def _take_all(self, pull: Pull) -> None:
        while True:
            self._open = True
            messages = await pull.next()
            if messages:
                await self._take(messages)
                continue
            # Nothing came, which is no fault; but only a consumer that is still there may go on silently.
            info = await self._js.consumer_info(self._source.stream, self._source.durable)
            self._consumed.pending(self._label, (info.num_pending or 0) + (info.num_ack_pending or 0))

    @property
    def _js(self) -> JetStreamContext:
        return self._client.jetstream(timeout=REQUEST_SECONDS)

    def _fetched(self, messages: Sequence[Msg], under_way: int) -> int:
        """Measures it. Returns how many are still to be fetched."""
        behind = messages[-1].metadata.num_pending
        self._consumed.fetched(self._label, sum(message.metadata.num_delivered > 1 for message in messages))
        self._consumed.pending(self._label, behind + under_way)
        return behind

    async def _take(self, messages: Sequence[Msg]) -> None:
        began, behind, handled = time.monotonic(), self._fetched(messages, len(messages)), 0
        try:
            await self._handle_all(messages)
            handled = sum(message.is_acked for message in messages)
            self._consumed.pending(self._label, behind + len(messages) - handled)
        finally:
            self._consumed.batch(self._label, handled, len(messages) - handled, time.monotonic() - began)

    async def _handle_all(self, messages: Sequence[Msg]) -> None:
        """One message that cannot be handled must not stop the others: it stays unacknowledged, and comes again."""
        try:
            await self._handle(messages)
        except (NatsError, Unavailable, OSError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is one message's
            if len(messages) == 1:
                subject = messages[0].subject
                _log.exception("a message cannot be handled", extra={"stream": self.stream, "subject": subject})
                return
            for message in messages:
                if not message.is_acked:
                    await self._handle_all([message])
