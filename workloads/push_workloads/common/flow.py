"""A consumer for work of very different lengths: each message has a place of its own, and whoever is slow keeps no more
than that. A batch that is handled as one is as slow as its slowest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from push_workloads.common.consumer import Consumer, Handle, Source
from push_workloads.common.errors import Unavailable
from push_workloads.common.measures import Consumed
from push_workloads.common.tasks import Spawner


class Flow(Consumer):
    """`handle` is given one message at a time, for up to `places` of them at once; more are taken while a batch of
    places is free. When a batch of them in a row has failed it pauses: that is the bus or the store, and no message."""

    def __init__(self, client: Client, source: Source, handle: Handle, consumed: Consumed, places: int) -> None:
        super().__init__(client, source, handle, consumed)
        self._most = max(places, source.batch) - source.batch  # under way, when the next ones are taken
        self._spawner = Spawner()
        self._under_way = 0
        self._room = asyncio.Event()
        self._failed: list[Exception] = []  # in a row

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            await self._spawner.close()

    async def _take(self, messages: Sequence[Msg]) -> None:
        self._under_way += len(messages)
        self._fetched(messages, self._under_way)
        for message in messages:
            self._spawner.spawn(self._one(message))
        while self._under_way > self._most:
            self._room.clear()
            await self._room.wait()
        if len(self._failed) >= self._source.batch:
            failures, self._failed = self._failed, []
            raise failures[-1]

    async def _one(self, message: Msg) -> None:
        began = time.monotonic()
        try:
            await self._handle_all([message])
            self._failed.clear()
        except (NatsError, Unavailable, OSError, TimeoutError) as error:
            self._failed.append(error)
        finally:
            self._under_way -= 1
            self._room.set()
            self._consumed.batch(
                self._label, int(message.is_acked), int(not message.is_acked), time.monotonic() - began
            )
