"""A simulated fleet: gateways with counted clients, ReplicaSets, a balancer, and a clock that is turned by hand.

Clients are numbers, not objects: a million of them and a thousand gateways cost what the gateways do. One step is a
second. What clients do is drawn from a seeded generator, so that a run can be had again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from push_operator.fleet.memory import Memory, Moment
from push_operator.fleet.rollout import Rollout
from push_operator.fleet.steer import HUNG_SECONDS
from push_operator.fleet.tick import Outcome, Told, is_moving, tick
from push_operator.fleet.values import Draining, Fleet, Gateway, GatewaySet, Mark, Sample, Stats, Why
from push_operator.scaling import GatewayScaling

EPOCH = 1_900_000_000.0  # the wall's time at second 0
SET_SECONDS = 1.0  # after a change of its size a ReplicaSet acts
BACK_SECONDS = 5  # over which those who were sent away come back
TICK, MOVING = 10, 2


@dataclass
class Pod:
    name: str
    revision: str
    ready_at: float
    connections: int = 0
    accepted: int = 0
    asked: int = 0
    refused: int = 0
    restarts: int = 0
    boots: int = 0
    boot_at: float = 0.0
    mark: Mark | None = None
    rate: float | None = None
    owed: float = 0.0
    leaving: bool = False
    silent: bool = False
    sample: Sample | None = None

    def stats(self, now: float) -> Stats:
        draining = None if self.rate is None else Draining(self.rate, self.connections, self.leaving)
        return Stats(
            boot=f"{self.name}-{self.boots}", uptime=now - self.boot_at, connections=self.connections,
            accepted=self.accepted, reconnects_asked=self.asked, refused=self.refused, draining=draining,
        )  # fmt: skip


@dataclass
class Change:
    """One decision that changed the number, with what was known then."""

    at: float
    before: int
    after: int
    outcome: Outcome
    known: int


@dataclass
class Simulation:
    """`demand`: how many clients want to be connected at a second. `starts`: seconds that a new gateway takes."""

    scaling: GatewayScaling
    demand: Callable[[float], int]
    seed: int = 0
    starts: float = 6.0
    wanted: str = "a"
    broken: frozenset[str] = frozenset()  # revisions whose gateways never get ready
    deaf: bool = False  # no gateway answers the operator
    random: random.Random = field(init=False)
    now: float = 0.0
    sets: dict[str, GatewaySet] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    coming: dict[int, int] = field(default_factory=dict)  # clients by the second at which they try to connect
    memory: Memory | None = None
    rollout: Rollout | None = None
    ask: str = ""
    changes: list[Change] = field(default_factory=list)
    outcome: Outcome | None = None
    asked: list[int] = field(default_factory=list)  # clients that were sent away by the operator, each second
    allowed: list[float] = field(default_factory=list)  # the budget of that second
    cut: int = 0  # clients whose gateway was ended under them by a set
    crashed: int = 0
    look_at: float = 0.0
    acts_at: dict[str, float] = field(default_factory=dict)
    numbers: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a run that can be had again, no secret

    # What a person or the world does -----------------------------------------------------------------------------

    def crash(self, pod: Pod) -> None:
        """Its process ends and begins anew: clients come back wherever they can."""
        self._come_back(pod.connections)
        self.crashed += pod.connections
        pod.connections = pod.accepted = pod.asked = 0
        pod.rate, pod.boots, pod.boot_at, pod.restarts = None, pod.boots + 1, self.now, pod.restarts + 1
        pod.ready_at = self.now + self.starts

    def evict(self, pod: Pod, rate: float = 200.0) -> None:
        """Somebody else ends it: its own drain sends its clients away, and its set makes another one."""
        pod.leaving, pod.rate = True, rate

    def forget(self) -> None:
        """The operator begins anew: what it remembers is gone."""
        self.memory = None

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.step()

    def step(self) -> None:
        self._sets_act()
        self._drain()
        self._clients()
        if self.now >= self.look_at:
            moving = self._look()
            self.look_at = self.now + (MOVING if moving else TICK)
        self.now += 1

    # The views of it -----------------------------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        return sum(pod.connections for pod in self.pods.values())

    def serving(self) -> list[Pod]:
        return [pod for pod in self.pods.values() if self._ready(pod) and pod.mark is None and not pod.leaving]

    def settled(self) -> bool:
        here = list(self.pods.values())
        wanted = self.memory.desired if self.memory is not None else None
        return (
            len(here) == wanted
            and not any(pod.leaving or pod.mark is not None or not self._ready(pod) for pod in here)
            and all(pod.revision == self.wanted for pod in here)
            and self.sets[self.wanted].replicas == wanted
        )

    def fleet(self) -> Fleet:
        gateways = tuple(
            Gateway(
                pod.name, pod.name, pod.revision, self._ready(pod) and pod.rate is None, leaving=pod.leaving,
                pending=self.now < pod.ready_at - self.starts / 2 and not pod.boots, mark=pod.mark,
                restarts=pod.restarts, sample=pod.sample,
            )
            for pod in self.pods.values()
        )  # fmt: skip
        return Fleet(self.wanted, tuple(self.sets.values()), gateways)

    # Inside --------------------------------------------------------------------------------------------------------

    def _ready(self, pod: Pod) -> bool:
        return self.now >= pod.ready_at and pod.revision not in self.broken

    def _look(self) -> bool:
        if self.wanted not in self.sets:  # what `apply` does
            first = not self.sets
            initial = self.scaling.replicas or self.scaling.autoscaling.min_replicas
            self.resize(self.wanted, initial if first else 0)
        for revision, one in tuple(self.sets.items()):
            if revision != self.wanted and not one.replicas and not self.of(revision):
                del self.sets[revision]
        for pod in self.pods.values():
            if self.now >= pod.ready_at and not (self.deaf or pod.silent) and not pod.leaving:
                pod.sample = Sample(self.now, pod.stats(self.now))
        fleet = self.fleet()
        before = self.memory.desired if self.memory is not None else None
        told = Told(desired=before, rollout=self.rollout, ask=self.ask)
        made = tick(fleet, self.scaling, self.memory, told, Moment(self.now, EPOCH + self.now))
        self.memory, self.rollout, self.outcome = made.memory, made.rollout, made
        if before is not None and made.decision.desired != before:
            known = sum(one.sample.stats.connections for one in fleet.gateways if one.sample is not None)
            self.changes.append(Change(self.now, before, made.decision.desired, made, known))
        self.perform(made)
        return is_moving(fleet, made, self.now)

    def perform(self, made: Outcome) -> None:
        """As the operator's shell does it, in the same order."""
        steps = made.steps
        for revision, size in steps.sizes.items():
            if size > self.sets[revision].replicas:
                self.resize(revision, size)
        for name, why in steps.marks.items():
            self._mark(self.pods[name], why)
        for name, rate in steps.rates.items():
            if name in self.pods and not self.pods[name].silent and self.now >= self.pods[name].ready_at:
                self.pods[name].rate = rate
        for revision, size in steps.sizes.items():
            if size < self.sets[revision].replicas:
                self._shrink(revision, size, steps.gone)

    def _mark(self, pod: Pod, why: Why | None) -> None:
        pod.mark = None if why is None else Mark(why, EPOCH + self.now)
        if why is None:
            pod.rate = None

    def _shrink(self, revision: str, size: int, gone: frozenset[str]) -> None:
        if self.would_take(revision, size) <= gone:  # otherwise the adapter refuses, and the next look decides anew
            self.resize(revision, size)

    def would_take(self, revision: str, size: int) -> set[str]:
        here = [pod for pod in self.of(revision) if not pod.leaving]
        return {pod.name for pod in self._first_to_go(here)[: max(0, len(here) - size)]}

    def resize(self, revision: str, size: int) -> None:
        self.numbers += 1
        self.sets[revision] = GatewaySet(revision, size, str(self.numbers))
        self.acts_at[revision] = self.now + SET_SECONDS

    def of(self, revision: str) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.revision == revision]

    def _first_to_go(self, here: list[Pod]) -> list[Pod]:
        """As a ReplicaSet orders them: not begun, not ready, the deletion cost that a mark sets, the youngest."""
        return sorted(
            here,
            key=lambda pod: (self._ready(pod), self._ready(pod) and pod.rate is None, pod.mark is None, -pod.boot_at),
        )

    def _sets_act(self) -> None:
        self.pods = {name: pod for name, pod in self.pods.items() if not pod.leaving or pod.connections}
        for revision, one in self.sets.items():
            if self.now < self.acts_at.get(revision, 0.0):
                continue
            here = [pod for pod in self.of(revision) if not pod.leaving]
            for pod in self._first_to_go(here)[: max(0, len(here) - one.replicas)]:
                self._end(pod)
            for _ in range(one.replicas - len(here)):
                self.numbers += 1
                name = f"{revision}{self.numbers}"
                self.pods[name] = Pod(name, revision, self.now + self.starts, boot_at=self.now + self.starts)

    def _end(self, pod: Pod) -> None:
        """Who said nothing for longer than a drain may take is left to its own: its process sends its clients away."""
        patience = self.scaling.drain.timeout_seconds + HUNG_SECONDS
        if pod.mark is not None and EPOCH + self.now - pod.mark.since > patience:
            self.evict(pod)
            return
        self.cut += pod.connections
        self._come_back(pod.connections)
        pod.connections, pod.leaving = 0, True

    def _drain(self) -> None:
        sent = 0
        for pod in self.pods.values():
            if pod.rate is None:
                continue
            pod.owed = min(pod.owed + pod.rate, pod.rate + 1)
            number = min(pod.connections, int(pod.owed))
            pod.owed -= number
            pod.connections -= number
            pod.asked += number
            self._come_back(number)
            sent += number if not pod.leaving else 0
        self.asked.append(sent)
        self.allowed.append(self.outcome.budget if self.outcome is not None else 0.0)

    def _come_back(self, number: int) -> None:
        for part in range(BACK_SECONDS):
            at = int(self.now) + 1 + part
            self.coming[at] = self.coming.get(at, 0) + (number + part) // BACK_SECONDS

    def _clients(self) -> None:
        waiting = self.coming.pop(int(self.now), 0)
        online = self.connections + waiting + sum(self.coming.values())
        wanted = self.demand(self.now)
        waiting += max(0, wanted - online)
        self._leave(max(0, online - wanted))
        serving = [pod for pod in self.serving() if pod.rate is None]
        if not serving:
            self.coming[int(self.now) + 1] = self.coming.get(int(self.now) + 1, 0) + waiting
            return
        self.random.shuffle(serving)
        for place, pod in enumerate(serving):
            number = waiting // len(serving) + (place < waiting % len(serving))
            pod.connections += number
            pod.accepted += number

    def _leave(self, number: int) -> None:
        total = self.connections
        for pod in self.pods.values():
            pod.connections -= min(pod.connections, number * pod.connections // total if total else 0)


def steady(clients: int) -> Callable[[float], int]:
    return lambda _: clients
