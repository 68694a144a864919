"""Who carries notifications to devices: the port for FCM, APNs and Web Push, what they answer, and a twin for tests.

The answer decides what becomes of the send (`sends.py`), of the device and of the job. `reason` is the provider's own
word, fit for a metric's label and for the user's eyes; never a token, an address or a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from push_workloads.push.devices import Device
from push_workloads.push.notification import Notification


class Sent(Struct, frozen=True):
    """The provider has taken it. `provider_id`: what it calls it."""

    provider_id: str | None = None


class Dead(Struct, frozen=True):
    """The address is nobody's any more: the device goes, by the rules for that provider. `since`: Unix milliseconds
    from when on, if the provider says so: a device that registered later stays."""

    reason: str
    since: int | None = None


class Refused(Struct, frozen=True):
    """This notification never, as it is; the device stays. Nothing was shown."""

    reason: str


class Later(Struct, frozen=True):
    """Not now, and nothing was shown: to be tried again, not before `after_s` if the provider says so. `ours`: it is a
    fault of ours (credentials, quota, configuration) and no fault of this notification. `asked`: the provider was; what
    we kept back ourselves was no attempt."""

    reason: str
    after_s: float | None = None
    ours: bool = False
    asked: bool = True


class Unknown(Struct, frozen=True):
    """It may have been taken: the connection ended, or the answer did not come. Never tried again."""

    reason: str


Answer = Sent | Dead | Refused | Later | Unknown


class Carrier(Protocol):
    """One provider. `send` never raises, but for a cancellation; it answers within a bounded time. It keeps to the
    provider's own limits: what is over them waits a little, or is answered with Later."""

    async def send(self, device: Device, notification: Notification) -> Answer: ...


class MemoryCarrier:
    """For tests: answers what `answers` says, Sent without it, and keeps what was sent."""

    def __init__(self, answers: Callable[[Device, Notification], Answer] | None = None) -> None:
        self._answers = answers
        self.sent: list[tuple[Device, Notification]] = []

    async def send(self, device: Device, notification: Notification) -> Answer:
        answer = self._answers(device, notification) if self._answers is not None else Sent()
        if isinstance(answer, Sent):
            self.sent.append((device, notification))
        return answer
