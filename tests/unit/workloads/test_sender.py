"""What a sender does around the provider's answer, with everything in memory."""

from __future__ import annotations

import prometheus_client
import pytest
from msgspec.structs import replace

from push_workloads.push import sends
from push_workloads.push.cancels import MemoryCancels
from push_workloads.push.carrier import Answer, Dead, Later, MemoryCarrier, Sent
from push_workloads.push.claims import MemoryClaims
from push_workloads.push.deliveries import MemoryDeliveries
from push_workloads.push.devices import Device
from push_workloads.push.facts import MemoryFacts
from push_workloads.push.measures import PushMetrics
from push_workloads.push.notification import Notification, Show
from push_workloads.push.outbox import MemoryOutbox
from push_workloads.push.ports import Ports
from push_workloads.push.preference_store import MemoryPreferences
from push_workloads.push.preferences import FOR_EVER, Preferences, QuietHours
from push_workloads.push.queue import Queue
from push_workloads.push.sender import Sender
from push_workloads.push.sends import Send
from push_workloads.push.store import MemoryDevices

NOW = 1_790_000_000_000
PHONE = Device("ann", "phone", "fcm", "token-1", None, None, None, NOW, NOW)
SHOWN = Notification("m1", Show.ALERT, expires_at=NOW // 1000 + 3600, title="bob", conversation="user:bob")


class Registering(MemoryDevices):
    """The app registers another token just after its device was looked at for the second time."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    async def one(self, user_id: str, device_id: str) -> Device | None:
        found = await super().one(user_id, device_id)
        self._looks += 1
        if self._looks == 2:
            await self.put(PHONE._replace(address="token-2"))
        return found


class World:
    def __init__(self, devices: MemoryDevices, answer: Answer) -> None:
        self.devices, self.preferences, self.deliveries = devices, MemoryPreferences(), MemoryDeliveries()
        self.carrier = MemoryCarrier(lambda device, shown: answer)
        self.queue, self.registry = MemoryOutbox(), prometheus_client.CollectorRegistry()
        ports = Ports(
            devices, MemoryFacts(), self.preferences, self.deliveries, MemoryClaims(), Queue(self.queue),
            MemoryCancels(), PushMetrics(self.registry), lambda: NOW,
        )  # fmt: skip
        self.sender = Sender(ports, self.carrier, lambda: 0.5)

    async def sends(self, decided_at: int, shown: Notification = SHOWN) -> tuple[str, str | None]:
        await self.devices.put(PHONE)
        send = Send("ann", "phone", "fcm", shown, channel="user:ann", epoch="e1", seq=7, decided_at=decided_at)
        assert await self.sender.handle(send) is None
        (became,) = await self.deliveries.of_user("m1", "ann")
        return became.state.value, became.reason


async def test_a_dead_token_goes() -> None:
    world = World(MemoryDevices(), Dead("UNREGISTERED"))
    assert await world.sends(NOW) == ("failed", "UNREGISTERED")
    assert await world.devices.of_user("ann") == []


async def test_a_token_that_is_registered_while_the_old_one_goes_stays() -> None:
    world = World(Registering(), Dead("UNREGISTERED"))
    assert await world.sends(NOW) == ("failed", "UNREGISTERED")
    assert [one.address for one in await world.devices.of_user("ann")] == ["token-2"]


async def test_only_what_was_just_decided_is_not_looked_at_again() -> None:
    """Whoever decided may have a clock that is ahead."""
    for decided_at, became in ((NOW - 999, "sent"), (NOW - 1000, "cancelled"), (NOW + 60_000, "cancelled")):
        world = World(MemoryDevices(), Sent())
        await world.preferences.replace("ann", Preferences(mutes={"user:bob": FOR_EVER}), None)
        assert (await world.sends(decided_at))[0] == became


async def test_a_call_that_waited_into_silent_quiet_hours_is_no_badge() -> None:
    world = World(MemoryDevices(), Sent())
    at_all_times = QuietHours("00:00", "23:59", "UTC")
    await world.preferences.replace("ann", Preferences(at_all_times), None)
    assert await world.sends(0, replace(SHOWN, show=Show.VOIP)) == ("cancelled", "quiet")


async def test_what_was_kept_back_has_used_up_no_attempt() -> None:
    """The provider was not asked: only the message's own time ends it."""
    for answer, counts in ((Later("halted", 5.0, asked=False), (0, 1)), (Later("busy"), (1, 0))):
        world = World(MemoryDevices(), answer)
        assert await world.sends(NOW) == ("held", answer.reason)
        (waits,) = [sends.decode(one.data) for one in world.queue.entries.values()]
        assert (waits.attempt, waits.kept_back) == counts
        (became,) = await world.deliveries.of_user("m1", "ann")
        assert became.attempts == counts[0]


async def test_a_fault_of_ours_is_told_from_a_busy_provider(caplog: pytest.LogCaptureFixture) -> None:
    for answer, ours, told in ((Later("busy"), 0, []), (Later("no_token", ours=True), 1, [("fcm", "no_token")])):
        world = World(MemoryDevices(), answer)
        assert await world.sends(NOW) == ("held", answer.reason)
        counted = world.registry.get_sample_value("push_push_answers_total", {"platform": "fcm", "ours": "true"})
        logged = [(one.__dict__["platform"], one.__dict__["reason"]) for one in caplog.records]
        assert (counted, logged) == (ours, told)
