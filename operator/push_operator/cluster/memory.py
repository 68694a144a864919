"""The in-memory twin of a cluster: units appear at once and are ready when `make_ready` says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from push_operator.plan.events import Event
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.reach import Target
from push_operator.plan.secrets import Secrets
from push_operator.plan.status import Status
from push_operator.plan.workload import Plan


class MemoryCluster:
    """Objects by key, with the plan last applied to each; the fields whose servers are `down`. For unit tests."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.plans: dict[str, Plan] = {}
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
        units = tuple(
            Unit(f"{workload.name}-{number}", workload.component, workload.revision, self.ready)
            for workload in self.plans.get(key, Plan()).workloads
            for number in range(workload.replicas)
        )
        return Observed(body=self.objects.get(key), units=units)

    async def secrets(self, key: str, plan: Plan) -> Secrets:
        return self.given

    async def unreachable(self, key: str, targets: tuple[Target, ...]) -> str:
        return ", ".join(one.field for one in targets if one.field in self.down)

    async def apply(self, key: str, plan: Plan) -> None:
        self.plans[key] = plan

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        self.writes += 1
        self.events += events
        self.objects[key] = {**self.objects[key], "status": status}

    async def changes(self) -> AsyncIterator[str]:
        for key in tuple(self.objects):
            yield key
        while True:
            yield await self._changed.get()
