"""How many devices of a broadcast have come to which end: counted from the delivery records, which are the truth.

A count reads every record, so it is made now and then, and kept in between: for 2 s, and for ten times as long as it
took. At the end it is made for good, and stands in the broadcast itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from push_workloads.common.tasks import together
from push_workloads.push.broadcast.model import Ends, message_ids
from push_workloads.push.deliveries import DeliveryLog, State
from push_workloads.push.office import counted

KEEP_SECONDS: Final = 2.0
KEEP_TIMES: Final = 10
AT_ONCE: Final = 16
REMEMBERED: Final = 128


class _Count(NamedTuple):
    ends: Ends
    until: float


class Tally:
    """`clock`: monotonic, in seconds."""

    def __init__(self, log: DeliveryLog, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._held: dict[str, _Count] = {}
        self._counting = asyncio.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def ends(self, broadcast_id: str) -> Ends:
        """As they were a moment ago. Raises Unavailable."""
        async with self._counting:
            held = self._held.get(broadcast_id)
            return held.ends if held is not None and held.until > self._clock() else await self._count(broadcast_id)

    async def ends_now(self, broadcast_id: str) -> Ends:
        """Raises Unavailable."""
        async with self._counting:
            return await self._count(broadcast_id)

    async def _count(self, broadcast_id: str) -> Ends:
        began = self._clock()
        counts = await together(self._bucket(one) for one in message_ids(broadcast_id))
        sent, failed, cancelled = (
            sum(one[state] for one in counts) for state in (State.SENT, State.FAILED, State.CANCELLED)
        )
        now = self._clock()
        self._held.pop(broadcast_id, None)  # so that the oldest stand first
        self._held[broadcast_id] = _Count(
            Ends(sent, failed, cancelled), now + max(KEEP_SECONDS, (now - began) * KEEP_TIMES)
        )
        while len(self._held) > REMEMBERED:
            del self._held[next(iter(self._held))]
        return self._held[broadcast_id].ends

    async def _bucket(self, message_id: str) -> dict[State, int]:
        async with self._slots:
            return await counted(self._log, message_id)
