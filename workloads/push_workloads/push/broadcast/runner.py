"""Runs broadcasts: each by one replica at a time, paced, and gone on with by another when that one dies.

A page is looked up, its sends are put on the queue, and then its place is moved on, on condition that nobody else has
moved it. Killed at any line, the page is done again, under the same ids: see `model.py` for why no device is sent to
twice. A stop, and the end of its worth, are seen between two portions of a page: what was put of the page is counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple, Protocol

from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Counter, Gauge

from push_workloads.common.cache import reaching
from push_workloads.common.lock import Lock
from push_workloads.common.looking import FAILURES, Trouble, look_again
from push_workloads.common.subjects import token
from push_workloads.common.tasks import Spawner, together
from push_workloads.push import sends
from push_workloads.push.broadcast import model
from push_workloads.push.broadcast.audience import Audience
from push_workloads.push.broadcast.model import Broadcast, NewBroadcast, Stage
from push_workloads.push.broadcast.ports import BroadcastStore
from push_workloads.push.broadcast.tally import Tally
from push_workloads.push.cancels import Cancels
from push_workloads.push.deliveries import Delivery, DeliveryLog, State
from push_workloads.push.devices import Device, Platform
from push_workloads.push.outbox import Entry, Outbox, timer
from push_workloads.push.policy import Cancel, Decision, Hold, Reason, decide_broadcast
from push_workloads.push.preference_store import PreferenceStore
from push_workloads.push.preferences import Preferences
from push_workloads.push.rendering import Renderer
from push_workloads.push.sends import Send

LEASE_KEY: Final = "push:broadcast:lease:"
LEASE_MS: Final = 8_000  # a portion takes about a second; who loses it while it is slow moves no place any more
LOOK_SECONDS: Final = 1.0
AT_ONCE: Final = 4  # broadcasts, in one process
PORTION: Final = 50  # sends between two looks at the lease, the stop and the queue; fewer where it goes slowly
MAX_BEHIND: Final = 1000  # sends for its platforms, of whatever kind: more would make messages wait behind a broadcast
PAUSE_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)


class BroadcastMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.queued = Counter("push_broadcast_sends", "Sends of broadcasts put on the queue", registry=registry)
        self.running = Gauge("push_broadcasts_running", "Broadcasts that this replica runs", registry=registry)


class Lease(Protocol):
    """Each may raise Unavailable."""

    async def hold(self) -> bool:
        """Takes it or keeps it; whether it is ours now."""

    async def release(self) -> None: ...


class RedisLease:
    """Of one broadcast; ends by itself LEASE_MS after the last `hold`."""

    def __init__(self, cache: Any, broadcast_id: str) -> None:
        self._lock = Lock(cache, LEASE_KEY + broadcast_id, LEASE_MS)

    async def hold(self) -> bool:
        async with reaching("the lease of a broadcast"):
            return await self._lock.hold()

    async def release(self) -> None:
        async with reaching("the lease of a broadcast"):
            await self._lock.release()


class RunnerPorts(NamedTuple):
    """`carried`: the platforms that somebody carries to. `lease`: of a broadcast. `now_ms` is the clock on the wall."""

    store: BroadcastStore
    audience: Audience
    preferences: PreferenceStore
    log: DeliveryLog
    tally: Tally
    outbox: Outbox
    cancels: Cancels
    renderer: Renderer
    lease: Callable[[str], Lease]
    carried: Collection[Platform]
    now_ms: Callable[[], int]


class Runner:
    def __init__(self, ports: RunnerPorts, metrics: BroadcastMetrics) -> None:
        self._ports = ports
        self._metrics = metrics
        self._spawner = Spawner()
        self._running: set[str] = set()
        self._trouble = Trouble(_log, "a broadcast waits")

    async def run(self) -> None:
        """Until cancelled: looks for what is open, and takes up what nobody else has."""
        try:
            await look_again(self._look, _pause, Trouble(_log, "broadcasts are not looked for"))
        finally:
            await self._spawner.close()
            self._metrics.running.set(0)

    async def _look(self) -> None:
        for broadcast_id in await self._ports.store.open_ids():
            if broadcast_id not in self._running and len(self._running) < AT_ONCE:
                self._running.add(broadcast_id)
                self._spawner.spawn(self.work(broadcast_id))

    async def work(self, broadcast_id: str) -> None:
        """Until it is over for now, or another replica has it."""
        lease = self._ports.lease(broadcast_id)
        try:
            while await lease.hold() and await self._step(broadcast_id, lease):
                self._metrics.running.set(len(self._running))
            await lease.release()
            self._trouble.is_over()
        except FAILURES as error:
            self._trouble.is_there(error)
        finally:
            self._running.discard(broadcast_id)
            self._metrics.running.set(len(self._running))

    async def _step(self, broadcast_id: str, lease: Lease) -> bool:
        """Whether to go on at once."""
        held = await self._ports.store.one(broadcast_id)
        if held is None:  # it is just being made
            return False
        asked = model.order_of(held)
        match held.stage:
            case Stage.SCHEDULED if model.begins_at(held, asked) > self._ports.now_ms():
                return False
            case Stage.SCHEDULED | Stage.RUNNING:
                return await self._page(held, asked, lease)
            case _:
                await self._settle(held, asked)
                return False

    async def _page(self, held: Broadcast, asked: NewBroadcast, lease: Lease) -> bool:
        expires, now_ms = model.expires_ms(held, asked), self._ports.now_ms()
        if now_ms > expires:
            await self._ports.store.replace(model.moved(held, None, 0, 0, now_ms))
            return False
        page, seen = await self._ports.audience.page(asked, held.place)
        entries = await self._entries(held, asked, page.devices, now_ms)
        left = len(entries) - await self._put(held, asked, entries, lease)
        counts, now_ms = (seen - left, len(page.devices) - left), self._ports.now_ms()
        if left == 0 or now_ms > expires:
            moved = model.moved(held, None if left else page.after, *counts, now_ms)
            # When another has moved it on, or stopped it, the next look says which.
            if await self._ports.store.replace(moved):
                return left == 0
        await self._stopped_within(held, *counts)
        return left == 0

    async def _entries(
        self, held: Broadcast, asked: NewBroadcast, devices: Sequence[Device], now_ms: int
    ) -> list[Entry]:
        """What goes on the queue; what does not go is recorded. The order stays, so a portion is the same again."""
        users = [*dict.fromkeys(device.user_id for device in devices)]
        known = dict(zip(users, await together(self._ports.preferences.held(one) for one in users), strict=True))
        entries, skipped = [], []
        for index, device in enumerate(devices):
            send = self._send(held, asked, device, index)
            decision = self._decided(send, device, known[device.user_id].preferences, now_ms)
            if isinstance(decision, Cancel):
                skipped.append(_skipped(send, decision.reason, now_ms))
            else:
                entries.append(
                    _entry(held.broadcast_id, send, decision.until_ms if isinstance(decision, Hold) else None)
                )
        if skipped:
            await self._ports.log.record(skipped)
        return entries

    def _send(self, held: Broadcast, asked: NewBroadcast, device: Device, index: int) -> Send:
        told = self._ports.renderer.render(model.job_for(held, asked, device.user_id), device, None)
        turn_ms = model.turn_ms(held, index, asked.per_second)
        return Send(device.user_id, device.device_id, device.platform, told, turn_ms=turn_ms)

    def _decided(self, send: Send, device: Device, preferences: Preferences, now_ms: int) -> Decision:
        if device.platform not in self._ports.carried:
            return Cancel(Reason.NO_SENDER)
        if device.calls_only:
            return Cancel(Reason.CALLS_ONLY)
        return decide_broadcast(send, device.time_zone, preferences, now_ms)

    async def _put(self, held: Broadcast, asked: NewBroadcast, entries: Sequence[Entry], lease: Lease) -> int:
        """How many of them are on the queue: not all when it was stopped, its worth is over, or the lease is
        another's."""
        size = min(PORTION, max(1, asked.per_second // 10))
        clock, next_at = asyncio.get_running_loop().time, 0.0
        for begin in range(0, len(entries), size):
            portion = entries[begin : begin + size]
            wait, next_at = model.paced(next_at, clock(), len(portion), asked.per_second)
            await asyncio.sleep(wait)
            if not await self._may_go_on(held, asked, lease):
                return begin
            await self._ports.outbox.put(portion)
            self._metrics.queued.inc(len(portion))
        await asyncio.sleep(max(0.0, next_at - clock()))  # the last portion's share of the time
        return len(entries)

    async def _may_go_on(self, held: Broadcast, asked: NewBroadcast, lease: Lease) -> bool:
        """Waits while the queue is long, and no longer than it is worth telling."""
        expires = model.expires_ms(held, asked)
        consumers = [sends.CONSUMER.format(platform=one) for one in model.reaches(asked, self._ports.carried)]
        while self._ports.now_ms() <= expires:
            if not await lease.hold() or await self._ports.cancels.is_cancelled(held.broadcast_id):
                return False
            if await self._ports.outbox.behind(consumers) < MAX_BEHIND:
                return True
            await asyncio.sleep(PAUSE_SECONDS)
        return False

    async def _stopped_within(self, before: Broadcast, seen: int, queued: int) -> None:
        """What of the page went on the queue before the stop is counted: once, since nothing but the stop may have
        come between."""
        held = await self._ports.store.one(before.broadcast_id)
        if held is not None and held.stage is Stage.STOPPED and held.version == before.version + 1:
            await self._ports.store.replace(model.counting(held, seen, queued, self._ports.now_ms()))

    async def _settle(self, held: Broadcast, asked: NewBroadcast) -> None:
        """Counts, and closes it when nothing of it is to come."""
        if not held.is_open:
            await self._ports.store.close(held.broadcast_id)
            return
        if held.stage is Stage.STOPPED:  # whoever stopped it may have died before it came to this
            await self._ports.cancels.cancel(held.broadcast_id)
            await self._ports.outbox.drop(timer(held.broadcast_id, ">"))
        expires = model.expires_ms(held, asked)
        if model.ended(held, await self._ports.tally.ends(held.broadcast_id), expires, self._ports.now_ms()) is None:
            return
        ends = await self._ports.tally.ends_now(held.broadcast_id)
        ended = model.ended(held, ends, expires, self._ports.now_ms())
        if ended is not None and await self._ports.store.replace(ended):
            _log.info("a broadcast is over", extra={"broadcast": held.broadcast_id, "stage": ended.stage})


async def _pause() -> None:
    await asyncio.sleep(LOOK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the replicas


def _entry(broadcast_id: str, send: Send, at: int | None) -> Entry:
    """What goes at once is not looked at again: that would cost a look for each device."""
    decided = replace(send, rechecked=at is not None)
    where = timer(broadcast_id, token(send.user_id), send.device_id)
    return Entry(sends.subject(send), sends.encode(decided), sends.send_id(send), at, where)


def _skipped(send: Send, reason: Reason, now_ms: int) -> Delivery:
    made = send.notification.message_id
    return Delivery(made, send.user_id, send.device_id, send.platform, State.CANCELLED, reason, now_ms)
