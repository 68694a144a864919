"""From a job in the queue to what a provider says of it: real NATS with the operator's users, real Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.support.pushing import Stage, now_ms, stage
from tests.support.servers import Nats, Valkey
from tests.support.waiting import eventually

from push_workloads.common import push_jobs
from push_workloads.common.push_jobs import GroupJob, Hint
from push_workloads.push.carrier import Answer, Dead, Later, MemoryCarrier, Refused, Sent, Unknown
from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification, Show
from push_workloads.push.preferences import FOR_EVER, Preferences, QuietHours
from push_workloads.push.retrying import MAX_ATTEMPTS
from push_workloads.push.sends import Send, encode, subject

ANN = ("ann", "phone")


@pytest.fixture
async def pipe(operators_nats_server: Nats, valkey_server: Valkey) -> AsyncIterator[Stage]:
    async with stage(operators_nats_server, valkey_server) as made:
        yield made


def _sent(pipe: Stage) -> list[tuple[str, str, str]]:
    carrier = pipe.carriers["fcm"]
    assert isinstance(carrier, MemoryCarrier)
    return sorted((told.message_id, device.user_id, device.device_id) for device, told in carrier.sent)


async def test_who_has_no_socket_is_told_at_once(pipe: Stage) -> None:
    await pipe.device("ann")
    await pipe.device("ann", "laptop", "webpush")
    pipe.answers.unread["ann"] = 3
    async with pipe.working(hold_off_seconds=60):
        began = time.monotonic()
        await pipe.put(pipe.job("ann", "m1"), pipe.job("nobody", "m2"))
        await eventually(pipe.is_empty)
        assert time.monotonic() - began < 30
    assert _sent(pipe) == [("m1", "ann", "phone")]
    carrier = pipe.carriers["fcm"]
    assert isinstance(carrier, MemoryCarrier)
    notification = carrier.sent[0][1]
    assert (notification.title, notification.body, notification.badge) == ("bob", "hello", 3)
    assert await pipe.became("m1") == {ANN: ("sent", None), ("ann", "laptop"): ("cancelled", "no_sender")}
    assert pipe.metric("push_push_outcomes_total", {"state": "sent", "reason": "none", "platform": "fcm"}) == 1
    assert pipe.metric("push_push_sent_seconds_count", {"platform": "fcm"}) == 1


async def test_who_has_a_socket_is_told_what_it_did_not_receive_in_time(pipe: Stage) -> None:
    for user in ("ann", "eve", "joe"):
        await pipe.device(user)
        await pipe.online(user)
    began = now_ms()
    async with pipe.working(hold_off_seconds=1.5):
        await pipe.put(*(pipe.job(user, f"m-{user}") for user in ("ann", "eve", "joe")))
        await eventually(lambda: pipe.metric(
            "push_push_outcomes_total", {"state": "held", "reason": "hold_off", "platform": "fcm"}) == 3)  # fmt: skip
        assert not _sent(pipe)
        assert pipe.answers.asked == 0
        await pipe.received("eve", "phone", "user:eve", 7)
        pipe.answers.read.add(("joe", "m-joe"))
        await eventually(pipe.is_empty)
    assert now_ms() - began >= 1400
    assert _sent(pipe) == [("m-ann", "ann", "phone")]
    assert await pipe.became("m-eve") == {("eve", "phone"): ("cancelled", "received")}
    assert await pipe.became("m-joe") == {("joe", "phone"): ("cancelled", "read")}


async def test_what_is_not_known_is_waited_for(pipe: Stage) -> None:
    await pipe.device("ann")
    pipe.answers.away = True
    async with pipe.working():
        await pipe.put(pipe.job("ann", "m1"))
        await eventually(lambda: pipe.answers.asked > 1)
        assert not _sent(pipe)
        pipe.answers.away = False
        await eventually(pipe.is_empty)
    assert _sent(pipe) == [("m1", "ann", "phone")]


async def test_mutes_and_expiry_and_rate(pipe: Stage) -> None:
    await pipe.device("ann")
    await pipe.device("eve")
    await pipe.preferences.replace("eve", Preferences(mutes={"user:bob": FOR_EVER}), None)
    many = [pipe.job("ann", f"m{number:02}") for number in range(70)]
    async with pipe.working():
        await pipe.put(pipe.job("eve", "muted"), pipe.job("ann", "old", Hint(ttl_s=30), age_ms=31_000), *many)
        await eventually(pipe.is_empty)
    assert await pipe.became("muted") == {("eve", "phone"): ("cancelled", "muted")}
    assert await pipe.became("old") == {ANN: ("cancelled", "expired")}
    assert len(_sent(pipe)) == 60
    ends = [(await pipe.became(job.message_id))[ANN] for job in many]
    assert ends.count(("sent", None)) == 60
    assert ends.count(("cancelled", "rate")) == 10


async def test_quiet_hours_that_hold_end(pipe: Stage) -> None:
    """By a clock of the test's own, a millisecond further at each look: the broker's is long past their end."""
    clock = [2 * 3_600_000]

    def look() -> int:
        clock[0] += 1
        return clock[0]

    pipe.ports = pipe.ports._replace(now_ms=look)
    await pipe.preferences.replace("ann", Preferences(QuietHours("22:00", "07:00", "UTC", mode="hold")), None)
    await pipe.preferences.replace("eve", Preferences(QuietHours("22:00", "07:00", "UTC")), None)
    await pipe.device("ann")
    await pipe.device("eve")
    jobs = [pipe.job(user, f"m-{user}", age_ms=now_ms() - clock[0]) for user in ("ann", "eve")]
    async with pipe.working():
        await pipe.put(*jobs)
        await eventually(lambda: len(_sent(pipe)) == 1)
        held = {"state": "held", "reason": "quiet", "platform": "fcm"}
        # It comes back before the clock has moved, and is held again rather than lost.
        await eventually(lambda: pipe.metric("push_push_outcomes_total", held) >= 2)
        assert await pipe.became("m-ann") == {ANN: ("held", "quiet")}
        clock[0] = 7 * 3_600_000
        await eventually(pipe.is_empty)
    carrier = pipe.carriers["fcm"]
    assert isinstance(carrier, MemoryCarrier)
    assert [(device.user_id, told.show) for device, told in carrier.sent] == [
        ("eve", Show.BADGE), ("ann", Show.ALERT),
    ]  # fmt: skip


async def test_a_broadcasts_send_that_waited_is_looked_at_again(pipe: Stage) -> None:
    """By the user's wishes alone: the message service is not asked."""
    asked = {"ann": 0, "eve": 0}

    def answer(device: Device, told: Notification) -> Answer:
        asked[device.user_id] += 1
        return Later("busy", 1.0) if asked[device.user_id] == 1 else Sent()

    pipe.carriers = {"fcm": MemoryCarrier(answer)}
    pipe.answers.away = True
    for user in asked:
        await pipe.device(user)
        told = Notification("b1.7", Show.ALERT, now_ms() // 1000 + 60, "News")
        send = Send(user, "phone", "fcm", told, rechecked=False, turn_ms=0)
        await pipe.put_raw(subject(send), encode(send), user)
    async with pipe.working():
        await eventually(lambda: asked == {"ann": 1, "eve": 1})
        await pipe.preferences.replace("eve", Preferences(mutes={"*": FOR_EVER}), None)
        await eventually(pipe.is_empty)
    assert await pipe.became("b1.7") == {ANN: ("sent", None), ("eve", "phone"): ("cancelled", "muted")}


async def test_a_group_is_told_page_by_page_and_its_sender_is_not(pipe: Stage) -> None:
    members = [f"user{number:04}" for number in range(1200)]
    pipe.answers.members["team"] = members
    for user in members:
        await pipe.device(user)
    job = pipe.job("", "m1")
    group = push_jobs.GroupJob("team", push_jobs.PushJob(
        "m1", "", "m1", "group:team", 7, "user0007", job.sent_at, "hello", None, "e1", "group:team",
    ))  # fmt: skip
    async with pipe.working():
        await pipe.put_group(group)
        await pipe.put_group(GroupJob("team", group.job, after=None))
        await eventually(lambda: len(_sent(pipe)) >= 1199, within=60)
        await eventually(pipe.is_empty)
    assert [user for _, user, _ in _sent(pipe)] == [user for user in members if user != "user0007"]


class Script:
    """A carrier that answers what is written for each device, one after another; the last again and again."""

    def __init__(self, **answers: list[Answer]) -> None:
        self._answers = answers
        self.calls: list[str] = []

    async def send(self, device: Device, notification: Notification) -> Answer:
        self.calls.append(device.user_id)
        left = self._answers[device.user_id]
        return left.pop(0) if len(left) > 1 else left[0]


async def test_every_answer_has_its_consequence(pipe: Stage) -> None:
    script = Script(
        ann=[Later("busy", 0.1), Later("busy"), Sent("id-1")],
        dead=[Dead("unregistered")],
        early=[Dead("unregistered", since=5)],
        refused=[Refused("too_large")],
        unknown=[Unknown("timeout")],
        never=[Later("quota", ours=True)],
    )
    pipe.carriers = {"fcm": script}
    users = ("ann", "dead", "early", "refused", "unknown", "never")
    for user in users:
        await pipe.device(user)
    last = pipe.job("never", "m-never")
    told = Notification("m-never", Show.ALERT, now_ms() // 1000 + 3600, conversation="user:bob")
    tried = Send("never", "phone", "fcm", told, MAX_ATTEMPTS - 1, channel=last.channel, sent_at=last.sent_at)
    async with pipe.working():
        await pipe.put(*(pipe.job(user, f"m-{user}") for user in users if user != "never"))
        await pipe.put_raw(subject(tried), encode(tried), "tried")
        await eventually(pipe.is_empty, within=60)
    became = {user: (await pipe.became(f"m-{user}"))[user, "phone"] for user in users}
    assert became == {
        "ann": ("sent", None),
        "dead": ("failed", "unregistered"),
        "early": ("failed", "unregistered"),
        "refused": ("failed", "too_large"),
        "unknown": ("failed", "ambiguous: timeout"),
        "never": ("failed", "quota"),
    }
    assert script.calls.count("ann") == 3
    (delivery,) = await pipe.deliveries.of_user("m-ann", "ann")
    assert (delivery.attempts, delivery.provider_id) == (3, "id-1")
    assert not await pipe.devices.of_user("dead")
    assert await pipe.devices.of_user("early")  # it registered after the provider gave its address up
    (letter,) = await pipe.dead.page(0, 10)
    assert (letter.subject, letter.reason) == ("push.send.fcm.never", "quota")


async def test_a_slow_provider_stops_no_other(pipe: Stage) -> None:
    class Slow:
        async def send(self, device: Device, notification: Notification) -> Answer:
            await released.wait()
            return Sent()

    released = asyncio.Event()
    fast = pipe.carriers["fcm"]
    pipe.carriers = {"fcm": fast, "apns": Slow()}
    for number in range(200):
        await pipe.device(f"u{number}", "phone", "fcm")
        await pipe.device(f"u{number}", "tablet", "apns")
    async with pipe.working():
        await pipe.put(*(pipe.job(f"u{number}", f"m{number}") for number in range(200)))
        await eventually(lambda: len(_sent(pipe)) == 200)
        released.set()
        await eventually(pipe.is_empty)


async def test_what_cannot_be_read_is_a_dead_letter_and_comes_back(pipe: Stage) -> None:
    raws = (b"", b"{}", b"\xff\xfe", b"[" * 5000, b'{"job_id": 1}')
    for number, raw in enumerate(raws):
        await pipe.put_raw("push.jobs.ann", raw, f"bad-{number}")
    await pipe.put_raw("push.groups.team", b"{}", "bad-group")
    await pipe.put_raw("push.send.fcm.ann", b"{}", "bad-send")
    await pipe.device("ann")
    async with pipe.working():
        await pipe.put(pipe.job("ann", "m1"))
        await eventually(pipe.is_empty)
        letters = await pipe.dead.page(0, 100)
        assert len(letters) == 7
        assert {one.subject for one in letters} == {"push.jobs.ann", "push.groups.team", "push.send.fcm.ann"}
        assert all(one.reason.startswith("undecodable: ") and one.attempts == 1 and one.since for one in letters)
        assert [one.seq for one in await pipe.dead.page(letters[1].seq, 2)] == [one.seq for one in letters[2:4]]
        for one in letters[:6]:
            await pipe.dead.drop(one.seq)
        await pipe.dead.retry(letters[6].seq)
        again = await eventually(lambda: pipe.dead.page(letters[6].seq, 100))
        assert [one.subject for one in again] == [letters[6].subject]
    assert _sent(pipe) == [("m1", "ann", "phone")]
