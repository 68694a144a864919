"""From a send to what its provider says of it, recorded: one for each platform that somebody carries to."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from push_workloads.common.errors import Unavailable
from push_workloads.common.tasks import unbroken
from push_workloads.push.carrier import Answer, Carrier, Dead, Later, Refused, Sent, Unknown
from push_workloads.push.claims import Ended, Key, Mine, Others, keep_ms
from push_workloads.push.deliveries import Delivery, State
from push_workloads.push.devices import Device
from push_workloads.push.faults import Faults
from push_workloads.push.notification import Notification
from push_workloads.push.policy import (
    Cancel,
    Decision,
    Facts,
    Hold,
    Reason,
    Tell,
    decide,
    decide_broadcast,
    matter_of_send,
    with_badge,
)
from push_workloads.push.ports import Ports
from push_workloads.push.preferences import Preferences
from push_workloads.push.queue import put_send_at
from push_workloads.push.rendering import silenced
from push_workloads.push.retrying import counted, next_try
from push_workloads.push.sends import Send

# What was decided so shortly ago has not waited: it is not looked at again. Where clocks differ by more, all is.
FRESH_MS: Final = 1000
SENDING_MS: Final = 45_000  # longer than any carrier takes: who claimed it before that is gone
STOP_SECONDS: Final = 8.0
AMBIGUOUS: Final = "ambiguous: "
FAULT: Final = "fault"
INTERRUPTED: Final = AMBIGUOUS + "a worker ended while it was sent"
_log = logging.getLogger(__name__)


class Sender:
    """`draw`: a random number from 0 to 1. `sending_ms`: a claim that is older was left behind."""

    def __init__(self, ports: Ports, carrier: Carrier, draw: Callable[[], float], sending_ms: int = SENDING_MS) -> None:
        self._ports = ports
        self._carrier = carrier
        self._draw = draw
        self._faults = Faults(ports.metrics)
        self._sending_ms = sending_ms

    async def handle(self, send: Send) -> str | None:
        """Why it is dead, None when it is done with. Raises Unavailable before it is sent, or when it was and that
        cannot be recorded: it comes again, and is not sent again."""
        device = await self._device(send)
        if device is None:
            await self._cancel(send, Reason.NO_DEVICE)
            return None
        # Only what was asked for by `POST /push` or a broadcast can be: it stands for no message of a channel.
        if not send.channel and await self._ports.cancels.is_cancelled(send.notification.message_id):
            await self._cancel(send, Reason.CANCELLED)
            return None
        checked = await self._rechecked(send, device)
        if checked is None:
            return None
        # A stop of the process lets what has begun come to its end: else nobody would know whether it was sent.
        return await unbroken(self._claimed(checked, device), STOP_SECONDS)

    async def _device(self, send: Send) -> Device | None:
        device = await self._ports.devices.one(send.user_id, send.device_id)
        return device if device is not None and device.platform == send.platform else None

    async def _rechecked(self, send: Send, device: Device) -> Send | None:
        """The send as it goes out now; None when it does not."""
        now_ms = self._ports.now_ms()
        if now_ms > matter_of_send(send).expires_ms:
            await self._cancel(send, Reason.EXPIRED)
            return None
        if not send.rechecked or 0 <= now_ms - send.decided_at < FRESH_MS:
            return send
        preferences = (await self._ports.preferences.held(send.user_id)).preferences
        if send.turn_ms is not None:
            decision = decide_broadcast(send, device.time_zone, preferences, now_ms)
        else:
            send, decision = await self._decided(send, device, preferences, now_ms)
        match decision:
            case Tell(silently):
                return replace(send, notification=silenced(send.notification)) if silently else send
            case Cancel(reason):
                await self._cancel(send, reason)
            case Hold(until_ms, reason):
                await self._record(_delivery(send, State.HELD, reason, now_ms))
                await put_send_at(self._ports.queue, until_ms, send, now_ms)
        return None

    async def _decided(
        self, send: Send, device: Device, preferences: Preferences, now_ms: int
    ) -> tuple[Send, Decision]:
        """The send with what is unread now, and what becomes of it. What costs most is asked last."""
        facts, matter, conversation = self._ports.facts, matter_of_send(send), send.notification.conversation
        near = await facts.near(send.user_id, send.channel, [send.device_id])
        known = Facts(near.reached[0])
        if conversation:
            reading = await facts.reading(send.user_id, conversation, send.sent_at, send.notification.message_id)
            known = known._replace(read=reading.read)
            if reading.unread is not None:  # else what was counted before is nearer to it than nothing
                send = replace(send, notification=replace(send.notification, badge=reading.unread))
        decision = decide(matter, device.time_zone, preferences, known, now_ms)
        if isinstance(decision, Tell):
            over = await facts.over_rate(send.user_id, send.notification.message_id, now_ms)
            decision = decide(matter, device.time_zone, preferences, known._replace(over_rate=over), now_ms)
        return send, with_badge(decision, send.notification.badge, matter, send.sent_at, now_ms)

    async def _claimed(self, send: Send, device: Device) -> str | None:
        taken = await self._ports.claims.take(_key(send), self._keep_ms(send), self._ports.now_ms())
        match taken:
            case Mine():
                return await self._act(send, device, await self._carried(device, send.notification))
            case Ended(delivery):
                # Killed between its end and its record, or put into the queue twice.
                await self._ports.deliveries.record([delivery])
            case Others(since):
                await self._interrupted(send, since)
        return None

    async def _carried(self, device: Device, told: Notification) -> Answer:
        """A carrier that fails, which it must not, may have sent it: an end like any other, or its claim would keep
        others waiting for somebody who is not at it any more."""
        try:
            return await self._carrier.send(device, told)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one send's
            where = "".join(traceback.format_tb(error.__traceback__))  # what it says may have an address in it
            _log.error("a carrier failed: %s\n%s", type(error).__name__, where, extra={"platform": device.platform})
            return Unknown(FAULT)

    async def _interrupted(self, send: Send, since: int) -> None:
        """Somebody began to send it, and is gone. Raises Unavailable while that one may be at it still."""
        if self._ports.now_ms() - since < self._sending_ms:
            raise Unavailable("somebody else is sending it")
        known = await self._ports.deliveries.of_user(send.notification.message_id, send.user_id)
        if not any(one.device_id == send.device_id and one.is_end for one in known):
            await self._record(_delivery(send, State.FAILED, INTERRUPTED, self._ports.now_ms()))

    async def _act(self, send: Send, device: Device, answer: Answer) -> str | None:
        now_ms = self._ports.now_ms()
        self._faults.saw(send.platform, answer, now_ms)
        if send.sent_at:
            self._ports.metrics.sent(send.platform, (now_ms - send.sent_at) / 1000)
        if isinstance(answer, Later):
            return await self._later(send, answer, now_ms)
        await self._end(send, _end_of(send, answer, now_ms))
        if isinstance(answer, Dead):
            await self._forget(device, answer)
        return None

    async def _later(self, send: Send, answer: Later, now_ms: int) -> str | None:
        expires_ms, tried = send.notification.expires_at * 1000, counted(send, answer)
        at_ms = next_try(answer, send.attempt, now_ms, expires_ms, self._draw(), send.kept_back)
        await self._ports.claims.release(_key(send))
        if at_ms is None:
            # No end of the claim: it may be put back into the queue by hand.
            await self._record(_delivery(tried, State.FAILED, answer.reason, now_ms))
            return answer.reason
        await put_send_at(self._ports.queue, at_ms, tried, now_ms)
        await self._record(_delivery(tried, State.HELD, answer.reason, now_ms))
        return None

    async def _forget(self, device: Device, answer: Dead) -> None:
        """Unless it has registered anew meanwhile: with another address, or after the provider gave this one up."""
        held = await self._ports.devices.one(device.user_id, device.device_id)
        if held is None or held.platform != device.platform:
            return
        if answer.since is not None and held.updated_at > answer.since:
            return
        if await self._ports.devices.remove_if(device.user_id, device.device_id, device.address):
            _log.info("a device is forgotten", extra={"platform": device.platform, "reason": answer.reason})

    async def _cancel(self, send: Send, reason: Reason) -> None:
        cancelled = _delivery(send, State.CANCELLED, reason, self._ports.now_ms())
        if all(await self._ports.claims.cancel([cancelled], self._keep_ms(send))):
            await self._record(cancelled)

    async def _end(self, send: Send, delivery: Delivery) -> None:
        """First the claim, which is looked at before anything is sent."""
        try:
            await self._ports.claims.end(delivery, self._keep_ms(send))
        except Unavailable as error:
            # Without its end it keeps others from sending as well; only a record that is lost now stays lost.
            _log.warning("a claim keeps without its end: %s", error.message)
        await self._record(delivery)

    async def _record(self, delivery: Delivery) -> None:
        await self._ports.deliveries.record([delivery])
        self._ports.metrics.became(delivery)

    def _keep_ms(self, send: Send) -> int:
        return keep_ms(send.notification.expires_at * 1000, self._ports.now_ms())


def _key(send: Send) -> Key:
    return Key(send.notification.message_id, send.user_id, send.device_id)


def _delivery(send: Send, state: State, reason: str | None, now_ms: int, *, tried: int = 0) -> Delivery:
    return Delivery(*_key(send), send.platform, state, reason, now_ms, send.attempt + tried)


def _end_of(send: Send, answer: Answer, now_ms: int) -> Delivery:
    match answer:
        case Sent(provider_id):
            return _delivery(send, State.SENT, None, now_ms, tried=1)._replace(provider_id=provider_id)
        case Dead(reason) | Refused(reason):
            return _delivery(send, State.FAILED, reason, now_ms, tried=1)
        case _:
            return _delivery(send, State.FAILED, AMBIGUOUS + answer.reason, now_ms, tried=1)
