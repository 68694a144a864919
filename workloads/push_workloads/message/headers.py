"""The headers of log messages from a time on, without the contents: in portions, of a consumer that ends by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from push_workloads.common.bus import REQUEST_SECONDS, Bus
from push_workloads.common.errors import Unavailable

PORTION: Final = 1000
QUIET_SECONDS: Final = 1.0
INACTIVE_SECONDS: Final = 30.0
MESSAGE_ID: Final = "Nats-Msg-Id"
TWIN: Final = "Push-Twin"  # on a sender's copy


async def headers_since(bus: Bus, stream: str, subject: str, since: float) -> AsyncGenerator[Msg, None]:
    """The headers of what is stored from a time on (Unix seconds), up to the end. Raises Unavailable. To be closed by
    whoever stops before the end."""
    async with _consumer(bus, stream, subject, since) as subscription:
        left = 1
        while left:
            try:
                messages = await subscription.fetch(PORTION, timeout=QUIET_SECONDS)
            except TimeoutError:
                return
            for message in messages:
                left = message.metadata.num_pending
                yield message


async def count_since(bus: Bus, stream: str, subject: str, since: float) -> int:
    """How many they are. Raises Unavailable."""
    async with _consumer(bus, stream, subject, since) as subscription:
        return (await subscription.consumer_info()).num_pending or 0


@asynccontextmanager
async def _consumer(
    bus: Bus, stream: str, subject: str, since: float
) -> AsyncIterator[JetStreamContext.PullSubscription]:
    js = bus.client.jetstream(timeout=REQUEST_SECONDS)
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=datetime.fromtimestamp(since, UTC),
        ack_policy=AckPolicy.NONE,
        headers_only=True,
        inactive_threshold=INACTIVE_SECONDS,
        mem_storage=True,
        num_replicas=1,
    )
    try:
        subscription = await js.pull_subscribe(subject, stream=stream, config=config)
        try:
            yield subscription
        finally:
            if bus.client.is_connected:
                with suppress(NatsError):
                    await subscription.unsubscribe()
    except (NatsError, TimeoutError) as error:
        raise Unavailable("the log does not answer", retry_after_ms=1000) from error
