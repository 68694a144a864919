"""The simulated fleet behind the operator's own ports: the real reconcile runs over it, and can be killed at any write.

A kill comes after the write has taken effect, as it does for a process that ends before it reads the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from push_operator.admin.memory import MemoryMonitor
from push_operator.admin.port import Order
from push_operator.autopilot import Autopilot
from push_operator.errors import Conflict, NotFound
from push_operator.fleet.values import GatewaySet, Mark, Sample
from push_operator.plan.events import Event
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.reach import Target
from push_operator.plan.secrets import Secrets
from push_operator.plan.status import Status
from push_operator.plan.workload import Plan
from push_operator.reconcile import reconcile
from push_operator.scaling import GatewayScaling
from tests.support.fleet import EPOCH, Pod, Simulation, steady

KEY = "default/chat"


class Killed(BaseException):
    """The operator's process is gone."""


@dataclass
class World:
    """Cluster and gateways in one. `kill_at`: the number of the write after which the operator is killed, once.
    `roll_seconds`: for how long the other services still have units of the earlier revision. `given`: the user's
    Secrets."""

    body: dict[str, Any]
    clients: int
    kill_at: int = 0
    writes: int = 0
    kills: int = 0
    due: float = 0.0
    others: Plan = field(default_factory=Plan)
    before: Plan = field(default_factory=Plan)
    rolled_at: float = 0.0
    roll_seconds: float = 0.0
    given: Secrets = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    fleet: Simulation = field(init=False)
    pilot: Autopilot = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = Simulation(GatewayScaling(), steady(self.clients))
        self.fleet.look_at = float("inf")  # the reconcile looks instead
        self.pilot = self._begin()

    async def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.fleet.step()
            if self.fleet.now >= self.due:
                await self._reconcile()

    async def _reconcile(self) -> None:
        try:
            pause = await reconcile(KEY, self, self.pilot, lambda: datetime.fromtimestamp(EPOCH + self.fleet.now, UTC))
        except Killed:
            self.kills += 1
            self.pilot, pause = self._begin(), 1.0
        self.due = self.fleet.now + min(pause, 2.0)

    def _begin(self) -> Autopilot:
        return Autopilot(self, MemoryMonitor(), lambda: self.fleet.now, lambda: EPOCH + self.fleet.now)

    def _wrote(self) -> None:
        self.writes += 1
        if self.writes == self.kill_at:
            raise Killed

    def is_settled(self, replicas: int) -> bool:
        pods = list(self.fleet.pods.values())
        revision = self._revision()
        fit = [pod for pod in pods if pod.revision == revision and pod.mark is None and pod.rate is None]
        return len(pods) == len(fit) == replicas and list(self.fleet.sets) == [revision]

    @staticmethod
    def _services(plan: Plan) -> dict[str, str]:
        return {one.component: one.revision for one in plan.workloads if one.component != "gateway"}

    def _revision(self) -> str:
        gateway = self.others.workload("gateway")
        return gateway.revision if gateway is not None else ""

    # The cluster ---------------------------------------------------------------------------------------------------

    async def observe(self, key: str) -> Observed:
        others = tuple(
            Unit(f"{one.name}-{number}", one.component, one.revision, ready=True)
            for one in (self.before if self.fleet.now < self.rolled_at else self.others).workloads
            if one.component != "gateway"
            for number in range(one.replicas)
        )
        pods = self.fleet.pods.values()
        here = tuple(self._unit(pod) for pod in pods if not pod.leaving)
        leaving = tuple(self._unit(pod) for pod in pods if pod.leaving)
        return Observed(self.body, others + here, leaving=leaving, sets=tuple(self.fleet.sets.values()))

    def _unit(self, pod: Pod) -> Unit:
        ready = self.fleet.now >= pod.ready_at and pod.rate is None
        return Unit(pod.name, "gateway", pod.revision, ready, uid=pod.name, address=pod.name, mark=pod.mark,
                    pending=self.fleet.now < pod.ready_at, restarts=pod.restarts)  # fmt: skip

    async def secrets(self, key: str, plan: Plan) -> Secrets:
        return self.given

    async def unreachable(self, key: str, targets: tuple[Target, ...]) -> str:
        return ""

    async def apply(self, key: str, plan: Plan) -> None:
        before, self.others = self.others, plan
        if before.workloads and self._services(before) != self._services(plan):
            self.before, self.rolled_at = before, self.fleet.now + self.roll_seconds
        gateway = plan.workload("gateway")
        assert gateway is not None
        if gateway.revision not in self.fleet.sets:
            first = not self.fleet.sets
            self.fleet.resize(gateway.revision, gateway.replicas if first else 0)
            self._wrote()
        for one in tuple(self.fleet.sets.values()):
            if one.revision != gateway.revision and not one.replicas and not self.fleet.of(one.revision):
                del self.fleet.sets[one.revision]
                self._wrote()
        if before != plan:
            self._wrote()

    async def admin_token(self, key: str) -> str:
        return "t" * 32

    async def mark(self, key: str, unit: Unit, mark: Mark | None) -> None:
        if unit.name not in self.fleet.pods:
            raise NotFound(unit.name)
        self.fleet.pods[unit.name].mark = mark
        self._wrote()

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        if self.fleet.sets.get(one.revision) != one:
            raise Conflict(one.revision)
        if size < one.replicas and not self.fleet.would_take(one.revision, size) <= gone:
            raise Conflict(f"{one.revision} would lose another")
        self.fleet.resize(one.revision, size)
        self._wrote()

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        self.body = {**self.body, "status": status}
        self.events += events
        self._wrote()

    async def changes(self) -> AsyncIterator[str]:
        yield KEY

    # The gateways --------------------------------------------------------------------------------------------------

    async def stats(self, addresses: Mapping[str, str]) -> Mapping[str, Sample]:
        pods = {name: self.fleet.pods.get(address) for name, address in addresses.items()}
        return {
            name: Sample(self.fleet.now, pod.stats(self.fleet.now))
            for name, pod in pods.items()
            if pod is not None and self.fleet.now >= pod.ready_at and not pod.silent
        }

    async def drain(self, address: str, rate: float, order: Order) -> None:
        self.fleet.pods[address].rate = rate
        self._wrote()

    async def stay(self, address: str, order: Order) -> None:
        if self.fleet.pods[address].leaving:
            raise Conflict(address)
        self.fleet.pods[address].rate = None
        self._wrote()

    async def shed(self, address: str, connections: int, rate: float, order: Order) -> None:
        self._wrote()
