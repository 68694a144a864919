"""What became of each message at each device: the record, the port to where it is kept, and its twin in memory."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from push_workloads.push.devices import Platform

KEEP_DAYS: Final = 30


class State(StrEnum):
    """QUEUED: it is to be sent. HELD: it waits, for `reason`. The others are ends: CANCELLED was not sent and needs not
    be, SENT was taken by the provider, FAILED was not, or nobody knows (`reason` `ambiguous…`)."""

    QUEUED = "queued"
    HELD = "held"
    CANCELLED = "cancelled"
    SENT = "sent"
    FAILED = "failed"


class Delivery(NamedTuple):
    """`at`: Unix milliseconds of this state. `attempts`: how often it was sent, or tried."""

    message_id: str
    user_id: str
    device_id: str
    platform: Platform
    state: State
    reason: str | None
    at: int
    attempts: int = 0
    provider_id: str | None = None

    @property
    def is_end(self) -> bool:
        return self.state in (State.CANCELLED, State.SENT, State.FAILED)


class DeliveryLog(Protocol):
    """Each method may raise Unavailable. Kept for KEEP_DAYS."""

    async def record(self, deliveries: Sequence[Delivery]) -> None:
        """The later `at` counts, whatever the order in which they come (of two of one moment, one of them); an end is
        never followed by what is none."""

    async def of_message(self, message_id: str, after: tuple[str, str] | None, limit: int) -> list[Delivery]:
        """Up to `limit`, in the order of (user_id, device_id), those behind `after`."""

    async def of_user(self, message_id: str, user_id: str) -> list[Delivery]:
        """In the order of device_id; a user has at most MAX_DEVICES at a time."""


def counts_over(new: Delivery, held: Delivery) -> bool:
    """Whether `new` takes the place of `held`, of the same message and device."""
    if held.is_end != new.is_end:
        return new.is_end
    return new.at >= held.at


class MemoryDeliveries:
    """For tests. Keeps for ever."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, str], Delivery] = {}

    async def record(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            held = self._held.get(one[:3])
            if held is None or counts_over(one, held):
                self._held[one[:3]] = one

    async def of_message(self, message_id: str, after: tuple[str, str] | None, limit: int) -> list[Delivery]:
        own = sorted(one for one in self._held.values() if one.message_id == message_id)
        return [one for one in own if after is None or (one.user_id, one.device_id) > after][:limit]

    async def of_user(self, message_id: str, user_id: str) -> list[Delivery]:
        return sorted(one for one in self._held.values() if one[:2] == (message_id, user_id))
