"""One look at a fleet: measure, decide how many, follow the rollout, take the next steps, pace them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from push_operator.fleet.anomaly import Anomaly, notice
from push_operator.fleet.autoscale import Decision, decide, is_blind
from push_operator.fleet.capacity import Capacity, capacity, learn
from push_operator.fleet.health import Health, judge
from push_operator.fleet.lag import LagDecision
from push_operator.fleet.measure import Load, is_fresh, measure
from push_operator.fleet.memory import Memory, Moment
from push_operator.fleet.pace import budget, left_of, orders
from push_operator.fleet.rebalance import rebalance
from push_operator.fleet.rollout import Rollout, Services, State, follow, target
from push_operator.fleet.steer import HOLD_SECONDS, HUNG_SECONDS, Wish, losing, steer
from push_operator.fleet.values import Fleet, Gateway, Steps, Why
from push_operator.scaling import GatewayScaling


@dataclass(frozen=True, slots=True)
class Told:
    """What outlives an operator: how many gateways were `desired` last, the `rollout` as it was, and what a person asks
    of it. `least`: what the schedule asks for now. `services`: how far the others are that go first."""

    desired: int | None = None
    rollout: Rollout | None = None
    ask: str = ""
    least: int = 0
    services: Services = field(default_factory=Services)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided, what to do, and what to remember. `budget`: clients a second that may be sent elsewhere.
    `learned`: what a gateway could hold, by what it costs; it is told, and nothing follows from it."""

    decision: Decision
    rollout: Rollout
    steps: Steps
    budget: float
    health: Health
    anomalies: tuple[Anomaly, ...]
    learned: Capacity | None
    memory: Memory


@dataclass(frozen=True, slots=True)
class View:
    """One look: what was seen, what came of it, and when that was. `replicas`: of the services that follow a stream."""

    fleet: Fleet
    outcome: Outcome
    moment: Moment
    replicas: Mapping[str, LagDecision] = field(default_factory=dict)


def tick(fleet: Fleet, scaling: GatewayScaling, memory: Memory | None, told: Told, moment: Moment) -> Outcome:
    memory = memory or Memory(began=moment.now)
    memory = replace(memory, desired=memory.desired or told.desired or _kept(fleet))
    load, memory = measure(fleet, memory, scaling.autoscaling.target_connections, moment.now)
    waits = {name: moment.now - since for name, since in memory.unready.items()}
    rollout = follow(fleet, told.rollout, told.ask, waits, told.services)
    health, watched = judge(fleet, memory.health, moment.now)
    memory = replace(memory, health=watched)
    anomalies, noticed = notice(fleet, memory.anomaly, moment.now)
    memory = replace(memory, anomaly=noticed, capacity=learn(fleet, memory.capacity))
    frozen = _frozen(rollout, health, anomalies)
    decision, memory = decide(scaling, load, memory, moment.now, least=told.least, frozen=frozen)
    memory = _blinded(memory, load, moment.now)
    halted = rollout.state is State.STOPPED or rollout.is_waiting or _is_waiting(memory, scaling, moment.now)
    moment = replace(moment, began=memory.began)
    wish = Wish(decision.desired, target(fleet, rollout), halted=halted)
    steps = _with_care(steer(fleet, wish, scaling, moment), health)
    still = losing(fleet, steps.gone)
    steps = _without_marks_in(still, fleet, steps)
    whole = budget(scaling, load)
    emptied = [one for one in fleet.gateways if _is_emptied(one, steps, moment) and not _is_still(one, still)]
    share = left_of(fleet, whole - load.shed, moment.now)
    sheds, balanced = rebalance(fleet, memory.rebalance, 0.0 if steps != Steps() else share, moment.now)
    memory = replace(memory, rebalance=balanced)
    steps = replace(steps, rates=orders(emptied, share), sheds=sheds)
    learned = capacity(memory.capacity, None)
    return Outcome(decision, rollout, steps, whole, health, anomalies, learned, memory)


def _frozen(rollout: Rollout, health: Health, anomalies: tuple[Anomaly, ...]) -> str:
    """Why it does not shrink now, whatever the numbers say."""
    if health.broken_broker:
        return "BrokerDegraded"
    if rollout.state is not State.DONE:
        return "RolloutUnderWay"
    return "Anomaly" if anomalies else ""


def _blinded(memory: Memory, load: Load, now: float) -> Memory:
    if not is_blind(load):
        return replace(memory, blind=None)
    return memory if memory.blind is not None else replace(memory, blind=now)


def _is_waiting(memory: Memory, scaling: GatewayScaling, now: float) -> bool:
    """Whom it cannot hear it cannot empty. If that does not pass, what a person has asked for goes on all the same, one
    gateway after the other, each by its own drain: something between them and the operator is in the way for good."""
    return memory.blind is not None and now - memory.blind < scaling.drain.timeout_seconds + HUNG_SECONDS


def _with_care(steps: Steps, health: Health) -> Steps:
    """Who is deaf gets no new sockets, and who is well again gets some, unless something else was decided of them. For
    whoever is quarantined nobody else is taken out in the same moment: together they might be too many."""
    sick = dict.fromkeys(health.quarantine, Why.QUARANTINE)
    well = dict.fromkeys(health.back)
    chosen = {name: why for name, why in steps.marks.items() if why is None or not sick}
    return replace(steps, marks={**sick, **well, **chosen})


def _without_marks_in(still: Set[str], fleet: Fleet, steps: Steps) -> Steps:
    left_alone = {one.name for one in fleet.gateways if one.revision in still}
    return replace(steps, marks={name: why for name, why in steps.marks.items() if name not in left_alone})


def _is_still(gateway: Gateway, still: Set[str]) -> bool:
    """It is ready, and would not be for long if it were told to drain."""
    return gateway.revision in still and gateway.ready


def _kept(fleet: Fleet) -> int | None:
    """How many there are, for an operator that knows nothing else: those to stay, of the larger revision's wish."""
    sizes = sum(one.replicas for one in fleet.sets) - sum(one.mark is not None for one in fleet.gateways)
    return max(1, sizes) if fleet.sets else None


def _is_emptied(gateway: Gateway, steps: Steps, moment: Moment) -> bool:
    """Marked, also just now; not one that is taken back, has not begun, or is quarantined and may yet be well again."""
    if gateway.leaving or gateway.pending or gateway.name in steps.gone:
        return False
    if gateway.name in steps.marks:
        return steps.marks[gateway.name] not in (None, Why.QUARANTINE)
    if gateway.mark is None:
        return False
    return gateway.mark.why is not Why.QUARANTINE or moment.wall - gateway.mark.since >= HOLD_SECONDS


def is_moving(fleet: Fleet, outcome: Outcome, now: float) -> bool:
    """Something is under way that the next look should find soon."""
    return bool(
        outcome.steps != Steps()
        or outcome.rollout.state is State.PROGRESSING
        or any(one.mark is not None or one.leaving for one in fleet.gateways)
        or any(not is_fresh(one, now) and one.ready for one in fleet.gateways)
    )
