"""An autopilot over gateways and a broker that are values, with clocks that are turned by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from push_operator.admin.memory import MemoryGateways, MemoryMonitor
from push_operator.autopilot import Autopilot

WALL = 1_900_000_000.0


@dataclass
class Hands:
    """`now` is the clock; the wall's is `WALL` later."""

    now: float = 0.0
    epoch: int = 1
    gateways: MemoryGateways = field(init=False)
    monitor: MemoryMonitor = field(default_factory=MemoryMonitor)
    pilot: Autopilot = field(init=False)

    def __post_init__(self) -> None:
        self.gateways = MemoryGateways(self.clock)
        self.pilot = self.another()

    def clock(self) -> float:
        return self.now

    def another(self) -> Autopilot:
        """One that remembers nothing, over the same gateways: an operator that has just begun."""
        return Autopilot(self.gateways, self.monitor, self.clock, lambda: WALL + self.now, lambda: self.epoch)
