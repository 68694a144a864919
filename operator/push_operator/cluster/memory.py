"""The in-memory twin of a cluster: units appear at once and are ready when `make_ready` says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from typing import Any

from push_operator.errors import Conflict, NotFound
from push_operator.fleet.values import GatewaySet, Mark
from push_operator.plan.events import Event
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.reach import Target
from push_operator.plan.secrets import Secrets
from push_operator.plan.status import Status
from push_operator.plan.workload import Plan

GATEWAY = "gateway"


class MemoryGateways:
    """The sets of one object's gateways. A smaller set loses first what is marked, as a ReplicaSet does."""

    def __init__(self) -> None:
        self.sets: dict[str, GatewaySet] = {}
        self.units: dict[str, Unit] = {}
        self._numbers = count(1)

    def ensure(self, name: str, revision: str, replicas: int) -> None:
        if revision not in self.sets:
            self.sets[revision] = GatewaySet(revision, 0, "0")
            self.resize(name, revision, replicas if len(self.sets) == 1 else 0)
        for one in tuple(self.sets.values()):
            if one.revision != revision and not one.replicas:
                del self.sets[one.revision]

    def resize(self, name: str, revision: str, size: int) -> None:
        self.sets[revision] = GatewaySet(revision, size, str(next(self._numbers)))
        mine = [unit for unit in self.units.values() if unit.revision == revision]
        for unit in self.going(revision, len(mine) - size):
            del self.units[unit.name]
        for _ in range(size - len(mine)):
            number = next(self._numbers)
            made = f"{name}-{revision}-{number}"
            self.units[made] = Unit(made, GATEWAY, revision, ready=False, uid=str(number), address=f"http://{made}")

    def going(self, revision: str, number: int) -> list[Unit]:
        mine = [unit for unit in self.units.values() if unit.revision == revision]
        return sorted(mine, key=lambda unit: (not unit.pending, unit.mark is None))[: max(0, number)]


class MemoryCluster:
    """Objects by key, with the plan last applied to each; the fields whose servers are `down`. For unit tests."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, Plan] = {}
        self.gateways: dict[str, MemoryGateways] = {}
        self.given: Secrets = {}
        self.down: frozenset[str] = frozenset()
        self.ready = False
        self.writes = 0
        self.events: list[Event] = []
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    def put(self, key: str, body: dict[str, Any]) -> None:
        self.objects[key] = body
        self._changed.put_nowait(key)

    def remove(self, key: str) -> None:
        del self.objects[key]
        self._changed.put_nowait(key)

    async def observe(self, key: str) -> Observed:
        gateways = self.gateways.get(key, MemoryGateways())
        units = tuple(
            Unit(f"{workload.name}-{number}", workload.component, workload.revision, self.ready)
            for workload in self.plans.get(key, Plan()).workloads
            if workload.component != GATEWAY
            for number in range(workload.replicas)
        )
        serving = tuple(replace(unit, ready=self.ready and unit.mark is None) for unit in gateways.units.values())
        return Observed(
            body=self.objects.get(key), units=units + serving, sets=tuple(gateways.sets.values()), bus="http://nats"
        )

    async def secrets(self, key: str, plan: Plan) -> Secrets:
        return self.given

    async def unreachable(self, key: str, targets: tuple[Target, ...]) -> str:
        return ", ".join(one.field for one in targets if one.field in self.down)

    async def apply(self, key: str, plan: Plan) -> None:
        self.plans[key] = plan
        gateway = plan.workload(GATEWAY)
        if gateway is None:
            self.gateways.pop(key, None)
        else:
            self.gateways.setdefault(key, MemoryGateways()).ensure(gateway.name, gateway.revision, gateway.replicas)

    async def admin_token(self, key: str) -> str:
        return "s" * 32

    async def mark(self, key: str, unit: Unit, mark: Mark | None) -> None:
        units = self.gateways[key].units
        if unit.name not in units:
            raise NotFound(f"there is no {unit.name}")
        if units[unit.name].uid != unit.uid:
            raise Conflict(f"{unit.name} is another one by now")
        units[unit.name] = replace(units[unit.name], mark=mark)

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        gateways = self.gateways[key]
        if gateways.sets.get(one.revision) != one:
            raise Conflict(f"the gateways of {one.revision} have changed")
        taken = {unit.name for unit in gateways.going(one.revision, one.replicas - size)}
        if not taken <= gone:
            raise Conflict(f"the gateways of {one.revision} would lose {min(taken - gone)}")
        gateways.resize(self.plans[key].workload(GATEWAY).name, one.revision, size)  # type: ignore[union-attr]  # a set has a plan

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        self.writes += 1
        self.events += events
        self.objects[key] = {**self.objects[key], "status": status}

    async def changes(self) -> AsyncIterator[str]:
        for key in tuple(self.objects):
            yield key
        while True:
            yield await self._changed.get()
