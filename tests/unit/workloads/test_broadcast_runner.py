"""A broadcast reaches every device that it is for, and none twice: killed at any line, and with devices that change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from push_workloads.common.errors import Conflict, NotFound
from push_workloads.common.push_jobs import PushJob
from push_workloads.push import sends
from push_workloads.push.books.memory import MemoryBooks
from push_workloads.push.broadcast import audience, model
from push_workloads.push.broadcast import runner as runner_module
from push_workloads.push.broadcast.audience import Audience
from push_workloads.push.broadcast.desk import BroadcastDesk
from push_workloads.push.broadcast.memory import MemoryBroadcasts
from push_workloads.push.broadcast.model import Ends, NewBroadcast, Stage
from push_workloads.push.broadcast.ports import Follower
from push_workloads.push.broadcast.runner import MAX_BEHIND, BroadcastMetrics, Runner, RunnerPorts
from push_workloads.push.broadcast.segments import Segment
from push_workloads.push.broadcast.tally import Tally
from push_workloads.push.cancels import MemoryCancels
from push_workloads.push.deliveries import Delivery, MemoryDeliveries, State
from push_workloads.push.devices import Device, Platform
from push_workloads.push.notification import Notification, Show
from push_workloads.push.outbox import Entry, MemoryOutbox
from push_workloads.push.policy import matter_of
from push_workloads.push.preference_store import MemoryPreferences
from push_workloads.push.preferences import FOR_EVER, Preferences, QuietHours
from push_workloads.push.store import MemoryDevices

NOW = 1_800_000_000_000
PAGE = 4


class Words:
    """A Renderer."""

    def render(self, job: PushJob, device: Device, badge: int | None) -> Notification:
        hint = job.hint
        assert hint is not None
        return Notification(job.message_id, Show.ALERT, matter_of(job).expires_ms // 1000, hint.title, data=hint.data)


class Topics:
    """A TopicReading."""

    def __init__(self) -> None:
        self.barred: set[str] = set()

    async def may_read(self, user_id: str, topic: str) -> bool:
        return user_id not in self.barred


class Lease:
    def __init__(self, holders: dict[str, object], broadcast_id: str) -> None:
        self._holders = holders
        self._id = broadcast_id

    async def hold(self) -> bool:
        return self._holders.setdefault(self._id, self) is self

    async def release(self) -> None:
        if self._holders.get(self._id) is self:
            del self._holders[self._id]


class Forgetful(MemoryOutbox):
    """Drops no repeats: as the stream does after two minutes."""

    def __init__(self) -> None:
        super().__init__()
        self.put_there: list[Entry] = []

    async def put(self, entries: Any) -> None:
        wanted = list(entries)
        self.put_there += wanted
        await super().put(wanted)


class Killed(Exception):
    pass


class Mortal:
    """Whatever it stands before works until the call of a number; that one is not made, or its answer never comes."""

    def __init__(self, behind: Any, life: Life) -> None:
        self._behind = behind
        self._life = life

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._behind, name)

        async def call(*arguments: Any) -> Any:
            self._life.calls += 1
            ends = self._life.calls == self._life.ends_at
            if ends and not self._life.after:
                raise Killed
            answer = await called(*arguments)
            if ends:
                raise Killed
            return answer

        return call


@dataclass
class Life:
    """After so many calls it ends: before the last of them, or `after` it."""

    ends_at: int = -1
    after: bool = False
    calls: int = 0


@dataclass
class World:
    now_ms: int = NOW
    store: MemoryBroadcasts = field(default_factory=MemoryBroadcasts)
    devices: MemoryDevices = field(default_factory=MemoryDevices)
    preferences: MemoryPreferences = field(default_factory=MemoryPreferences)
    log: MemoryDeliveries = field(default_factory=MemoryDeliveries)
    outbox: Forgetful = field(default_factory=Forgetful)
    cancels: MemoryCancels = field(default_factory=MemoryCancels)
    topics: Topics = field(default_factory=Topics)
    leases: dict[str, object] = field(default_factory=dict)
    clock: float = 0.0

    @property
    def tally(self) -> Tally:
        return Tally(self.log, lambda: self.clock)

    @property
    def desk(self) -> BroadcastDesk:
        return BroadcastDesk(
            self.store, MemoryBooks(), self.tally, self.outbox, self.cancels, lambda: self.now_ms, lambda _: bytes(10)
        )

    def runner(self, life: Life | None = None) -> Runner:
        def mortal(port: Any) -> Any:
            return port if life is None else Mortal(port, life)

        ports = RunnerPorts(
            mortal(self.store),
            cast(Audience, mortal(Audience(self.devices, self.store, self.topics))),
            mortal(self.preferences),
            mortal(self.log),
            cast(Tally, mortal(self.tally)),
            mortal(self.outbox),
            mortal(self.cancels),
            Words(),
            lambda one: mortal(Lease(self.leases, one)),
            ("fcm", "apns"),
            lambda: self.now_ms,
        )
        return Runner(ports, BroadcastMetrics(CollectorRegistry()))

    async def register(self, count: int, prefix: str = "user", platform: Platform = "fcm") -> None:
        for number in range(count):
            name = f"{prefix}{number:03}"
            await self.devices.put(Device(name, "d", platform, f"{prefix}-{number}", None, None, None, 1, 1))

    async def send(self, **fields: Any) -> str:
        given: dict[str, Any] = {"title": "News", "segment": Segment(), "per_second": 10_000, **fields}
        return (await self.desk.send(NewBroadcast(**given))).broadcast_id

    def reached(self) -> Counter[tuple[str, str]]:
        """Each device by how many claims there are for it: whatever is put twice under one id is sent once."""
        told = {one.entry_id: sends.decode(one.data) for one in self.outbox.put_there}
        return Counter((one.user_id, one.device_id) for one in told.values())


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "DEVICES", PAGE)
    monkeypatch.setattr(audience, "FOLLOWERS", PAGE)


@pytest.fixture
def world() -> World:
    return World()


async def test_all_devices_of_a_segment_once(world: World) -> None:
    await world.register(10)
    await world.register(3, "apple", "apns")
    made = await world.send(segment=Segment(platforms=["fcm"]))
    await world.runner().work(made)
    assert world.reached() == Counter({(f"user{number:03}", "d"): 1 for number in range(10)})
    view = await world.desk.one(made)
    assert (view.stage, view.seen, view.queued, view.waiting) == (Stage.SENDING, 13, 10, 10)
    assert {one.subject for one in world.outbox.put_there} == {f"push.send.fcm.user{n:03}" for n in range(10)}
    send = sends.decode(world.outbox.put_there[0].data)
    assert (send.rechecked, send.notification.title) == (False, "News")


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_line(after: bool) -> None:
    """Also with a device that comes, and one that goes, between the two lives."""
    whole = Life()
    for ends_at in range(1, 200):
        world = World()
        await world.register(9)
        await world.preferences.replace("user004", Preferences(mutes={"*": FOR_EVER}), None)
        made = await world.send()
        life = Life(ends_at, after)
        try:
            await world.runner(life).work(made)
        except Killed:
            world.leases.clear()  # it ends by itself
            await world.register(1, "aaa")
            await world.devices.remove("user002", "d")
            await world.runner().work(made)
        else:
            whole = life
            break
        reached, must = world.reached(), {(f"user{n:03}", "d") for n in range(9) if n not in (2, 4)}
        assert set(reached.values()) == {1}
        assert must <= set(reached) <= must | {("user002", "d"), ("aaa000", "d")}
        held = await world.store.one(made)
        assert held is not None
        assert held.stage is Stage.SENDING
        assert len(must) <= held.queued - 1 <= len(must) + 2  # one of them is muted
    assert 30 < whole.calls < 199


async def test_one_replica_at_a_time(world: World) -> None:
    await world.register(5)
    made = await world.send()
    world.leases[made] = "another"
    await world.runner().work(made)
    assert not world.outbox.put_there
    del world.leases[made]
    await world.runner().work(made)
    assert len(world.outbox.put_there) == 5
    assert not world.leases


async def test_a_replica_that_wakes_up_late_changes_nothing(world: World) -> None:
    await world.register(9)
    made = await world.send()
    late = await world.store.one(made)
    assert late is not None
    await world.runner().work(made)
    assert not await world.store.replace(model.moved(late, "user003.d", 4, 4, NOW))
    assert set(world.reached().values()) == {1}


async def test_who_wants_none_gets_none_and_who_sleeps_gets_it_later(world: World) -> None:
    await world.register(4)
    await world.register(1, "web", "webpush")
    for user, wish in (
        ("user000", Preferences(mutes={"*": FOR_EVER})),
        ("user001", Preferences(QuietHours("07:00", "09:00", "UTC", "hold"))),
        ("user002", Preferences(QuietHours("07:00", "09:00", "UTC", "silent"))),
    ):
        await world.preferences.replace(user, wish, None)
    made = await world.send()
    await world.runner().work(made)
    assert [(one.subject, one.at) for one in world.outbox.put_there] == [
        ("push.send.fcm.user001", NOW + 3_600_000),  # its turn is in the first millisecond
        ("push.send.fcm.user003", None),
    ]
    assert world.outbox.put_there[0].timer == f"push.timer.{made}.user001.d"
    ends = [(await world.log.of_user(model.message_id(made, one), one)) for one in ("user000", "user002", "web000")]
    assert [[(one.state, one.reason) for one in own] for own in ends] == [
        [(State.CANCELLED, "muted")], [(State.CANCELLED, "quiet")], [(State.CANCELLED, "no_sender")],
    ]  # fmt: skip
    view = await world.desk.one(made)
    assert (view.seen, view.queued, view.cancelled, view.waiting) == (5, 5, 3, 2)


async def test_what_takes_calls_alone_gets_none(world: World) -> None:
    await world.devices.put(Device("ann", "calls", "apns", "t", None, None, "com.example.voip", 1, 1))
    made = await world.send()
    await world.runner().work(made)
    (became,) = await world.log.of_user(model.message_id(made, "ann"), "ann")
    assert (became.state, became.reason, world.outbox.put_there) == (State.CANCELLED, "calls_only", [])


async def test_what_is_held_goes_no_faster_than_the_pace(world: World) -> None:
    """And at the same times when a page is done again."""
    await world.register(PAGE + 2)
    for number in range(PAGE + 2):
        night = QuietHours("07:00", "09:00", "UTC", "hold")
        await world.preferences.replace(f"user{number:03}", Preferences(night), None)
    made = await world.send(per_second=100, ttl_s=3601)
    with pytest.raises(Killed):
        await world.runner(Life(11, after=True)).work(made)
    first = list(world.outbox.put_there)
    world.leases.clear()
    await world.runner().work(made)
    assert len(first) == PAGE
    assert world.outbox.put_there[: 2 * PAGE] == first * 2
    ats = [one.at for one in world.outbox.entries.values()]
    assert ats == [NOW + 3_600_000 + 10 * number for number in range(PAGE + 2)]
    assert all(sends.decode(one.data).rechecked for one in world.outbox.put_there)


async def test_what_is_held_is_held_as_long_as_it_is_worth_telling(world: World) -> None:
    await world.register(3)
    for number in range(3):
        night = QuietHours("07:00", "09:00", "UTC", "hold")
        await world.preferences.replace(f"user{number:03}", Preferences(night), None)
    made = await world.send(per_second=1, ttl_s=3601)
    await world.runner().work(made)
    assert [one.at for one in world.outbox.put_there] == [NOW + 3_600_000, NOW + 3_601_000]
    ends = await world.log.of_user(model.message_id(made, "user002"), "user002")
    assert [(one.state, one.reason) for one in ends] == [(State.CANCELLED, "quiet")]


async def test_the_followers_of_a_topic(world: World) -> None:
    await world.register(8)
    for number in range(6):
        await world.store.follow("news", Follower(f"user{number:03}", granted=number == 5))
    world.topics.barred = {"user001", "user005"}
    made = await world.send(segment=None, topic="news")
    await world.runner().work(made)
    assert {user for user, _ in world.reached()} == {f"user{number:03}" for number in (0, 2, 3, 4, 5)}


async def test_it_begins_at_its_time(world: World) -> None:
    await world.register(2)
    made = await world.send(send_at=NOW + 5000)
    await world.runner().work(made)
    assert (await world.desk.one(made)).stage is Stage.SCHEDULED
    world.now_ms += 5000
    await world.runner().work(made)
    assert len(world.outbox.put_there) == 2


async def test_one_whose_worth_is_over_is_not_begun(world: World) -> None:
    await world.register(2)
    made = await world.send(ttl_s=60)
    world.now_ms += 60_001
    await world.runner().work(made)
    assert not world.outbox.put_there
    assert (await world.desk.one(made)).stage is Stage.SENDING


async def _record(world: World, made: str, users: range, state: State) -> None:
    for number in users:
        user = f"user{number:03}"
        await world.log.record([Delivery(model.message_id(made, user), user, "d", "fcm", state, None, world.now_ms)])


async def test_it_is_done_when_all_have_come_to_an_end(world: World) -> None:
    await world.register(9)
    made = await world.send()
    runner = world.runner()
    await runner.work(made)
    await _record(world, made, range(6), State.SENT)
    await _record(world, made, range(6, 8), State.FAILED)
    await _record(world, made, range(8, 9), State.HELD)
    world.now_ms += 2000
    await world.runner().work(made)
    view = await world.desk.one(made)
    assert (view.stage, view.sent, view.failed, view.waiting, view.rate, view.eta_s) == (
        Stage.SENDING, 6, 2, 1, 4.0, 0.2,
    )  # fmt: skip
    await _record(world, made, range(8, 9), State.SENT)
    await world.runner().work(made)
    held = await world.store.one(made)
    assert held is not None
    assert (held.stage, held.ends) == (Stage.DONE, Ends(7, 2, 0))
    assert await world.store.open_ids() == []
    await world.runner().work(made)


async def test_a_stop(world: World) -> None:
    await world.register(9)
    await world.preferences.replace("user000", Preferences(QuietHours("07:00", "09:00", "UTC", "hold")), None)
    made = await world.send()
    await world.runner().work(made)
    await _record(world, made, range(1, 4), State.SENT)
    for _ in range(2):
        view = await world.desk.stop(made)
        assert (view.stage, view.sent, view.cancelled, view.waiting) == (Stage.STOPPED, 3, 6, 0)
    assert await world.cancels.is_cancelled(model.message_id(made, "user008"))
    assert not [one for one in world.outbox.entries.values() if one.at is not None]
    await world.runner().work(made)
    assert await world.store.open_ids() == [made]
    world.now_ms += 60_000
    await world.runner().work(made)
    assert await world.store.open_ids() == []
    assert (await world.desk.stop(made)).cancelled == 6
    with pytest.raises(NotFound):
        await world.desk.stop("other")


async def test_a_stop_between_two_portions(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "PORTION", 1)
    await world.register(9)
    made = await world.send()

    class Stopping(MemoryCancels):
        async def is_cancelled(self, message_id: str) -> bool:
            if len(world.outbox.put_there) == 2:
                await world.desk.stop(made)
            return len(world.outbox.put_there) >= 2

    world.cancels = Stopping()
    await world.runner().work(made)
    assert len(world.outbox.put_there) == 2
    view = await world.desk.one(made)
    assert (view.stage, view.queued, view.cancelled) == (Stage.STOPPED, 2, 2)


class Interrupted(Forgetful):
    """Something happens as soon as so many entries are there."""

    def __init__(self, count: int, happens: Callable[[], Awaitable[object]]) -> None:
        super().__init__()
        self._count = count
        self._happens = happens

    async def put(self, entries: Any) -> None:
        await super().put(entries)
        if len(self.put_there) == self._count:
            await self._happens()


@pytest.mark.parametrize("page", [1, 2])
async def test_a_stop_in_the_last_portion_of_a_page(world: World, page: int) -> None:
    """What went on the queue then is counted."""
    await world.register(2 * PAGE)
    made = await world.send()
    world.outbox = Interrupted(page * PAGE, lambda: world.desk.stop(made))
    await world.runner().work(made)
    await _record(world, made, range(1), State.SENT)
    view = await world.desk.one(made)
    assert (view.stage, view.seen, view.queued, view.sent, view.cancelled) == (
        Stage.STOPPED, page * PAGE, page * PAGE, 1, page * PAGE - 1,
    )  # fmt: skip


async def test_what_nobody_carries_any_more_holds_up_no_broadcast(world: World) -> None:
    """Nor does what it has nothing for."""
    await world.register(2)
    world.outbox.lengths = {"push-webpush": MAX_BEHIND, "push-apns": MAX_BEHIND}
    await world.runner().work(await world.send(segment=Segment(platforms=["fcm"])))
    assert len(world.outbox.put_there) == 2


async def test_it_does_not_wait_for_a_queue_longer_than_it_is_worth(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was put of its page until then is counted, and what did not go for a reason."""
    monkeypatch.setattr(runner_module, "PORTION", 1)
    monkeypatch.setattr(runner_module, "PAUSE_SECONDS", 0.0)
    await world.register(3)
    await world.preferences.replace("user000", Preferences(mutes={"*": FOR_EVER}), None)
    made = await world.send(ttl_s=60)

    class Stuck(Forgetful):
        async def behind(self, consumers: Sequence[str]) -> int:
            world.now_ms += 20_000
            return MAX_BEHIND if self.put_there else 0

    world.outbox = Stuck()
    await world.runner().work(made)
    view = await world.desk.one(made)
    assert (view.stage, view.seen, view.queued, view.cancelled, view.waiting) == (Stage.SENDING, 2, 2, 1, 1)
    await _record(world, made, range(1, 2), State.SENT)
    await world.runner().work(made)
    assert (await world.desk.one(made)).stage is Stage.DONE


async def test_the_same_dedup_id_is_one_broadcast(world: World) -> None:
    key = "0123456789abcdef"
    made = await world.send(dedup_id=key)
    assert await world.send(dedup_id=key) == made
    assert (
        await world.desk.send(NewBroadcast(title="News", segment=Segment(), per_second=10_000, dedup_id=key))
    ).duplicate
    with pytest.raises(Conflict):
        await world.send(dedup_id=key, title="Other")
    assert len((await world.desk.listed()).broadcasts) == 1
