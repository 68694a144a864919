"""A simulated fleet: gateways with counted clients, ReplicaSets, a balancer, and a clock that is turned by hand.

Clients are numbers, not objects: a million of them and a thousand gateways cost what the gateways do. One step is a
second. What clients do is drawn from a seeded generator, so that a run can be had again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from push_operator.errors import Conflict, NotFound
from push_operator.fleet.measure import serves
from push_operator.fleet.memory import Memory, Moment
from push_operator.fleet.pace import left_of
from push_operator.fleet.rollout import Rollout
from push_operator.fleet.steer import HUNG_SECONDS
from push_operator.fleet.tick import Outcome, Told, is_moving, tick
from push_operator.fleet.values import Draining, Fleet, Gateway, GatewaySet, Mark, Sample, Stats, Steps, Why
from push_operator.scaling import GatewayScaling

EPOCH = 1_900_000_000.0  # the wall's time at second 0
SET_SECONDS = 1.0  # after a change of its size a ReplicaSet acts, at the soonest
BACK_SECONDS = 5  # over which those who were sent away come back
TICK, MOVING = 10, 2


@dataclass
class Pod:
    name: str
    revision: str
    begins_at: float
    ready_at: float
    zone: str = ""
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
    cordoned: bool = False
    nats: bool = True
    to_shed: int = 0
    shed_rate: float = 0.0
    sample: Sample | None = None

    def shed(self, connections: int, rate: float) -> None:
        self.to_shed, self.shed_rate = connections, rate

    def paced(self) -> float | None:
        """Clients a second that it sends elsewhere now; None: none."""
        if self.rate is not None:
            return self.rate
        return self.shed_rate if self.to_shed else None

    def stats(self, now: float) -> Stats:
        draining = None if self.rate is None else Draining(self.rate, self.connections, self.leaving)
        return Stats(
            boot=f"{self.name}-{self.boots}", uptime=now - self.boot_at, connections=self.connections,
            accepted=self.accepted, reconnects_asked=self.asked, refused=self.refused, draining=draining,
            nats=self.nats,
        )  # fmt: skip


@dataclass
class Change:
    """One decision that changed the number, with what was known then. `peak`: the most that was known of late;
    `high`: the maximum then."""

    at: float
    before: int
    after: int
    outcome: Outcome
    known: int
    peak: int
    high: int


@dataclass
class Marking:
    """Gateways that served were marked by choice: how many serve on, and how many are being emptied then."""

    at: float
    left: int
    drains: int
    outcome: Outcome


@dataclass
class Simulation:
    """`demand`: how many clients want to be connected at a second. `starts`: seconds that a new gateway takes, and
    `slowest` the most that it may. `set_seconds`: the most that a ReplicaSet waits before it acts. `late`: the operator
    carries its steps out a second after it has looked, with what happens in between."""

    scaling: GatewayScaling
    demand: Callable[[float], int]
    seed: int = 0
    starts: float = 6.0
    slowest: float = 0.0
    set_seconds: float = SET_SECONDS
    late: bool = False
    zones: int = 0
    wanted: str = "a"
    broken: frozenset[str] = frozenset()  # revisions whose gateways never get ready
    deaf: bool = False  # no gateway answers the operator
    random: random.Random = field(init=False)
    now: float = 0.0
    sets: dict[str, GatewaySet] = field(default_factory=dict)
    seen: dict[str, GatewaySet] = field(default_factory=dict)  # by the operator, when it looked last
    pods: dict[str, Pod] = field(default_factory=dict)
    coming: dict[int, int] = field(default_factory=dict)  # clients by the second at which they try to connect
    memory: Memory | None = None
    desired: int | None = None  # as the status tells it
    rollout: Rollout | None = None
    ask: str = ""
    least: int = 0
    changes: list[Change] = field(default_factory=list)
    known: list[tuple[float, int]] = field(default_factory=list)  # connections, as the operator knew them at each look
    outcome: Outcome | None = None
    undone: Outcome | None = None  # decided, and not yet carried out
    markings: list[Marking] = field(default_factory=list)
    share: float = 0.0  # of the budget, for those whom the operator can pace
    asked: list[int] = field(default_factory=list)  # clients that were sent away by the operator, each second
    allowed: list[float] = field(default_factory=list)  # what it had for them in that second
    drains: list[int] = field(default_factory=list)  # how many it had drain in that second
    sheds: list[float] = field(default_factory=list)  # clients a second that gateways shed then, and serve on
    cut: int = 0  # clients whose gateway was ended under them by a set
    crashed: int = 0
    refusals: int = 0  # steps that were not taken, because something had changed
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
        pod.to_shed = 0
        pod.rate, pod.boots, pod.boot_at, pod.restarts = None, pod.boots + 1, self.now, pod.restarts + 1
        pod.ready_at = self.now + self._seconds_to_start()

    def evict(self, pod: Pod, rate: float = 200.0) -> None:
        """Somebody else ends it: its own drain sends its clients away, and its set makes another one."""
        pod.leaving, pod.rate = True, rate

    def lose(self, pod: Pod) -> None:
        """Its node is gone, and it with it."""
        self._come_back(pod.connections)
        self.crashed += pod.connections
        del self.pods[pod.name]

    def forget(self) -> None:
        """The operator begins anew: what it remembers is gone, what it was about to do is not done."""
        self.memory, self.undone = None, None

    def damage(self) -> None:
        """Somebody empties the status."""
        self.desired, self.rollout = None, None

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.step()

    def step(self) -> None:
        self._sets_act()
        self._drain()
        self._clients()
        if self.undone is not None:
            self.perform(self.undone)
            self.undone = None
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
                pod.name, pod.name, pod.revision, self._ready(pod) and pod.rate is None and not pod.leaving,
                leaving=pod.leaving, pending=self.is_pending(pod), mark=pod.mark, cordoned=pod.cordoned, zone=pod.zone,
                restarts=pod.restarts, sample=pod.sample,
            )
            for pod in self.pods.values()
        )  # fmt: skip
        return Fleet(self.wanted, tuple(self.sets.values()), gateways)

    # Inside --------------------------------------------------------------------------------------------------------

    def is_pending(self, pod: Pod) -> bool:
        """Its process has yet to begin for the first time."""
        return self.now < pod.begins_at

    def _ready(self, pod: Pod) -> bool:
        return self.now >= pod.ready_at and pod.revision not in self.broken

    def _seconds_to_start(self) -> float:
        return self.random.uniform(self.starts, max(self.starts, self.slowest))

    def _look(self) -> bool:
        self._apply()
        for pod in self.pods.values():
            if self.now >= pod.ready_at and not (self.deaf or pod.silent):
                pod.sample = Sample(self.now, pod.stats(self.now))
        fleet = self.fleet()
        self.seen = {one.revision: one for one in fleet.sets}
        before = self.memory.desired if self.memory is not None else self.desired
        told = Told(desired=self.desired, rollout=self.rollout, ask=self.ask, least=self.least)
        made = tick(fleet, self.scaling, self.memory, told, Moment(self.now, EPOCH + self.now))
        self.memory, self.rollout, self.outcome = made.memory, made.rollout, made
        self.desired = made.decision.desired
        self._note(fleet, before, made)
        if self.late:
            self.undone = made
        else:
            self.perform(made)
        return is_moving(fleet, made, self.now)

    def _apply(self) -> None:
        """What `apply` does of the plan."""
        if self.wanted not in self.sets:
            first = not self.sets
            initial = self.scaling.replicas or self.scaling.autoscaling.min_replicas
            self.resize(self.wanted, initial if first else 0)
        for revision, one in tuple(self.sets.items()):
            if revision != self.wanted and not one.replicas and not self.of(revision):
                del self.sets[revision]

    def _note(self, fleet: Fleet, before: int | None, made: Outcome) -> None:
        self.share = left_of(fleet, made.budget, self.now)
        self._note_marks(fleet, made)
        known = sum(one.sample.stats.connections for one in fleet.gateways if one.sample is not None)
        window = self.scaling.autoscaling.stabilization_seconds
        self.known = [*((at, number) for at, number in self.known if at > self.now - window), (self.now, known)]
        if before is not None and made.decision.desired != before:
            peak, high = max(number for _, number in self.known), self.scaling.autoscaling.max_replicas
            self.changes.append(Change(self.now, before, made.decision.desired, made, known, peak, high))

    def _note_marks(self, fleet: Fleet, made: Outcome) -> None:
        marks = made.steps.marks
        chosen = [one for one in fleet.gateways if marks.get(one.name) in (Why.SCALE_DOWN, Why.ROLLOUT)]
        if not any(serves(one) for one in chosen):
            return
        left = sum(one.ready and not one.leaving and marks.get(one.name, one.mark) is None for one in fleet.gateways)
        drains = [one for one in fleet.gateways if not one.leaving and marks.get(one.name, one.mark) is not None]
        self.markings.append(Marking(self.now, left, sum(not _is_idle(one) for one in drains), made))

    def perform(self, made: Outcome) -> None:
        """As the operator's shell does it, in the same order; what has changed meanwhile ends it."""
        try:
            self._perform(made)
        except (Conflict, NotFound):
            self.refusals += 1

    def _perform(self, made: Outcome) -> None:
        steps, sets = made.steps, dict(self.seen)
        for revision, size in steps.sizes.items():
            if size > sets[revision].replicas:
                self.resize_as_seen(sets[revision], size, frozenset())
        for name in (name for name, why in steps.marks.items() if why is None):
            if self._stays(name):
                self.mark(name, None)
        for name, why in steps.marks.items():
            if why is not None:
                self.mark(name, Mark(why, EPOCH + self.now))
        self._orders(steps)
        for revision, size in steps.sizes.items():
            if size < sets[revision].replicas:
                self.resize_as_seen(sets[revision], size, steps.gone)

    def _hears(self, name: str) -> bool:
        pod = self.pods.get(name)
        return pod is not None and not pod.silent and not self.deaf and self.now >= pod.ready_at

    def _orders(self, steps: Steps) -> None:
        for name, rate in steps.rates.items():
            self._drains(name, rate)
        for one in steps.sheds:
            if self._hears(one.gateway):
                self.pods[one.gateway].shed(one.connections, one.rate)

    def _drains(self, name: str, rate: float) -> None:
        if self._hears(name) and not self.pods[name].leaving:
            self.pods[name].rate = rate

    def _stays(self, name: str) -> bool:
        """It is told to stay, and does so unless it ends."""
        if not self._hears(name) or self.pods[name].leaving:
            return False
        self.pods[name].rate = None
        return True

    def mark(self, name: str, mark: Mark | None) -> None:
        if name not in self.pods:
            raise NotFound(name)
        self.pods[name].mark = mark

    def resize_as_seen(self, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        """As an adapter does it: with what is there now."""
        if self.sets.get(one.revision) != one:
            raise Conflict(f"{one.revision} is another one")
        if size < one.replicas and not self.would_take(one.revision, size) <= gone:
            raise Conflict(f"{one.revision} would lose another")
        self.resize(one.revision, size)

    def would_take(self, revision: str, size: int) -> set[str]:
        here = [pod for pod in self.of(revision) if not pod.leaving]
        return {pod.name for pod in self._first_to_go(here)[: max(0, len(here) - size)]}

    def resize(self, revision: str, size: int) -> None:
        self.numbers += 1
        self.sets[revision] = GatewaySet(revision, size, str(self.numbers))
        self.acts_at[revision] = self.now + self.random.uniform(SET_SECONDS, max(SET_SECONDS, self.set_seconds))

    def of(self, revision: str) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.revision == revision]

    def _first_to_go(self, here: list[Pod]) -> list[Pod]:
        """As a ReplicaSet orders them: not begun, not ready, the deletion cost that a mark sets, the youngest."""
        return sorted(
            here,
            key=lambda pod: (
                not self.is_pending(pod), self._ready(pod) and pod.rate is None, pod.mark is None, -pod.boot_at,
            ),
        )  # fmt: skip

    def _sets_act(self) -> None:
        self.pods = {name: pod for name, pod in self.pods.items() if not pod.leaving or pod.connections}
        for revision, one in self.sets.items():
            if self.now < self.acts_at.get(revision, 0.0):
                continue
            here = [pod for pod in self.of(revision) if not pod.leaving]
            for pod in self._first_to_go(here)[: len(here) - one.replicas] if len(here) > one.replicas else ():
                self._end(pod)
            for _ in range(one.replicas - len(here)):
                self._begin(revision)

    def _begin(self, revision: str) -> None:
        self.numbers += 1
        name, seconds = f"{revision}{self.numbers}", self._seconds_to_start()
        zone = f"zone-{self.random.randrange(self.zones)}" if self.zones else ""
        ready_at = self.now + seconds
        self.pods[name] = Pod(name, revision, self.now + seconds / 2, ready_at, zone, boot_at=ready_at)

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
        sent = drains = 0
        for pod in self.pods.values():
            rate = pod.paced()
            if rate is None:
                continue
            pod.owed = min(pod.owed + rate, rate + 1)
            number = min(pod.connections, int(pod.owed), pod.connections if pod.rate is not None else pod.to_shed)
            pod.to_shed = max(0, pod.to_shed - number)
            pod.owed -= number
            pod.connections -= number
            pod.asked += number
            self._come_back(number)
            if self._hears(pod.name) and not pod.leaving:
                sent, drains = sent + number, drains + 1
        self.asked.append(sent)
        self.allowed.append(self.share)
        self.drains.append(drains)
        self.sheds.append(sum(pod.shed_rate for pod in self.pods.values() if pod.to_shed and pod.rate is None))

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


def _is_idle(gateway: Gateway) -> bool:
    return gateway.sample is None or gateway.sample.stats.connections == 0


def steady(clients: int) -> Callable[[float], int]:
    return lambda _: clients
