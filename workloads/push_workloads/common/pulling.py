"""Takes messages from a durable consumer as they come.

nats-py's `fetch` is not for what somebody waits for: when fewer messages are there than it asked for, it may hold them
back until its time is over (5 s were seen, under 400 messages in two seconds). Here a request stays open until it is
served or over, and whatever has come is handed out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from push_workloads.common.errors import Unavailable

GATHER_SECONDS: Final = 0.002  # after the first message: those that follow on its heels are of one batch with it
ANSWER_SECONDS: Final = 1.0  # over a request's own time; then it was lost, with its server
STATUS: Final = "Status"
_OVER: Final = frozenset({"404", "408"})  # nothing there, or no more of it in time


class Pull:
    """`batch`: how many are asked for at once, and handed out at once at most; what has come and is not handed out yet
    is no more than that. `seconds`: how long a request stays open."""

    def __init__(self, client: Client, subscription: Subscription, subject: str, batch: int, seconds: float) -> None:
        self._client = client
        self._subscription = subscription
        self._subject = subject
        self._batch = batch
        self._seconds = seconds
        self._open = 0  # how many more the request that is open may bring

    async def next(self) -> list[Msg]:
        """What has come, at least one; none when nothing came in time. Raises Unavailable when the consumer is gone."""
        subscription = self._subscription
        if self._open <= 0:
            await self._ask()
        try:
            came = [await subscription.next_msg(timeout=self._seconds + ANSWER_SECONDS)]
        except TimeoutError:
            self._open = 0
            return []
        await asyncio.sleep(GATHER_SECONDS)
        while subscription.pending_msgs and len(came) < self._batch:
            came.append(await subscription.next_msg(timeout=ANSWER_SECONDS))
        return [message for message in came if not self._is_status(message)]

    async def _ask(self) -> None:
        request = {"batch": self._batch, "expires": round(self._seconds * 1e9)}
        await self._client.publish(self._subject, msgspec.json.encode(request), reply=self._subscription.subject)
        self._open = self._batch

    def _is_status(self, message: Msg) -> bool:
        status = (message.headers or {}).get(STATUS) if not message.data else None
        if status is None:
            self._open -= 1
            return False
        self._open = 0
        if status not in _OVER:  # 409: the consumer or its leader went; 503: nobody is there
            raise Unavailable(f"the consumer does not answer: {status}")
        return True


@asynccontextmanager
async def pulling(client: Client, stream: str, durable: str, batch: int, seconds: float) -> AsyncIterator[Pull]:
    """From this consumer, for as long as the context is open."""
    subscription = await client.subscribe(client.new_inbox())
    try:
        yield Pull(client, subscription, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", batch, seconds)
    finally:
        if client.is_connected:
            await subscription.unsubscribe()
