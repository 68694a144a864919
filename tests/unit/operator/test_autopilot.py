"""The autopilot's shell: what it asks and orders, in which order, and what a refusal comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.support.pilot import WALL, Hands
from tests.unit.operator.manifests import manifest

from push_operator.cluster.memory import MemoryCluster
from push_operator.errors import Conflict
from push_operator.fleet.values import Bus, Draining, GatewaySet, Mark, Stats, Why
from push_operator.plan.observed import Unit
from push_operator.plan.status import condition
from push_operator.reconcile import reconcile

KEY = "default/chat"


class Bench:
    """One object on the in-memory cluster, with its clock."""

    def __init__(self, **spec: Any) -> None:
        self.cluster, self.hands = MemoryCluster(), Hands()
        self.cluster.ready = True
        self.pilot = self.hands.pilot
        self.put(**spec)

    def put(self, **spec: Any) -> None:
        status = self.cluster.objects.get(KEY, {}).get("status")
        body = manifest(**spec)
        self.cluster.put(KEY, {**body, "status": status} if status else body)

    async def looks(self, number: int = 1, seconds: float = 2.0) -> None:
        for _ in range(number):
            self.hands.now += seconds
            await reconcile(KEY, self.cluster, self.pilot, lambda: datetime.fromtimestamp(WALL + self.hands.now, UTC))

    @property
    def units(self) -> dict[str, Unit]:
        return self.cluster.gateways[KEY].units

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects[KEY]["status"]
        return found

    def said(self, name: str, **stats: Any) -> None:
        address = self.units[name].address
        self.hands.gateways.says[address] = replace(Stats(boot=address), **stats)


async def test_a_smaller_number_is_reached_by_mark_drain_and_a_smaller_set() -> None:
    bench = Bench(gateway={"replicas": 2})
    await bench.looks(2)
    full = max(bench.units)
    for name in bench.units:
        bench.said(name, connections=100 if name == full else 10)
    bench.put(gateway={"replicas": 1})
    await bench.looks()
    (marked,) = [unit for unit in bench.units.values() if unit.mark is not None]
    assert marked.name != full  # the fewest to send elsewhere
    assert bench.hands.gateways.orders == [("drain", marked.address)]
    assert marked.mark == Mark(Why.SCALE_DOWN, WALL + bench.hands.now)
    await bench.looks(3)
    assert len(bench.units) == 2  # ten are still there
    bench.said(marked.name, connections=0, draining=Draining(10.0, 0))
    await bench.looks(2)
    assert list(bench.units) == [full]


async def test_one_that_takes_no_order_does_not_keep_the_others_from_theirs() -> None:
    bench = Bench(gateway={"replicas": 3})
    await bench.looks(2)
    first, second, third = sorted(bench.units)
    for name in (first, second):
        bench.units[name] = replace(bench.units[name], mark=Mark(Why.SCALE_DOWN, WALL))
    bench.put(gateway={"replicas": 1})
    bench.hands.gateways.deaf = {bench.units[first].address}
    await bench.looks()
    assert ("drain", bench.units[second].address) in bench.hands.gateways.orders
    assert bench.units[third].mark is None


async def test_one_that_is_stopping_is_not_taken_back() -> None:
    bench = Bench(gateway={"replicas": 2})
    await bench.looks(2)
    name = min(bench.units)
    bench.units[name] = replace(bench.units[name], mark=Mark(Why.SCALE_DOWN, WALL))
    bench.said(name, connections=5, draining=Draining(1.0, 5, stopping=True))
    await bench.looks()
    assert bench.units[name].mark is not None
    bench.said(name, connections=5, draining=Draining(1.0, 5))
    bench.put(gateway={"replicas": 3})
    await bench.looks(2)
    assert bench.units[name].mark is None
    assert bench.hands.gateways.orders[-1] == ("stay", bench.units[name].address)


async def test_what_has_changed_meanwhile_is_looked_at_again_and_no_failure() -> None:
    bench = Bench(gateway={"replicas": 2})
    await bench.looks(2)

    async def refuse(key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        raise Conflict("it has changed")

    resize, bench.cluster.resize = bench.cluster.resize, refuse  # type: ignore[method-assign]
    bench.put(gateway={"replicas": 4})
    await bench.looks()
    assert len(bench.units) == 2
    bench.cluster.resize = resize  # type: ignore[method-assign]
    await bench.looks(2)
    assert len(bench.units) == 4


async def test_a_service_follows_what_waits_for_it() -> None:
    store: dict[str, Any] = {"managed": {}}
    scaling = {"autoscaling": {"minReplicas": 1, "maxReplicas": 8, "targetLag": 100}}
    bench = Bench(cassandra=store, message=scaling)
    bench.hands.monitor.says = Bus(0.0, lags={"message": 350})
    await bench.looks(2, seconds=40)
    plan = bench.cluster.plans[KEY].workload("message")
    assert plan is not None
    assert plan.replicas == 4
    (told,) = [one for one in bench.status["components"] if one["name"] == "message"]
    assert (told["desired"], told["reason"]) == (4, "Lag")
    bench.pilot = bench.hands.another()  # and an operator that has just begun goes on from there
    bench.hands.monitor.says = None
    await bench.looks()
    assert bench.cluster.plans[KEY].workload("message").replicas == 4  # type: ignore[union-attr]  # it was there before


async def test_a_deaf_gateway_gets_no_new_sockets_and_is_replaced() -> None:
    bench = Bench(gateway={"replicas": 3})
    await bench.looks(2)
    sick = min(bench.units)
    for _ in range(6):
        bench.said(sick, connections=80, nats=False)
        await bench.looks(seconds=10)
    assert bench.units[sick].mark is not None
    assert bench.units[sick].mark.why is Why.QUARANTINE  # type: ignore[union-attr]  # said in the line above
    assert [one.reason for one in bench.cluster.events if one.warning] == ["Quarantined"]
    found = condition(bench.status, "GatewaysHealthy")
    assert found is not None
    assert (found["status"], found["reason"]) == ("False", "Deaf")
    assert len(bench.units) == 4  # another one stands in for it
    assert ("drain", bench.units[sick].address) not in bench.hands.gateways.orders
    for _ in range(7):
        bench.said(sick, connections=80, nats=False)
        await bench.looks(seconds=10)
    assert ("drain", bench.units[sick].address) in bench.hands.gateways.orders
