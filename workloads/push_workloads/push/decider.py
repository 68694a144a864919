"""From a job to one decision for each of its user's devices, recorded, and to sends in their providers' queues."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from push_workloads.common import push_jobs
from push_workloads.common.push_jobs import PushJob
from push_workloads.common.tasks import together
from push_workloads.push.claims import keep_ms
from push_workloads.push.deliveries import Delivery, State
from push_workloads.push.devices import Device, Platform
from push_workloads.push.facts import Near, Reading
from push_workloads.push.policy import (
    Cancel,
    Decision,
    Facts,
    Hold,
    Reason,
    Tell,
    decide,
    hold_off_until,
    matter_of,
    unfit,
    with_badge,
)
from push_workloads.push.ports import Ports
from push_workloads.push.queue import put_send, put_send_at
from push_workloads.push.rendering import Renderer, silenced
from push_workloads.push.sends import Send

HELD: Final = ":held"
_Decided = Mapping[Device, Decision]


class Decider:
    """`platforms`: those that somebody carries to."""

    def __init__(
        self, ports: Ports, renderer: Renderer, platforms: Collection[Platform], hold_off_seconds: float
    ) -> None:
        self._ports = ports
        self._renderer = renderer
        self._platforms = platforms
        self._hold_off_ms = round(hold_off_seconds * 1000)

    async def handle(self, job: PushJob) -> None:
        """Raises Unavailable when something that must be known is not; then the job comes again, and nothing that was
        done so far is done twice."""
        devices = await self._ports.devices.of_user(job.user_id)
        if not devices:
            self._ports.metrics.nobody(Reason.NO_DEVICE)
            return
        carried = [device for device in devices if device.platform in self._platforms]
        decided: dict[Device, Decision] = {device: Cancel(Reason.NO_SENDER) for device in devices}
        unfits = {one: reason for one in carried if (reason := unfit(job, one, carried)) is not None}
        decided |= {device: Cancel(reason) for device, reason in unfits.items()}
        fit = [device for device in carried if device not in unfits]
        reading = Reading()
        if fit:
            near = await self._ports.facts.near(job.user_id, job.channel, [device.device_id for device in fit])
            if await self._is_held_off(job, fit, online=near.online):
                return
            told, reading = await self._decided(job, fit, near)
            decided |= told
        await self._carry_out(job, decided, reading)

    async def _is_held_off(self, job: PushJob, devices: Sequence[Device], *, online: bool) -> bool:
        """The whole job waits, whatever its devices are: it is decided on once."""
        now_ms = self._ports.now_ms()
        until = hold_off_until(job, online=online, hold_off_ms=self._hold_off_ms, now_ms=now_ms)
        if until is None:
            return False
        waits = push_jobs.encode(replace(job, held=True))
        await self._record([_delivery(job, one, State.HELD, Reason.HOLD_OFF, now_ms) for one in devices])
        await self._ports.queue.put_at(until, push_jobs.subject(job.user_id), waits, job.job_id + HELD)
        return True

    async def _decided(self, job: PushJob, devices: Sequence[Device], near: Near) -> tuple[_Decided, Reading]:
        """What costs most is asked last, and only as long as somebody would be told."""
        preferences = (await self._ports.preferences.held(job.user_id)).preferences
        matter, now_ms, reading = matter_of(job), self._ports.now_ms(), Reading()

        def all_of(*, read: bool = False, over_rate: bool = False) -> dict[Device, Decision]:
            return {
                device: decide(matter, device.time_zone, preferences, Facts(reached, read, over_rate), now_ms)
                for device, reached in zip(devices, near.reached, strict=True)
            }

        decided = all_of()
        if job.conversation and any(isinstance(one, Tell | Hold) for one in decided.values()):
            reading = await self._ports.facts.reading(job.user_id, job.conversation, job.sent_at, job.message_id)
            decided = all_of(read=reading.read)
        if any(isinstance(one, Tell) for one in decided.values()):
            over = await self._ports.facts.over_rate(job.user_id, job.message_id, now_ms)
            decided = all_of(read=reading.read, over_rate=over)
        told = {
            device: with_badge(decision, reading.unread, matter, job.sent_at, now_ms)
            for device, decision in decided.items()
        }
        return told, reading

    async def _carry_out(self, job: PushJob, decided: _Decided, reading: Reading) -> None:
        """Recorded before it is queued: whoever sends it finds it recorded."""
        now_ms = self._ports.now_ms()
        cancelled = [
            _delivery(job, device, State.CANCELLED, decision.reason, now_ms)
            for device, decision in decided.items()
            if isinstance(decision, Cancel)
        ]
        stands = await self._ports.claims.cancel(cancelled, keep_ms(matter_of(job).expires_ms, now_ms))
        ended = [one for one, stand in zip(cancelled, stands, strict=True) if stand]
        waiting = [
            _delivery(job, device, State.HELD, decision.reason, now_ms)
            if isinstance(decision, Hold)
            else _delivery(job, device, State.QUEUED, None, now_ms)
            for device, decision in decided.items()
            if not isinstance(decision, Cancel)
        ]
        await self._record([*ended, *waiting])
        await together(self._queue(job, device, decision, reading, now_ms) for device, decision in decided.items())

    async def _queue(self, job: PushJob, device: Device, decision: Decision, reading: Reading, now_ms: int) -> None:
        if isinstance(decision, Cancel):
            return
        notification = self._renderer.render(job, device, reading.unread)
        if isinstance(decision, Tell) and decision.silently:
            notification = silenced(notification)
        send = Send(
            job.user_id, device.device_id, device.platform, notification, channel=job.channel, epoch=job.epoch,
            seq=job.seq, sent_at=job.sent_at, decided_at=now_ms,
        )  # fmt: skip
        if isinstance(decision, Hold):
            await put_send_at(self._ports.queue, decision.until_ms, send, now_ms)
        else:
            await put_send(self._ports.queue, send)

    async def _record(self, deliveries: Sequence[Delivery]) -> None:
        await self._ports.deliveries.record(deliveries)
        for one in deliveries:
            self._ports.metrics.became(one)


def _delivery(job: PushJob, device: Device, state: State, reason: Reason | None, now_ms: int) -> Delivery:
    return Delivery(job.message_id, job.user_id, device.device_id, device.platform, state, reason, now_ms)
