"""A sender that dies at each line: real NATS and Valkey. The table is in `push/claims.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import prometheus_client
import pytest
from msgspec import structs
from nats.aio.msg import Msg
from tests.support.pushing import Stage, now_ms, opened_outbox, stage
from tests.support.servers import Nats, Valkey
from tests.support.waiting import eventually

from push_workloads.common.consumer import Consumer
from push_workloads.common.measures import Consumed
from push_workloads.common.tasks import beside
from push_workloads.push import sends
from push_workloads.push.carrier import Answer, Later, MemoryCarrier, Sent
from push_workloads.push.claims import Claims, Ended, Key, Mine, Others, RedisClaims, Taken, key_of
from push_workloads.push.deliveries import Delivery, MemoryDeliveries, State
from push_workloads.push.devices import Device
from push_workloads.push.entries import Entries
from push_workloads.push.notification import Notification, Show
from push_workloads.push.ports import Ports
from push_workloads.push.queue import Queue
from push_workloads.push.sender import INTERRUPTED, Sender
from push_workloads.push.sends import Send
from push_workloads.push.workers import sends_of

KEEP = 60_000
KEY = Key("m1", "ann", "phone")
# Before what the worker dies; each is reached once.
BEFORE_CLAIM, AFTER_CLAIM, BEFORE_END, AFTER_END, BEFORE_ACK = "claim", "send", "end", "record", "ack"
BEFORE_TIMER = "timer"


class Killed(BaseException):
    """Nothing catches it: the worker is gone at this line, and whatever it had begun stays as it is."""


class Mortal:
    """Dies at one point, the first time it comes there."""

    def __init__(self, point: str) -> None:
        self._point = point
        self.died = False

    def reaches(self, point: str) -> None:
        if point == self._point and not self.died:
            self.died = True
            raise Killed


class MortalClaims:
    def __init__(self, claims: Claims, mortal: Mortal) -> None:
        self._claims, self._mortal = claims, mortal

    async def take(self, key: Key, keep_ms: int, now_ms: int) -> Taken:
        self._mortal.reaches(BEFORE_CLAIM)
        return await self._claims.take(key, keep_ms, now_ms)

    async def end(self, delivery: Delivery, keep_ms: int) -> None:
        self._mortal.reaches(BEFORE_END)
        await self._claims.end(delivery, keep_ms)

    async def release(self, key: Key) -> None:
        await self._claims.release(key)

    async def cancel(self, deliveries: Sequence[Delivery], keep_ms: int) -> list[bool]:
        return await self._claims.cancel(deliveries, keep_ms)


class MortalDeliveries(MemoryDeliveries):
    mortal: Mortal

    async def record(self, deliveries: Sequence[Delivery]) -> None:
        self.mortal.reaches(AFTER_END)
        await super().record(deliveries)


class MortalQueue(Queue):
    mortal: Mortal

    async def put_at(self, at_ms: int, subject: str, payload: bytes, entry_id: str) -> None:
        self.mortal.reaches(BEFORE_TIMER)
        await super().put_at(at_ms, subject, payload, entry_id)


class MortalCarrier:
    def __init__(self, carrier: MemoryCarrier, mortal: Mortal) -> None:
        self._carrier, self._mortal = carrier, mortal

    async def send(self, device: Device, notification: Notification) -> Answer:
        self._mortal.reaches(AFTER_CLAIM)
        return await self._carrier.send(device, notification)


class MortalEntries(Entries[Send]):
    mortal: Mortal

    async def _one(self, message: Msg) -> None:
        await self._done(message, 1)
        self.mortal.reaches(BEFORE_ACK)
        await message.ack()


@pytest.fixture
async def pipe(operators_nats_server: Nats, valkey_server: Valkey) -> AsyncIterator[Stage]:
    async with stage(operators_nats_server, valkey_server) as made:
        await made.device("ann")
        yield made


def _consumer(pipe: Stage, ports: Ports, carrier: MortalCarrier | MemoryCarrier, mortal: Mortal) -> Consumer:
    """As `workers` makes it, but what was not acknowledged comes again after a second."""
    sender = Sender(ports, carrier, lambda: 0.0, sending_ms=2000)
    entries = MortalEntries("fcm", sends.decode, sender.handle, pipe.bus.client, pipe.dead, ports.metrics, now_ms)
    entries.mortal = mortal
    source = replace(sends_of("fcm"), ack_wait_seconds=1)
    return Consumer(pipe.bus.client, source, entries.batch, Consumed(prometheus_client.CollectorRegistry()))


@asynccontextmanager
async def _worker(pipe: Stage, carrier: MemoryCarrier, point: str) -> AsyncIterator[asyncio.Task[None]]:
    """One that dies there; what it leaves behind is in NATS, Valkey and the store."""
    mortal = Mortal(point)
    deliveries, queue = MortalDeliveries(), MortalQueue(opened_outbox(pipe.bus))
    deliveries.mortal = queue.mortal = mortal
    deliveries._held = pipe.deliveries._held
    claims = MortalClaims(RedisClaims(pipe.redis), mortal)
    ports = pipe.ports._replace(claims=claims, deliveries=deliveries, queue=queue)
    task = asyncio.create_task(_consumer(pipe, ports, MortalCarrier(carrier, mortal), mortal).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _put(pipe: Stage) -> None:
    told = Notification("m1", Show.ALERT, now_ms() // 1000 + 3600, conversation="user:bob")
    send = Send("ann", "phone", "fcm", told, channel="user:ann", epoch="e1", seq=7, sent_at=now_ms(),
                rechecked=False)  # fmt: skip
    await pipe.put_raw(sends.subject(send), sends.encode(send), "s1")


@pytest.mark.parametrize(
    ("point", "sent", "became"),
    [
        (BEFORE_CLAIM, 1, ("sent", None)),
        (AFTER_CLAIM, 0, ("failed", INTERRUPTED)),
        (BEFORE_END, 1, ("failed", INTERRUPTED)),  # the provider had it, and nobody knows
        (AFTER_END, 1, ("sent", None)),
        (BEFORE_ACK, 1, ("sent", None)),
    ],
)
async def test_a_sender_dies(pipe: Stage, point: str, sent: int, became: tuple[str, str | None]) -> None:
    carrier = MemoryCarrier()
    await _put(pipe)
    async with _worker(pipe, carrier, point) as first:
        await asyncio.wait({first}, timeout=10)
        assert isinstance(first.exception(), Killed)
    async with _worker(pipe, carrier, "nowhere"):
        await eventually(pipe.is_empty)
    assert len(carrier.sent) == sent
    assert await pipe.became("m1") == {("ann", "phone"): became}


async def test_a_sender_dies_between_later_and_its_timer(pipe: Stage) -> None:
    """The claim is let go by then: nothing was shown, and whoever comes next sends."""
    answers: list[Answer] = [Later("busy"), Sent()]
    carrier = MemoryCarrier(lambda device, notification: answers.pop(0))
    await _put(pipe)
    async with _worker(pipe, carrier, BEFORE_TIMER) as first:
        await asyncio.wait({first}, timeout=10)
        assert isinstance(first.exception(), Killed)
    async with _worker(pipe, carrier, "nowhere"):
        await eventually(pipe.is_empty)
    assert len(carrier.sent) == 1
    assert await pipe.became("m1") == {("ann", "phone"): ("sent", None)}


async def test_a_sender_that_is_stopped_ends_what_it_began(pipe: Stage) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    class Slow:
        async def send(self, device: Device, notification: Notification) -> Answer:
            began.set()
            await may_end.wait()
            return Sent("late")

    pipe.carriers = {"fcm": Slow()}
    await _put(pipe)
    running = asyncio.create_task(_run(pipe.workers()))
    await began.wait()
    running.cancel()
    asyncio.get_running_loop().call_later(0.3, may_end.set)
    await asyncio.wait({running})
    assert await pipe.became("m1") == {("ann", "phone"): ("sent", None)}


async def _run(consumers: Sequence[Consumer]) -> None:
    async with beside(*(one.run() for one in consumers)):
        await asyncio.Event().wait()


async def test_many_workers_and_copies_send_once(pipe: Stage) -> None:
    """The same job under twenty names, over four lanes of three services."""
    carrier = MemoryCarrier()
    pipe.carriers = {"fcm": carrier}
    job = pipe.job("ann", "m1")
    async with pipe.working(), pipe.working(), pipe.working():
        await pipe.put(*(structs.replace(job, job_id=f"j{number}") for number in range(20)))
        await eventually(pipe.is_empty)
    assert len(carrier.sent) == 1
    assert await pipe.became("m1") == {("ann", "phone"): ("sent", None)}


def _delivery(state: State) -> Delivery:
    return Delivery(*KEY, "fcm", state, "why", 5, 1, "id")


async def test_claims(pipe: Stage) -> None:
    ann, bob = RedisClaims(pipe.redis), RedisClaims(pipe.redis)
    assert await ann.take(KEY, KEEP, 5) == Mine()
    assert await bob.take(KEY, KEEP, 5) == Others(5)
    assert await bob.cancel([_delivery(State.CANCELLED)], KEEP) == [False]
    await ann.release(KEY)
    assert await bob.take(KEY, KEEP, 5) == Mine()
    sent = _delivery(State.SENT)
    assert key_of(sent) == KEY
    await bob.end(sent, KEEP)
    assert await ann.take(KEY, KEEP, 5) == Ended(sent)
    assert await ann.cancel([_delivery(State.CANCELLED)], KEEP) == [False]
    assert 0 < await pipe.redis.pttl("push:claim:m1:ann:phone") <= KEEP


async def test_a_cancelled_message_is_not_sent_and_may_be_cancelled_again(pipe: Stage) -> None:
    claims = RedisClaims(pipe.redis)
    cancelled = _delivery(State.CANCELLED)
    assert await claims.cancel([cancelled, cancelled._replace(device_id="tablet")], KEEP) == [True, True]
    assert await claims.cancel([cancelled], KEEP) == [True]
    assert await claims.take(KEY, KEEP, 5) == Ended(cancelled)
    assert await claims.cancel([], KEEP) == []
