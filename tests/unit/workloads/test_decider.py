"""Which decisions a job comes to, what is asked for them, what is recorded and queued: with everything in memory."""

from __future__ import annotations

import prometheus_client
import pytest

from push_workloads.common import push_jobs
from push_workloads.common.cursor_keys import Reached
from push_workloads.common.errors import Unavailable
from push_workloads.common.push_jobs import Hint, PushJob
from push_workloads.push import sends
from push_workloads.push.cancels import MemoryCancels
from push_workloads.push.claims import Key, MemoryClaims
from push_workloads.push.decider import Decider
from push_workloads.push.deliveries import MemoryDeliveries
from push_workloads.push.devices import Device, Platform
from push_workloads.push.facts import MemoryFacts, Reading
from push_workloads.push.measures import PushMetrics
from push_workloads.push.notification import Show
from push_workloads.push.outbox import MemoryOutbox
from push_workloads.push.ports import Ports
from push_workloads.push.preference_store import MemoryPreferences
from push_workloads.push.preferences import FOR_EVER, Preferences, QuietHours
from push_workloads.push.queue import Queue
from push_workloads.push.rendering import Plain
from push_workloads.push.store import MemoryDevices

NOON = 12 * 3_600_000
NIGHT = 2 * 3_600_000


class CountingFacts(MemoryFacts):
    def __init__(self) -> None:
        super().__init__()
        self.questions = 0
        self.away = False

    async def reading(self, user_id: str, conversation: str, sent_at: int, message_id: str) -> Reading:
        self.questions += 1
        if self.away:
            raise Unavailable("away")
        return await super().reading(user_id, conversation, sent_at, message_id)


class World:
    def __init__(self) -> None:
        self.now = NOON
        self.devices, self.facts, self.preferences = MemoryDevices(), CountingFacts(), MemoryPreferences()
        self.deliveries, self.claims, self.queue = MemoryDeliveries(), MemoryClaims(), MemoryOutbox()
        metrics = PushMetrics(prometheus_client.CollectorRegistry())
        ports = Ports(
            self.devices, self.facts, self.preferences, self.deliveries, self.claims, Queue(self.queue),
            MemoryCancels(), metrics, lambda: self.now,
        )  # fmt: skip
        self.decider = Decider(ports, Plain(), {"fcm", "apns"}, hold_off_seconds=3)

    async def device(
        self, device_id: str, platform: Platform = "fcm", zone: str | None = "UTC", app: str | None = None
    ) -> None:
        address = f"address of {device_id}"
        await self.devices.put(Device("ann", device_id, platform, address, None, None, app, 0, 0, time_zone=zone))

    async def became(self) -> dict[str, tuple[str, str | None]]:
        found = await self.deliveries.of_user("m", "ann")
        return {one.device_id: (one.state.value, one.reason) for one in found}

    def queued(self) -> list[tuple[str, int | None]]:
        return sorted((put.subject, put.at) for put in self.queue.entries.values())


def _job(hint: Hint | None = None) -> PushJob:
    return PushJob("j", "ann", "m", "user:ann", 7, "bob", NOON, "hello", hint, "e1", "user:bob")


@pytest.fixture
def world() -> World:
    return World()


async def test_nobody_is_asked_about_a_user_without_devices(world: World) -> None:
    await world.decider.handle(_job())
    assert not world.queue.entries
    assert world.facts.questions == 0


async def test_each_device_is_decided_on_by_itself(world: World) -> None:
    for device_id, platform in (("phone", "fcm"), ("tablet", "apns"), ("laptop", "webpush"), ("watch", "apns")):
        await world.device(device_id, platform)  # type: ignore[arg-type]
    world.facts.reached["ann", "tablet", "user:ann"] = Reached("e1", 7)
    world.facts.unread["ann"] = 5
    await world.decider.handle(_job())
    assert await world.became() == {
        "phone": ("queued", None),
        "tablet": ("cancelled", "received"),
        "laptop": ("cancelled", "no_sender"),
        "watch": ("queued", None),
    }
    assert world.queued() == [("push.send.apns.ann", None), ("push.send.fcm.ann", None)]
    (send,) = [sends.decode(put.data) for put in world.queue.entries.values() if ".fcm." in put.subject]
    assert (send.device_id, send.notification.badge, send.seq, send.decided_at) == ("phone", 5, 7, NOON)


async def test_a_job_that_comes_twice_changes_nothing(world: World) -> None:
    await world.device("phone")
    await world.device("laptop", "webpush")
    await world.decider.handle(_job())
    entries, became = dict(world.queue.entries), await world.became()
    await world.decider.handle(_job())
    assert (world.queue.entries, await world.became()) == (entries, became)


async def test_the_hold_off_is_waited_before_anything_is_asked(world: World) -> None:
    await world.device("phone")
    world.facts.online.add("ann")
    world.now = NOON + 1000
    await world.decider.handle(_job())
    assert world.facts.questions == 0
    assert await world.became() == {"phone": ("held", "hold_off")}
    (put,) = world.queue.entries.values()
    assert (put.subject, put.at) == ("push.jobs.ann", NOON + 3000)
    world.now = NOON + 3100
    await world.decider.handle(push_jobs.decode(put.data))
    assert await world.became() == {"phone": ("queued", None)}


async def test_what_is_unread_is_asked_only_when_somebody_would_be_told(world: World) -> None:
    await world.device("phone")
    await world.preferences.replace("ann", Preferences(mutes={"*": FOR_EVER}), None)
    await world.decider.handle(_job())
    assert world.facts.questions == 0
    assert await world.became() == {"phone": ("cancelled", "muted")}
    assert world.claims.held.keys() == {Key("m", "ann", "phone")}


async def test_who_does_not_answer_keeps_it_from_being_told(world: World) -> None:
    await world.device("phone")
    world.facts.away = True
    with pytest.raises(Unavailable):
        await world.decider.handle(_job())
    assert not world.queue.entries
    assert not await world.became()


async def test_quiet_hours_are_each_devices_own(world: World) -> None:
    await world.device("phone", zone="UTC")
    await world.device("tablet", "apns", zone="Pacific/Auckland")
    await world.preferences.replace("ann", Preferences(QuietHours("22:00", "07:00", mode="hold")), None)
    await world.decider.handle(_job())
    assert await world.became() == {"phone": ("queued", None), "tablet": ("held", "quiet")}
    ((_, at_ms),) = [one for one in world.queued() if one[0] == "push.send.apns.ann"]
    assert at_ms is not None
    assert at_ms > NOON


async def test_in_quiet_hours_only_the_badge_is_sent(world: World) -> None:
    await world.device("phone")
    await world.preferences.replace("ann", Preferences(QuietHours("22:00", "14:00", "UTC")), None)
    await world.decider.handle(_job())
    (put,) = world.queue.entries.values()
    assert sends.decode(put.data).notification.show is Show.BADGE


async def test_over_the_rate(world: World) -> None:
    await world.device("phone")
    world.facts.limited.add("ann")
    await world.decider.handle(_job())
    assert await world.became() == {"phone": ("cancelled", "rate")}


async def test_what_was_sent_meanwhile_is_not_cancelled_by_a_second_decision(world: World) -> None:
    await world.device("phone")
    await world.decider.handle(_job())
    await world.claims.take(Key("m", "ann", "phone"), 1000, NOON)
    world.facts.read.add(("ann", "m"))
    await world.decider.handle(_job())
    assert await world.became() == {"phone": ("queued", None)}


async def test_a_call_and_what_is_none(world: World) -> None:
    """What is not for a device is decided without a question."""
    await world.device("ring", "apns", app="com.example.voip")
    await world.decider.handle(_job())
    assert (await world.became(), world.facts.questions) == ({"ring": ("cancelled", "calls_only")}, 0)
    assert not world.queue.entries

    world = World()
    await world.device("ring", "apns", app="com.example.voip")
    await world.device("phone", "apns", app="com.example")
    await world.device("android")
    await world.decider.handle(_job(Hint(call=True)))
    assert await world.became() == {
        "ring": ("queued", None), "phone": ("cancelled", "rings_elsewhere"), "android": ("queued", None),
    }  # fmt: skip
    put = [sends.decode(one.data) for one in world.queue.entries.values()]
    assert {(one.device_id, one.notification.show) for one in put} == {("ring", Show.VOIP), ("android", Show.VOIP)}


async def test_in_silent_quiet_hours_of_a_call_no_badge_is_left(world: World) -> None:
    await world.device("ring", "apns", app="com.example.voip")
    await world.preferences.replace("ann", Preferences(QuietHours("22:00", "14:00", "UTC")), None)
    await world.decider.handle(_job(Hint(call=True)))
    assert await world.became() == {"ring": ("cancelled", "quiet")}
