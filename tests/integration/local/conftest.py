"""A local cluster whose programs are one small fake."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.platform import free_offset
from tests.support.waiting import eventually

from push_operator.cluster.local.adapter import LocalCluster, Settings
from push_operator.cluster.local.programs import Program, Service
from push_operator.cluster.local.state import StateFolder
from push_operator.model import SERVICES
from push_operator.plan.observed import Unit
from push_operator.plan.workload import EnvValue, Plan, Port, Workload

KEY = "default/test"
FAKE = Path(__file__).with_name("fake_service.py")
ORIGINS = ("http://localhost:1",)


def fake_programs() -> dict[str, Program]:
    return {name: Service((sys.executable, "-I", str(FAKE))) for name in SERVICES}


def workload(
    component: str = "gateway", revision: str = "aaaaaaaa", replicas: int = 1, storage: str | None = None,
    stop_seconds: int = 5, more_ports: tuple[Port, ...] = (), **env: EnvValue,
) -> Workload:  # fmt: skip
    ports = (Port("public", 8080, public=True), *more_ports, Port("admin", 9090))
    return Workload(component, f"test-{component}", revision, replicas, env, ports, stop_seconds, storage)


class Bench:
    """The cluster under test, driven as the control loop drives it."""

    def __init__(self, cluster: LocalCluster, state: StateFolder, port: int) -> None:
        self.cluster, self.state, self.port = cluster, state, port

    def units(self, revision: str | None = None) -> list[Unit]:
        return [unit for unit in self.cluster.units() if revision in (None, unit.revision)]

    def ready(self, revision: str | None = None) -> int:
        return sum(unit.ready for unit in self.units(revision))

    async def resize(self, size: int, revision: str = "aaaaaaaa") -> None:
        """As the loop does it once it has emptied those that go; whoever it is may go."""
        one = next(found for found in self.cluster.sets() if found.revision == revision)
        gone = frozenset(unit.name for unit in self.units(revision))
        await self.cluster.resize(KEY, one, size, gone)

    async def until(self, plan: Plan, holds: Callable[[], object], seconds: float = 15.0) -> None:
        """Applies the plan again and again, as the loop does on each change, until something holds."""

        async def step() -> None:
            await self.cluster.apply(KEY, plan)

        await step()
        deadline = seconds
        while deadline > 0:
            try:
                await eventually(holds, within=0.1)
                return
            except AssertionError:
                deadline -= 0.1
                await step()
        raise AssertionError(f"not within {seconds} s: {self.units()}")

    def ask(self, path: str = "/", port_after: int = 0) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + port_after}{path}", timeout=5) as answer:
            got: dict[str, Any] = json.loads(answer.read())
        return got


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


@pytest.fixture
async def bench(state: StateFolder) -> AsyncIterator[Bench]:
    offset = free_offset()
    with state.locked():
        async with LocalCluster.running(state, Settings("127.0.0.1", offset, ORIGINS), fake_programs()) as cluster:
            yield Bench(cluster, state, 8080 + offset)
