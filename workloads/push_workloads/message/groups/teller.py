"""Tells all gateways that something which they keep is void."""

from __future__ import annotations

from contextlib import suppress

from nats.errors import Error as NatsError

from push_workloads.common.bus import Bus


class Teller:
    """Lost while the bus is away: gateways drop what they keep when they lose it too, and after a minute anyway."""

    def __init__(self) -> None:
        self._bus: Bus | None = None

    def open(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, subject: str) -> None:
        if self._bus is not None and self._bus.client.is_connected:
            with suppress(NatsError):
                await self._bus.client.publish(subject, b"")
