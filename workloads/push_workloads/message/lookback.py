"""What history has consumed lately, read from the log again when this process starts: headers alone, in portions.

Whoever consumed it may have died before a message's second copy came, and with it the knowledge that it is missing.
"""

from __future__ import annotations

import logging
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from nats.aio.msg import Msg

from push_workloads.common.bus import Bus
from push_workloads.common.subjects import logged_channel, stream_name
from push_workloads.message.completer import Completer
from push_workloads.message.headers import MESSAGE_ID, TWIN, headers_since

SECONDS: Final = 180.0
MESSAGES: Final = 200_000  # of one shard; what is older than that many is not looked at
_log = logging.getLogger(__name__)


async def look_back(bus: Bus, shard: int, completer: Completer, durable: str) -> None:
    """Tells the completer of all copies that were consumed in the last minutes. Raises Unavailable."""
    stream = stream_name(shard)
    found = await bus.ask(f"$JS.API.CONSUMER.INFO.{stream}.{durable}")
    floor = 0 if "error" in found else int(found["ack_floor"]["stream_seq"])
    if not floor:
        return
    since = await _time_of(bus, stream, floor) - SECONDS
    seen = 0
    async with aclosing(headers_since(bus, stream, f"log.{shard}.u.>", since)) as messages:
        async for message in messages:
            seq = message.metadata.sequence.stream
            if seq > floor or seen >= MESSAGES:
                break  # the rest is consumed from now on
            seen += 1
            _remember(completer, message, seq)
    _log.info("looked back", extra={"stream": stream, "messages": seen})


def _remember(completer: Completer, message: Msg, seq: int) -> None:
    headers = message.headers or {}
    message_id = headers.get(MESSAGE_ID, "").partition(":")[0]
    if message_id:
        completer.remembered(message_id, logged_channel(message.subject), seq, is_senders=TWIN in headers)


async def _time_of(bus: Bus, stream: str, seq: int) -> float:
    """When it was stored; of one that is gone, now."""
    found = await bus.ask(f"$JS.API.STREAM.MSG.GET.{stream}", {"seq": seq})
    if "error" in found:
        return datetime.now(UTC).timestamp()
    return datetime.fromisoformat(found["message"]["time"]).timestamp()
