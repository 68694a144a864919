"""The headers of log messages from a time on, without the contents: in portions, of a consumer that ends by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
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
    subscription: Any = None
    try:
        subscription = await js.pull_subscribe(subject, stream=stream, config=config)
        left = 1
        while left:
            try:
                messages = await subscription.fetch(PORTION, timeout=QUIET_SECONDS)
            except TimeoutError:
                return
            for message in messages:
                left = message.metadata.num_pending
                yield message
    except (NatsError, TimeoutError) as error:
        raise Unavailable("the log does not answer", retry_after_ms=1000) from error
    finally:
        if subscription is not None and bus.client.is_connected:
            with suppress(NatsError):
                await subscription.unsubscribe()
