"""The in-memory twin of gateways and broker: for unit tests and simulations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from push_operator.admin.port import Order
from push_operator.errors import ClusterError, Conflict
from push_operator.fleet.values import Bus, Draining, Sample, Stats


class MemoryGateways:
    """Gateways by address, each with what it says next; those in `deaf` do not answer. `clock` gives the samples'
    times."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.says: dict[str, Stats] = {}
        self.deaf: set[str] = set()
        self.orders: list[tuple[str, str]] = []

    async def stats(self, addresses: Mapping[str, str]) -> Mapping[str, Sample]:
        return {
            name: Sample(self._clock(), self.says.setdefault(address, Stats(boot=address)))
            for name, address in addresses.items()
            if address not in self.deaf
        }

    async def drain(self, address: str, rate: float, order: Order) -> None:
        said = self._obeying(address, order)
        self.says[address] = replace(said, draining=Draining(rate, said.connections), epoch=order.epoch)
        self.orders.append(("drain", address))

    async def stay(self, address: str, order: Order) -> None:
        said = self._obeying(address, order)
        if said.draining is not None and said.draining.stopping:
            raise Conflict(f"{address} is stopping")
        self.says[address] = replace(said, draining=None, epoch=order.epoch)
        self.orders.append(("stay", address))

    async def shed(self, address: str, connections: int, rate: float, order: Order) -> None:
        self.says[address] = replace(self._obeying(address, order), epoch=order.epoch)
        self.orders.append(("shed", address))

    def _obeying(self, address: str, order: Order) -> Stats:
        if address in self.deaf:
            raise ClusterError(f"{address} does not answer")
        said = self.says.setdefault(address, Stats(boot=address))
        if order.epoch < said.epoch:
            raise Conflict(f"{address} has obeyed a later leader")
        return said


class MemoryMonitor:
    """Says the same until it is told otherwise."""

    def __init__(self) -> None:
        self.says: Bus | None = None

    async def bus(self, url: str) -> Bus | None:
        return self.says
