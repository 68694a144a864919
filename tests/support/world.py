"""The simulated fleet behind the operator's own ports: the real reconcile runs over it, and can be killed at any write.

A kill comes before the write takes effect, or after it, as it does for a process that ends before it reads the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from push_operator.admin.memory import MemoryMonitor
from push_operator.admin.port import Order
from push_operator.autopilot import Autopilot
from push_operator.errors import ClusterError, Conflict
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


Strike = Callable[["World"], None]


def kill(_: World) -> None:
    raise Killed


@dataclass
class World:
    """Cluster and gateways in one. `early`, `late`: what befalls it before and after a write takes effect, by the
    write's number. `roll_seconds`: for how long the other services still have units of the earlier revision. `given`:
    the user's Secrets."""

    body: dict[str, Any]
    clients: int
    early: Mapping[int, Strike] = field(default_factory=dict)
    late: Mapping[int, Strike] = field(default_factory=dict)
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

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self.writes += 1
        number = self.writes
        self.early.get(number, _nothing)(self)
        yield
        self.late.get(number, _nothing)(self)

    def is_settled(self, replicas: int, revision: str = "") -> bool:
        """As many as wanted, of the revision given, or of the manifest's."""
        pods = list(self.fleet.pods.values())
        revision = revision or self.revision
        fit = [pod for pod in pods if pod.revision == revision and pod.mark is None and pod.rate is None]
        sizes = {one.revision: one.replicas for one in self.fleet.sets.values() if one.replicas}
        return len(pods) == len(fit) == replicas and sizes == {revision: replicas}

    @staticmethod
    def _services(plan: Plan) -> dict[str, str]:
        return {one.component: one.revision for one in plan.workloads if one.component != "gateway"}

    @property
    def revision(self) -> str:
        """The manifest's, as of the last plan."""
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
        pending = self.fleet.is_pending(pod)
        return Unit(pod.name, "gateway", pod.revision, ready, uid=pod.name, address=pod.name, mark=pod.mark,
                    pending=pending, restarts=pod.restarts)  # fmt: skip

    async def secrets(self, key: str, plan: Plan) -> Secrets:
        return self.given

    async def unreachable(self, key: str, targets: tuple[Target, ...]) -> str:
        return ""

    async def apply(self, key: str, plan: Plan) -> None:
        if self.others != plan:
            with self._writing():
                before, self.others = self.others, plan
                if before.workloads and self._services(before) != self._services(plan):
                    self.before, self.rolled_at = before, self.fleet.now + self.roll_seconds
        gateway = plan.workload("gateway")
        assert gateway is not None
        if gateway.revision not in self.fleet.sets:
            first = not self.fleet.sets
            with self._writing():
                self.fleet.resize(gateway.revision, gateway.replicas if first else 0)
        for one in tuple(self.fleet.sets.values()):
            if one.revision != gateway.revision and not one.replicas and not self.fleet.of(one.revision):
                with self._writing():
                    del self.fleet.sets[one.revision]

    async def admin_token(self, key: str) -> str:
        return "t" * 32

    async def mark(self, key: str, unit: Unit, mark: Mark | None) -> None:
        with self._writing():
            self.fleet.mark(unit.name, mark)

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        with self._writing():
            self.fleet.resize_as_seen(one, size, gone)

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        with self._writing():
            self.body = {**self.body, "status": status}
            self.events += events

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
        with self._writing():
            self._hearing(address).rate = rate

    async def stay(self, address: str, order: Order) -> None:
        with self._writing():
            self._hearing(address).rate = None

    async def shed(self, address: str, connections: int, rate: float, order: Order) -> None:
        with self._writing():
            self._hearing(address).shed(connections, rate)

    def _hearing(self, address: str) -> Pod:
        pod = self.fleet.pods.get(address)
        if pod is None or pod.silent or self.fleet.now < pod.ready_at:
            raise ClusterError(f"{address} does not answer")
        if pod.leaving:
            raise Conflict(f"{address} is stopping")
        return pod


def _nothing(_: World) -> None:
    pass
