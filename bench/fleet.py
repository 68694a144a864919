"""What the operator costs: 200 PushClusters with 5,000 pods on the in-memory cluster, under the real control loop.

    python -m bench.fleet [--objects N] [--gateways N] [--rest SECONDS] [--changes N]

Every object is autoscaled, which is the most work: the operator looks at each every ten seconds. What a Kubernetes adds
(watches, requests, JSON) is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import time
from dataclasses import dataclass
from statistics import quantiles
from typing import Any, Final

import psutil

from push_operator.admin.memory import MemoryGateways, MemoryMonitor
from push_operator.autopilot import Autopilot
from push_operator.cluster.memory import MemoryCluster
from push_operator.fleet.values import GatewaySet
from push_operator.loop import control
from push_operator.plan.status import condition

MIB: Final = 1024 * 1024
SETTLE_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 0.2  # between two changes


class Timed(MemoryCluster):
    """It tells when a set of gateways was resized."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = True
        self.resized: dict[str, asyncio.Event] = {}

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        await super().resize(key, one, size, gone)
        self.resized.setdefault(key, asyncio.Event()).set()

    def pods(self) -> int:
        others = sum(
            one.replicas for plan in self.plans.values() for one in plan.workloads if one.component != "gateway"
        )
        return others + sum(len(one.units) for one in self.gateways.values())

    def is_settled(self) -> bool:
        found = [condition(body.get("status") or {}, "Ready") for body in self.objects.values()]
        return all(one is not None and one["status"] == "True" for one in found)


@dataclass(frozen=True)
class Cost:
    """`rest`: seconds of CPU a minute; `first` is until every object was Ready. MiB; milliseconds."""

    pods: int
    first: float
    rest: float
    memory: float
    growth: float
    effects: tuple[float, ...]


def body(number: int, gateways: int) -> dict[str, Any]:
    bounds = {"minReplicas": gateways, "maxReplicas": 2 * gateways}
    return {
        "apiVersion": "pushcluster.io/v1alpha1",
        "kind": "PushCluster",
        "metadata": {"name": f"c{number}", "namespace": "bench", "generation": gateways},
        "spec": {"size": "small", "gateway": {"scaling": {"mode": "Operator"}, "autoscaling": bounds}},
    }


async def measure(objects: int, gateways: int, rest: float, changes: int) -> Cost:
    process, cluster = psutil.Process(), Timed()
    autopilot = Autopilot(MemoryGateways(time.monotonic), MemoryMonitor(), time.monotonic, time.time)
    before = process.memory_info().rss
    for number in range(objects):
        cluster.put(f"bench/c{number}", body(number, gateways))
    loop = asyncio.create_task(control(cluster, autopilot))
    try:
        begun = time.monotonic()
        async with asyncio.timeout(SETTLE_SECONDS):
            while not cluster.is_settled():  # noqa: ASYNC110 - of 200 objects, each by its own status
                await asyncio.sleep(0.1)
        first, settled = time.monotonic() - begun, process.memory_info().rss
        used = time.process_time()
        await asyncio.sleep(rest)
        used = time.process_time() - used
        rested = process.memory_info().rss
        effects = [await _effect(cluster, number % objects, gateways + 1) for number in range(changes)]
    finally:
        loop.cancel()
    return Cost(
        cluster.pods(), first, used * 60 / rest, (settled - before) / MIB, (rested - settled) / MIB, tuple(effects)
    )


async def _effect(cluster: Timed, number: int, gateways: int) -> float:
    """Milliseconds from a change of one object to a set of another size."""
    key = f"bench/c{number}"
    await asyncio.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no pattern, no secret
    resized = cluster.resized[key] = asyncio.Event()
    begun = time.monotonic()
    cluster.put(key, {**body(number, gateways), "status": cluster.objects[key]["status"]})
    async with asyncio.timeout(SETTLE_SECONDS):
        await resized.wait()
    return 1000 * (time.monotonic() - begun)


def table(cost: Cost, objects: int) -> str:
    cuts = quantiles(cost.effects, n=20, method="inclusive")
    rows = [
        ("PushClusters, pods", f"{objects}, {cost.pods:,}"),
        ("until all are Ready", f"{cost.first:.1f} s"),
        ("CPU at rest", f"{cost.rest:.1f} s a minute"),
        ("memory for them", f"{cost.memory:.0f} MiB"),
        ("more of it while at rest", f"{cost.growth:.1f} MiB"),
        (f"a change to its effect, p50 of {len(cost.effects)}", f"{cuts[9]:.0f} ms"),
        ("the same, p95", f"{cuts[18]:.0f} ms"),
    ]
    return "\n".join(f"{name:<40}{value:>16}" for name, value in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--gateways", type=int, default=19, help="of each object (default: %(default)s)")
    parser.add_argument("--rest", type=float, default=40.0, help="seconds (default: %(default)s)")
    parser.add_argument("--changes", type=int, default=50)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    cost = asyncio.run(measure(options.objects, options.gateways, options.rest, options.changes))
    print(table(cost, options.objects))
    return 0


if __name__ == "__main__":
    sys.exit(main())
