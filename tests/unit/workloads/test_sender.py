"""What a sender does around the provider's answer, with everything in memory."""

from __future__ import annotations

from collections.abc import Sequence

import prometheus_client
import pytest
from msgspec.structs import replace

from push_workloads.push.cancels import MemoryCancels
from push_workloads.push.carrier import Answer, Dead, Later, MemoryCarrier, Sent
from push_workloads.push.claims import MemoryClaims
from push_workloads.push.deliveries import MemoryDeliveries
from push_workloads.push.devices import Device
from push_workloads.push.facts import FactSource, MemoryFacts, Near
from push_workloads.push.measures import PushMetrics
from push_workloads.push.notification import Notification, Show
from push_workloads.push.outbox import MemoryOutbox
from push_workloads.push.ports import Ports
from push_workloads.push.preference_store import MemoryPreferences
from push_workloads.push.preferences import FOR_EVER, Preferences, QuietHours
from push_workloads.push.queue import Queue
from push_workloads.push.sender import Sender
from push_workloads.push.sends import Send, decode
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
    def __init__(self, devices: MemoryDevices, answer: Answer, facts: FactSource | None = None) -> None:
        self.devices, self.preferences, self.deliveries = devices, MemoryPreferences(), MemoryDeliveries()
        self.answer, self.now_ms, self.outbox = answer, NOW, MemoryOutbox()
        self.registry = prometheus_client.CollectorRegistry()
        self.carrier = MemoryCarrier(lambda device, shown: self.answer)
        self.ports = Ports(
            devices, facts or MemoryFacts(), self.preferences, self.deliveries, MemoryClaims(), Queue(self.outbox),
            MemoryCancels(), PushMetrics(self.registry), lambda: self.now_ms,
        )  # fmt: skip
        self.sender = Sender(self.ports, self.carrier, lambda: 0.5)

    async def sends(self, decided_at: int, shown: Notification = SHOWN) -> tuple[str, str | None]:
        await self.devices.put(PHONE)
        send = Send("ann", "phone", "fcm", shown, channel="user:ann", epoch="e1", seq=7, decided_at=decided_at)
        return await self.became(send)

    async def became(self, send: Send) -> tuple[str, str | None]:
        assert await self.sender.handle(send) is None
        (became,) = await self.deliveries.of_user(send.notification.message_id, "ann")
        return became.state.value, became.reason


async def test_a_dead_token_goes() -> None:
    world = World(MemoryDevices(), Dead("UNREGISTERED"))
    assert await world.sends(NOW) == ("failed", "UNREGISTERED")
    assert await world.devices.of_user("ann") == []


async def test_a_token_that_is_registered_while_the_old_one_goes_stays() -> None:
    world = World(Registering(), Dead("UNREGISTERED"))
    assert await world.sends(NOW) == ("failed", "UNREGISTERED")
    assert [one.address for one in await world.devices.of_user("ann")] == ["token-2"]


class Broken:
    async def send(self, device: Device, told: Notification) -> Answer:
        raise ValueError(f"it cannot be sent to {device.address}")


async def test_a_carrier_that_fails_has_an_end_and_tells_no_address(caplog: pytest.LogCaptureFixture) -> None:
    world = World(MemoryDevices(), Sent())
    world.sender = Sender(world.ports, Broken(), lambda: 0.5)
    assert await world.sends(NOW) == ("failed", "ambiguous: fault")
    assert "ValueError" in caplog.text and PHONE.address not in caplog.text


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
        (waits,) = [decode(one.data) for one in world.outbox.entries.values()]
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


# Of a broadcast -------------------------------------------------------------------------------------------------------

HOUR = 3_600_000
SEVEN = NOW - NOW % (24 * HOUR) + 31 * HOUR
NEWS = Send("ann", "phone", "fcm", Notification("b1.7", Show.ALERT, SEVEN // 1000 + 3600, "News"), rechecked=False,
            turn_ms=5000)  # fmt: skip


class NoFacts(MemoryFacts):
    async def near(self, user_id: str, channel: str, device_ids: Sequence[str]) -> Near:
        raise AssertionError("no message stands behind a broadcast")

    async def over_rate(self, user_id: str, message_id: str, now_ms: int) -> bool:
        raise AssertionError("no rate counts for a broadcast")


async def _put_off() -> tuple[World, Send]:
    """What comes again, at 22:00, of a broadcast's send that the provider did not take at 21:59."""
    world = World(MemoryDevices(), Later("busy", 60.0), NoFacts())
    await world.devices.put(PHONE)
    world.now_ms = SEVEN - 9 * HOUR - 60_000
    assert await world.became(NEWS) == ("held", "busy")
    (entry,) = world.outbox.entries.values()
    world.outbox.entries.clear()
    world.answer, world.now_ms = Sent(), entry.at or 0
    return world, decode(entry.data)


@pytest.mark.parametrize(
    ("preferences", "became"),
    [
        (Preferences(), ("sent", None)),
        (Preferences(mutes={"*": FOR_EVER}), ("cancelled", "muted")),
        (Preferences(QuietHours("22:00", "07:00", "UTC")), ("cancelled", "quiet")),
        (Preferences(QuietHours("22:00", "07:00", "UTC", "hold")), ("held", "quiet")),
        (Preferences(QuietHours("22:00", "08:00", "UTC", "hold")), ("cancelled", "quiet")),
    ],
)
async def test_a_broadcasts_send_that_waited_is_looked_at_again(
    preferences: Preferences, became: tuple[str, str | None]
) -> None:
    world, send = await _put_off()
    await world.preferences.replace("ann", preferences, None)
    assert await world.became(send) == became
    assert [entry.at for entry in world.outbox.entries.values()] == ([SEVEN + 5000] if became[0] == "held" else [])


async def test_a_broadcasts_send_that_did_not_wait_is_not() -> None:
    world = World(MemoryDevices(), Sent())
    await world.devices.put(PHONE)
    await world.preferences.replace("ann", Preferences(mutes={"*": FOR_EVER}), None)
    assert await world.became(NEWS) == ("sent", None)
