"""The push service's queue on real servers, with carriers, devices and answers that a test sets."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import prometheus_client
from nats.aio.msg import Msg

from push_workloads.common import presence_keys, push_jobs, questions
from push_workloads.common.bus import Bus, connected
from push_workloads.common.cache import cache
from push_workloads.common.config import NatsConfig, RedisConfig
from push_workloads.common.consumer import Consumer
from push_workloads.common.cursor_keys import cursor_key
from push_workloads.common.measures import Consumed
from push_workloads.common.push_jobs import GroupJob, Hint, PushJob
from push_workloads.common.tasks import beside
from push_workloads.message.config import MessageConfig
from push_workloads.message.streams import ensure_push_queue
from push_workloads.push.cancels import RedisCancels
from push_workloads.push.carrier import Carrier, MemoryCarrier
from push_workloads.push.claims import RedisClaims
from push_workloads.push.dead import JetStreamDeadLetters
from push_workloads.push.deliveries import Delivery, MemoryDeliveries
from push_workloads.push.devices import Device, Platform
from push_workloads.push.facts import LiveFacts
from push_workloads.push.measures import PushMetrics
from push_workloads.push.outbox import JetStreamOutbox
from push_workloads.push.ports import Ports
from push_workloads.push.preference_store import MemoryPreferences
from push_workloads.push.queue import Queue
from push_workloads.push.rendering import Plain
from push_workloads.push.store import MemoryDevices
from push_workloads.push.workers import workers
from tests.support.servers import PASSWORDS, Nats, Valkey
from tests.support.services import environ_for


def now_ms() -> int:
    return int(time.time() * 1000)


class Answers:
    """The message service, as far as push asks it."""

    def __init__(self) -> None:
        self.away = False
        self.read: set[tuple[str, str]] = set()  # user, message
        self.unread: dict[str, int] = {}
        self.members: dict[str, list[str]] = {}
        self.asked = 0

    async def unread_of(self, message: Msg) -> None:
        self.asked += 1
        asked = msgspec.json.decode(message.data, type=questions.UnreadAsked)
        read = (asked.user_id, asked.message_id) in self.read
        await self._answer(message, questions.Unread(read, self.unread.get(asked.user_id, 0)))

    async def members_of(self, message: Msg) -> None:
        asked = msgspec.json.decode(message.data, type=questions.MembersAsked)
        members = sorted(self.members[asked.group_id])
        behind = [one for one in members if asked.after is None or one > asked.after]
        await self._answer(message, questions.Members(behind[: asked.limit]))

    async def _answer(self, message: Msg, answer: questions.Answer) -> None:
        if not self.away:
            await message.respond(msgspec.json.encode(answer))


@dataclass
class Stage:
    """`ports` are the real ones but for what is kept in a store."""

    bus: Bus
    message: Bus
    redis: Any
    answers: Answers
    ports: Ports
    devices: MemoryDevices
    preferences: MemoryPreferences
    deliveries: MemoryDeliveries
    dead: JetStreamDeadLetters
    registry: prometheus_client.CollectorRegistry
    carriers: dict[Platform, Carrier] = field(default_factory=dict)

    def workers(self, hold_off_seconds: float = 1.0) -> list[Consumer]:
        consumed = Consumed(prometheus_client.CollectorRegistry())
        return workers(self.bus, self.ports, self.dead, Plain(), self.carriers, hold_off_seconds, consumed)

    @asynccontextmanager
    async def working(self, hold_off_seconds: float = 1.0) -> AsyncIterator[None]:
        async with beside(*(one.run() for one in self.workers(hold_off_seconds))):
            yield

    async def device(self, user_id: str, device_id: str = "phone", platform: Platform = "fcm") -> Device:
        at = now_ms()
        address = f"address-of-{user_id}-{device_id}"
        return await self.devices.put(Device(user_id, device_id, platform, address, None, None, None, at, at))

    async def online(self, user_id: str) -> None:
        await self.redis.set(presence_keys.lease("gateway-1"), b"", px=60_000)
        opened = presence_keys.Opened(now_ms(), "ws", "phone")
        await self.redis.hset(
            presence_keys.user(user_id), presence_keys.field("gateway-1", "s1"), presence_keys.format_opened(opened)
        )

    async def received(self, user_id: str, device_id: str, channel: str, seq: int) -> None:
        await self.redis.hset(cursor_key(user_id, device_id), channel, f"e1 {seq}")

    def job(self, user_id: str, message_id: str, hint: Hint | None = None, age_ms: int = 0) -> PushJob:
        return PushJob(
            message_id, user_id, message_id, f"user:{user_id}", 7, "bob", now_ms() - age_ms, "hello", hint, "e1",
            "user:bob",
        )  # fmt: skip

    async def put(self, *jobs: PushJob) -> None:
        for job in jobs:
            await self.put_raw(push_jobs.subject(job.user_id), push_jobs.encode(job), job.job_id)

    async def put_group(self, job: GroupJob) -> None:
        await self.put_raw(push_jobs.group_subject(job.group_id), push_jobs.encode(job), job.job.job_id)

    async def put_raw(self, subject: str, payload: bytes, entry_id: str) -> None:
        js = self.message.client.jetstream()
        await js.publish(subject, payload, headers={"Nats-Msg-Id": entry_id})

    async def is_empty(self) -> bool:
        info = await self.message.client.jetstream().stream_info(push_jobs.STREAM)
        return info.state.messages == 0

    async def became(self, message_id: str) -> dict[tuple[str, str], tuple[str, str | None]]:
        """State and reason by user and device."""
        found: Sequence[Delivery] = await self.deliveries.of_message(message_id, None, 100_000)
        return {(one.user_id, one.device_id): (one.state.value, one.reason) for one in found}

    def metric(self, name: str, labels: Mapping[str, str]) -> float:
        return self.registry.get_sample_value(name, dict(labels)) or 0.0


def opened_outbox(bus: Bus) -> JetStreamOutbox:
    made = JetStreamOutbox()
    made.open(bus)
    return made


@asynccontextmanager
async def stage(nats: Nats, valkey: Valkey, *, answers: bool = True) -> AsyncIterator[Stage]:
    """`nats` with the operator's users: the push service has no more rights here than in a cluster. Without `answers`
    somebody else is the message service."""
    configs = {name: NatsConfig(nats.url, name, PASSWORDS[name], 1) for name in ("push", "message")}
    environ = environ_for(SQLITE_PATH="unused", REDIS_URL=valkey.url, **nats.environ_of("message"))
    message_config = MessageConfig.parse({**environ, "LOG_MAX_BYTES": str(64 * 1024**2)})
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(cache(RedisConfig(valkey.url, None, None)))
        message = await stack.enter_async_context(connected(configs["message"], "message"))
        await ensure_push_queue(message, message_config)
        given = Answers()
        if answers:
            await message.client.subscribe(questions.UNREAD, questions.QUEUE, given.unread_of)
            await message.client.subscribe(questions.MEMBERS, questions.QUEUE, given.members_of)
            await message.client.flush()
        bus = await stack.enter_async_context(connected(configs["push"], "push"))
        devices, preferences, deliveries = MemoryDevices(), MemoryPreferences(), MemoryDeliveries()
        registry = prometheus_client.CollectorRegistry()
        facts, claims, queue = LiveFacts(redis, bus, 60), RedisClaims(redis), Queue(opened_outbox(bus))
        metrics = PushMetrics(registry)
        ports = Ports(devices, facts, preferences, deliveries, claims, queue, RedisCancels(redis), metrics, now_ms)
        yield Stage(
            bus, message, redis, given, ports, devices, preferences, deliveries, JetStreamDeadLetters(bus), registry,
            {"fcm": MemoryCarrier()},
        )  # fmt: skip
