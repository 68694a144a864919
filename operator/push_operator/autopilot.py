"""Steers the gateways of every object: asks them how they fare, decides by `fleet`, and carries the steps out.

What it remembers is lost with the process, and may be: sizes stand in the sets, marks on the units, drains in the
gateways themselves, and the decision in the status. Each step is idempotent, so an operator that ends at any line
leaves a state from which the next one goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from push_operator.admin.port import Gateways, Monitor, Order
from push_operator.cluster.port import Cluster
from push_operator.errors import ClusterError, Conflict, NotFound
from push_operator.fleet.lag import LagDecision, LagMemory, replicas_for
from push_operator.fleet.memory import Memory, Moment
from push_operator.fleet.tick import View, is_moving, tick
from push_operator.fleet.values import Bus, Fleet, Gateway, Mark, Sample
from push_operator.model import PushCluster
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.scaling import desired_of, services_of, told_of
from push_operator.plan.workload import Plan
from push_operator.scaling import LagScaling, Mode

GATEWAY: Final = "gateway"
ASK_SECONDS: Final = 1.0  # between two questions to the same gateways, however often something changes
MOVING_SECONDS, TICK_SECONDS, REST_SECONDS = 2.0, 10.0, 30.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was heard last of one object's gateways and of its broker."""

    at: float
    samples: Mapping[str, Sample]
    bus: Bus | None


class Autopilot:
    """`clock` only grows; `wall` is Unix seconds; `epoch` is the number of changes of leader until now."""

    def __init__(
        self, gateways: Gateways, monitor: Monitor, clock: Callable[[], float], wall: Callable[[], float],
        epoch: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self._gateways, self._monitor, self._clock, self._wall, self._epoch = gateways, monitor, clock, wall, epoch
        self._memories: dict[str, Memory] = {}
        self._heard: dict[str, _Heard] = {}
        self._lags: dict[tuple[str, str], LagMemory] = {}

    def forget(self, key: str) -> None:
        self._memories.pop(key, None)
        self._heard.pop(key, None)
        for one in [one for one in self._lags if one[0] == key]:
            del self._lags[one]

    async def look(self, key: str, observed: Observed, wanted: PushCluster, plan: Plan) -> View:
        """Decides, and does nothing yet."""
        heard = await self._listen(key, observed)
        workload = plan.workload(GATEWAY)
        assert workload is not None  # noqa: S101 - every plan of an object has it
        fleet = fleet_of(workload.revision, observed, heard.samples, heard.bus)
        moment = Moment(self._clock(), self._wall())
        told = replace(told_of(observed.body or {}, wanted.scaling, moment.wall), services=services_of(plan, observed))
        outcome = tick(fleet, wanted.scaling, self._memories.get(key), told, moment)
        self._memories[key] = outcome.memory
        replicas = {
            service: self._follow(key, service, spec.autoscaling, observed, fleet.bus, moment.now)
            for service, spec in wanted.services.items()
            if spec.autoscaling is not None
        }
        return View(fleet, outcome, moment, replicas)

    def _follow(
        self, key: str, service: str, scaling: LagScaling, observed: Observed, bus: Bus | None, now: float
    ) -> LagDecision:
        memory = self._lags.get((key, service)) or LagMemory(now, desired_of(observed.body or {}, service))
        lag = bus.lags.get(service) if bus is not None else None
        decision, self._lags[key, service] = replicas_for(scaling, lag, memory, now)
        return decision

    async def act(self, key: str, cluster: Cluster, observed: Observed, view: View) -> None:
        """Carries the steps out, in the order in which each is safe. What has changed meanwhile is decided anew."""
        try:
            await self._act(key, cluster, observed, view)
        except (Conflict, NotFound) as error:
            _log.info("%s: %s: it looks again", key, error)

    async def _act(self, key: str, cluster: Cluster, observed: Observed, view: View) -> None:
        steps, units = view.outcome.steps, {unit.name: unit for unit in observed.units}
        sets = {one.revision: one for one in observed.sets}
        order = await self._order(key, cluster, view)
        for revision, size in steps.sizes.items():
            if size > sets[revision].replicas:
                await cluster.resize(key, sets[revision], size, frozenset())
        for name in (name for name, why in steps.marks.items() if why is None):
            if await self._told("stay", name, self._gateways.stay(units[name].address, order)):
                await cluster.mark(key, units[name], None)
        for name, why in steps.marks.items():
            if why is not None:
                await cluster.mark(key, units[name], Mark(why, view.moment.wall))
        await asyncio.gather(*self._drains(steps.rates, units, order), *self._sheds(view, units, order))
        for revision, size in steps.sizes.items():
            if size < sets[revision].replicas:
                await cluster.resize(key, sets[revision], size, steps.gone)

    def _drains(self, rates: Mapping[str, float], units: Mapping[str, Unit], order: Order) -> Iterable[Any]:
        return [
            self._told("drain", name, self._gateways.drain(units[name].address, rate, order))
            for name, rate in rates.items()
            if units[name].address
        ]

    def _sheds(self, view: View, units: Mapping[str, Unit], order: Order) -> Iterable[Any]:
        asked = [(one, units[one.gateway].address) for one in view.outcome.steps.sheds]
        return [
            self._told("shed", one.gateway, self._gateways.shed(address, one.connections, one.rate, order))
            for one, address in asked
        ]

    async def _told(self, what: str, name: str, request: Any) -> bool:
        """Whether the gateway took the order; one that does not must not keep the others from theirs."""
        try:
            await request
        except ClusterError as error:
            _log.warning("%s was not told to %s: %s", name, what, error)
            return False
        return True

    async def _order(self, key: str, cluster: Cluster, view: View) -> Order:
        steps = view.outcome.steps
        needed = bool(steps.rates or steps.sheds or None in steps.marks.values())
        return Order(await cluster.admin_token(key) if needed else "", self._epoch())

    async def _listen(self, key: str, observed: Observed) -> _Heard:
        before = self._heard.get(key)
        if before is not None and self._clock() - before.at < ASK_SECONDS:
            return before
        at = self._clock()
        asked = {unit.name: unit.address for unit in _gateways(observed) if unit.address and not unit.pending}
        samples, bus = await asyncio.gather(self._gateways.stats(asked), self._bus(observed))
        older = before.samples if before is not None else {}
        known = {unit.name: older[unit.name] for unit in _gateways(observed) if unit.name in older}
        self._heard[key] = _Heard(at, {**known, **samples}, bus)
        return self._heard[key]

    async def _bus(self, observed: Observed) -> Bus | None:
        return await self._monitor.bus(observed.bus) if observed.bus else None


def fleet_of(revision: str, observed: Observed, samples: Mapping[str, Sample], bus: Bus | None) -> Fleet:
    gone = {unit.name for unit in observed.leaving}
    gateways = tuple(_gateway(unit, samples.get(unit.name), unit.name in gone) for unit in _gateways(observed))
    return Fleet(revision, observed.sets, gateways, bus)


def _gateways(observed: Observed) -> list[Unit]:
    return [unit for unit in (*observed.units, *observed.leaving) if unit.component == GATEWAY]


def _gateway(unit: Unit, sample: Sample | None, leaving: bool) -> Gateway:
    return Gateway(
        name=unit.name, uid=unit.uid, revision=unit.revision, ready=unit.ready and not leaving, pending=unit.pending,
        leaving=leaving, mark=unit.mark, cordoned=unit.cordoned, zone=unit.zone, restarts=unit.restarts, sample=sample,
    )  # fmt: skip


def again_after(wanted: PushCluster, view: View) -> float:
    """Seconds until the next look, if nothing changes before."""
    if is_moving(view.fleet, view.outcome, view.moment.now):
        return MOVING_SECONDS
    varies = wanted.scaling.mode is Mode.OPERATOR or view.replicas
    return TICK_SECONDS if varies else REST_SECONDS


def with_desired(plan: Plan, view: View) -> Plan:
    """The plan with as many of each as were decided on."""
    desired = {GATEWAY: view.outcome.decision.desired}
    desired |= {service: decision.desired for service, decision in view.replicas.items()}
    workloads = (replace(one, replicas=desired.get(one.component, one.replicas)) for one in plan.workloads)
    return replace(plan, workloads=tuple(workloads))
