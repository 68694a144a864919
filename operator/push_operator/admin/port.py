"""What the operator asks of gateways and of the broker, wherever they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from push_operator.fleet.values import Bus, Sample


@dataclass(frozen=True, slots=True)
class Order:
    """What makes an order good: the platform's `token`, and the `epoch` of the leader who gives it. A gateway that has
    obeyed a later leader refuses."""

    token: str = field(repr=False)
    epoch: int


class Gateways(Protocol):
    """`address` is the root of a gateway's admin port, such as http://10.0.0.7:9090. Orders are idempotent; each raises
    ClusterError when the gateway does not take it, and Conflict when it has obeyed a later leader or is stopping."""

    async def stats(self, addresses: Mapping[str, str]) -> Mapping[str, Sample]:
        """By the gateway's name, all at once and for a bounded time; who does not answer, or says what cannot be, is
        left out. Never raises."""

    async def drain(self, address: str, rate: float, order: Order) -> None:
        """Take no new sockets, and send those that are there elsewhere, `rate` a second; again to change the rate."""

    async def stay(self, address: str, order: Order) -> None:
        """Takes a drain back."""

    async def shed(self, address: str, connections: int, rate: float, order: Order) -> None:
        """Send some of the clients elsewhere and go on serving."""


class Monitor(Protocol):
    async def bus(self, url: str) -> Bus | None:
        """What the broker says of itself at its monitoring address; None when that is not known now. Never raises."""
