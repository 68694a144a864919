"""What history has consumed lately, read from the log again when this process starts: headers alone, in portions.

Whoever consumed it may have died before a message's second copy came, and with it the knowledge that it is missing.
Half a minute it would have waited, so some minutes before what is consumed now are enough; of a busy log fewer, as what
is read here is kept in memory for as long.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from nats.aio.msg import Msg

from push_workloads.common.bus import Bus
from push_workloads.common.errors import Unavailable
from push_workloads.common.subjects import logged_channel, stream_name
from push_workloads.message.completer import Completer
from push_workloads.message.headers import MESSAGE_ID, TWIN, count_since, headers_since
from push_workloads.message.twins import REMEMBERED

WINDOWS: Final = (180.0, 90.0, 45.0)  # seconds
_log = logging.getLogger(__name__)


async def look_back(bus: Bus, shards: int, completer: Completer, durable: str) -> None:
    """Tells the completer of all copies that were consumed in the last minutes, shard after shard. What the log does
    not answer is left out, and said."""
    for shard in range(shards):
        try:
            await _look(bus, shard, REMEMBERED // shards, completer, durable)
        except Unavailable as error:
            _log.warning("could not look back: %s", error.message, extra={"shard": shard})


async def _look(bus: Bus, shard: int, most: int, completer: Completer, durable: str) -> None:
    stream, subject = stream_name(shard), f"log.{shard}.u.>"
    consumer = await bus.ask(f"$JS.API.CONSUMER.INFO.{stream}.{durable}")
    floor = 0 if "error" in consumer else int(consumer["ack_floor"]["stream_seq"])
    if not floor:
        return  # nothing was consumed yet
    end = await _time_of(bus, stream, floor)
    for seconds in WINDOWS:
        if await count_since(bus, stream, subject, end - seconds) <= most:
            break
    seen = 0
    async with aclosing(headers_since(bus, stream, subject, end - seconds)) as messages:
        async for message in messages:
            seq = message.metadata.sequence.stream
            if seq > floor or seen >= most:
                break  # the rest is consumed from now on
            seen += 1
            _remember(completer, message, seq)
    _log.info("looked back", extra={"stream": stream, "messages": seen, "seconds": seconds})


def _remember(completer: Completer, message: Msg, seq: int) -> None:
    headers = message.headers or {}
    message_id = headers.get(MESSAGE_ID, "").partition(":")[0]
    if message_id:
        completer.remembered(message_id, logged_channel(message.subject), seq, is_senders=TWIN in headers)


async def _time_of(bus: Bus, stream: str, seq: int) -> float:
    """When it was stored, in Unix seconds; of one that is gone, now."""
    found = await bus.ask(f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": seq})
    if "error" in found:
        return datetime.now(UTC).timestamp()
    return datetime.fromisoformat(found["message"]["time"]).timestamp()
