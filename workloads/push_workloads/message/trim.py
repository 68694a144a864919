"""Makes room in the log before it is full: a full log refuses every send.

What goes is the older half, and only what history has written. The rest stays for clients that come back soon.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from push_workloads.common.bus import Bus
from push_workloads.common.errors import Unavailable
from push_workloads.common.subjects import stream_name

LOOK_SECONDS: Final = 1.0
FULL_ENOUGH: Final = 0.75  # of the log's bytes
_log = logging.getLogger(__name__)


def purge_below(first: int, last: int, size: int, limit: int, written: int) -> int | None:
    """The seq below which the log may forget; None when there is room, or nothing that may go. Pure.

    `first` and `last` are the log's seqs, `size` and `limit` its bytes, `written` the seq up to which history has all.
    """
    if limit <= 0 or size < limit * FULL_ENOUGH:
        return None
    seq = min(first + (last - first + 1) // 2, written + 1)
    return seq if seq > first else None


async def keep_room(bus: Bus, shard: int, durable: str) -> None:
    """Looks once a second, until cancelled. A log that is not there, or a bus that is away, may come back."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await _look(bus, stream_name(shard), durable)
        except Unavailable:
            continue


async def _look(bus: Bus, stream: str, durable: str) -> None:
    log = await bus.ask(f"$JS.API.STREAM.INFO.{stream}")
    if "error" in log:
        return
    state, limit = log["state"], log["config"]["max_bytes"]
    if state["bytes"] < limit * FULL_ENOUGH:
        return
    consumer = await bus.ask(f"$JS.API.CONSUMER.INFO.{stream}.{durable}")
    written = consumer.get("ack_floor", {}).get("stream_seq", 0)
    seq = purge_below(state["first_seq"], state["last_seq"], state["bytes"], limit, written)
    if seq is None:
        _log.warning("the log is filling up and history is behind", extra={"stream": stream, "written": written})
        return
    await bus.ask(f"$JS.API.STREAM.PURGE.{stream}", {"seq": seq}, timeout=10)
    _log.info("made room in the log", extra={"stream": stream, "below": seq, "bytes": state["bytes"]})
