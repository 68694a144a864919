"""Which messages are stored already: what a send that says `retry` asks, for as long as history is kept.

The log drops repeats of two minutes, and history knows what is older, if it is not far behind. Lag is measured before
the look into the store: what was in the log a minute before that is in the store then, and what came later, the log
itself knows. In between nothing is lost, as long as the publish follows soon.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from push_workloads.common.bus import Bus
from push_workloads.common.errors import BadRequest, Unavailable
from push_workloads.common.questions import MAX_KNOWN, Known, KnownAsked, KnownMessage
from push_workloads.common.sending import digest
from push_workloads.common.subjects import shard_of, stream_name
from push_workloads.common.tasks import together
from push_workloads.message.model import Message
from push_workloads.message.store import HistoryStore

MAX_LAG_SECONDS: Final = 60.0  # half of the log's window
LOOK_SECONDS: Final = 1.0  # for so long one look at the lag serves
BEHIND: Final = "history is behind, and cannot tell whether this was sent before"
RETRY_MS: Final = 5000
NOTHING: Final = 404  # the log has nothing from there on


class HistoryLag:
    """How far the history of each shard is behind its log."""

    def __init__(self, bus: Bus, durable: str) -> None:
        self._bus = bus
        self._durable = durable
        self._seen: dict[int, tuple[float, float]] = {}  # when, and the lag

    async def seconds(self, shard: int) -> float:
        """The age of the oldest message that history lacks; 0 when it lacks none. Raises Unavailable."""
        now = asyncio.get_running_loop().time()
        at, lag = self._seen.get(shard, (-LOOK_SECONDS, 0.0))
        if now - at >= LOOK_SECONDS:
            lag = await self._look(stream_name(shard))
            self._seen[shard] = (now, lag)
        return lag

    async def _look(self, stream: str) -> float:
        consumer = await self._bus.ask(f"$JS.API.CONSUMER.INFO.{stream}.{self._durable}")
        if "error" in consumer:
            raise Unavailable("the history is not there yet", retry_after_ms=RETRY_MS)
        if not consumer["num_pending"] and not consumer["num_ack_pending"]:
            return 0.0
        after = {"seq": consumer["ack_floor"]["stream_seq"] + 1, "next_by_subj": ">"}
        found = await self._bus.ask(f"$JS.API.STREAM.MSG.GET.{stream}", after)
        if found.get("error", {}).get("code") == NOTHING:
            return 0.0  # the log has dropped what history lacks: to wait for it would be in vain
        if "error" in found:
            raise Unavailable("the log does not answer", retry_after_ms=RETRY_MS)
        return time.time() - datetime.fromisoformat(found["message"]["time"]).timestamp()


class KnownMessages:
    """Looks as soon as `open` has given it the lag."""

    def __init__(self, store: HistoryStore, shards: int) -> None:
        self._store = store
        self._shards = shards
        self._lag: HistoryLag | None = None

    def open(self, lag: HistoryLag) -> None:
        self._lag = lag

    async def answer(self, asked: KnownAsked) -> Known:
        """Raises BadRequest, Unavailable."""
        if len(asked.message_ids) > MAX_KNOWN:
            raise BadRequest(f"message_ids: at most {MAX_KNOWN} at once")
        return Known(await self.find(asked.subject, asked.message_ids))

    async def find(self, subject: str, message_ids: Sequence[str]) -> list[KnownMessage]:
        """Those that are stored, of a channel. Raises Unavailable when history is too far behind to tell."""
        if self._lag is None or await self._lag.seconds(shard_of(subject, self._shards)) > MAX_LAG_SECONDS:
            raise Unavailable(BEHIND, retry_after_ms=RETRY_MS)
        found = await together(self._store.message(message_id) for message_id in message_ids)
        return [_known(row) for row in found if row is not None]


def _known(row: Message) -> KnownMessage:
    return KnownMessage(row.message_id, row.sent_at, digest(row.kind, row.ref, row.content))
