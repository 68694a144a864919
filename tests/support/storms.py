"""What befalls a simulated fleet, and what must hold whatever did."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from push_operator.fleet.autoscale import SPARE_PERCENT, gateways_for
from push_operator.fleet.rollout import RESUME, UNDO
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, Mode
from tests.support.fleet import MOVING, Change, Pod, Simulation, steady

AUTO: Final = Autoscaling(
    min_replicas=2, max_replicas=30, target_connections=1000, headroom_percent=20, accept_rate=200,
    stabilization_seconds=120, max_concurrent_drains=2,
)  # fmt: skip
SCALING: Final = GatewayScaling(Mode.OPERATOR, None, AUTO, Drain(60, 100))
BROKEN: Final = "z"  # a revision whose gateways never get ready
RATE_SECONDS: Final = 10
OTHERS_REASONS: Final = ("Fixed", "External", "MinReplicas")  # somebody else's choice, not the operator's

Event = tuple[str, int]
ARGUMENTS: Final[Mapping[str, tuple[int, int]]] = {
    # what happens, and the least and the largest number that says how
    "demand": (0, 20_000),
    "rollout": (0, 3),
    "undo": (0, 0),
    "resume": (0, 0),
    "crash": (0, 30),
    "crash all": (0, 0),
    "lose": (0, 30),
    "evict": (0, 30),
    "evict a marked one": (0, 30),
    "cordon": (0, 2),
    "silent": (0, 30),
    "silent while marked": (0, 30),
    "without NATS": (0, 30),
    "heard": (0, 0),
    "deaf": (0, 1),
    "forget": (0, 0),
    "damage": (0, 0),
    "away": (1, 300),
    "bounds": (2, 30),
    "drains": (1, 5),
    "schedule": (0, 30),
    "replicas": (1, 20),
    "outside": (1, 20),
    "automatic": (0, 0),
}


def happen(made: Simulation, event: Event) -> None:
    kind, number = event
    if kind in _TO_ONE:
        pods = [pod for _, pod in sorted(made.pods.items()) if not pod.leaving and (pod.mark or "marked" not in kind)]
        if pods:
            _TO_ONE[kind](made, pods[number % len(pods)])
        return
    _TO_ALL[kind](made, number)


def _silence(made: Simulation, pod: Pod) -> None:
    pod.silent = True


def _without_nats(made: Simulation, pod: Pod) -> None:
    pod.nats = False


_TO_ONE: Final[Mapping[str, Callable[[Simulation, Pod], None]]] = {
    "crash": Simulation.crash,
    "lose": Simulation.lose,
    "evict": Simulation.evict,
    "evict a marked one": Simulation.evict,
    "silent": _silence,
    "silent while marked": _silence,
    "without NATS": _without_nats,
}


def _demand(made: Simulation, number: int) -> None:
    made.demand = steady(number)


def _roll(made: Simulation, number: int) -> None:
    made.wanted = ("a", "b", "c", BROKEN)[number]


def _undo(made: Simulation, _: int) -> None:
    made.ask = f"{UNDO}:{made.wanted}"


def _resume(made: Simulation, _: int) -> None:
    made.ask = f"{RESUME}:{made.wanted}"


def _crash_all(made: Simulation, _: int) -> None:
    for pod in made.pods.values():
        if not pod.leaving:
            made.crash(pod)


def _cordon(made: Simulation, number: int) -> None:
    """A node is being emptied: a third of the gateways is on it, and one of them is evicted first."""
    pods = [pod for place, (_, pod) in enumerate(sorted(made.pods.items())) if place % 3 == number]
    for pod in pods:
        pod.cordoned = True
    for pod in [pod for pod in pods if not pod.leaving][:1]:
        made.evict(pod)


def _heard(made: Simulation, _: int) -> None:
    for pod in made.pods.values():
        pod.silent, pod.nats = False, True


def _deaf(made: Simulation, number: int) -> None:
    made.deaf = bool(number)


def _forget(made: Simulation, _: int) -> None:
    made.forget()


def _damage(made: Simulation, _: int) -> None:
    made.damage()


def _away(made: Simulation, number: int) -> None:
    """The operator does not look for so many seconds."""
    made.look_at = made.now + number


def _bounds(made: Simulation, number: int) -> None:
    made.scaling = replace(made.scaling, autoscaling=replace(made.scaling.autoscaling, max_replicas=number))


def _drains(made: Simulation, number: int) -> None:
    made.scaling = replace(made.scaling, autoscaling=replace(made.scaling.autoscaling, max_concurrent_drains=number))


def _schedule(made: Simulation, number: int) -> None:
    made.least = number


def _fixed(made: Simulation, number: int) -> None:
    made.scaling = replace(made.scaling, mode=Mode.FIXED, replicas=number)


def _outside(made: Simulation, number: int) -> None:
    made.scaling = replace(made.scaling, mode=Mode.EXTERNAL, replicas=number)


def _automatic(made: Simulation, _: int) -> None:
    made.scaling = replace(made.scaling, mode=Mode.OPERATOR, replicas=None)


_TO_ALL: Final[Mapping[str, Callable[[Simulation, int], None]]] = {
    "demand": _demand,
    "rollout": _roll,
    "undo": _undo,
    "resume": _resume,
    "crash all": _crash_all,
    "cordon": _cordon,
    "heard": _heard,
    "deaf": _deaf,
    "forget": _forget,
    "damage": _damage,
    "away": _away,
    "bounds": _bounds,
    "drains": _drains,
    "schedule": _schedule,
    "replicas": _fixed,
    "outside": _outside,
    "automatic": _automatic,
}


def calm(made: Simulation) -> None:
    """Whatever was wrong is mended, and a person wants the rollout to go on."""
    _heard(made, 0)
    made.deaf, made.look_at = False, made.now
    if made.wanted == BROKEN:
        made.wanted = "a"
    _resume(made, 0)


def settle(made: Simulation, seconds: int = 4000) -> None:
    made.run(60)  # the first looks have yet to find what there is
    for _ in range(seconds // 10):
        made.run(10)
        if made.settled():
            return
    raise AssertionError(f"not settled: {made.pods} {made.sets} {made.outcome}")


def check(made: Simulation) -> None:
    assert made.cut == 0
    check_rates(made)
    check_changes(made)
    check_marks(made)


def check_rates(made: Simulation) -> None:
    """Over ten seconds no more are sent away than was allowed in them, but for the first of each gateway."""
    for at in range(0, len(made.asked) - RATE_SECONDS, RATE_SECONDS):
        sent = sum(made.asked[at : at + RATE_SECONDS])
        # A rate that was given holds until the next look: the highest budget of the looks before counts as well.
        looks = slice(max(0, at - RATE_SECONDS), at + RATE_SECONDS)
        shed = max(made.sheds[looks])  # it ends as it was begun, and is seen by the look after
        most = max(*made.allowed[looks], shed) * RATE_SECONDS + shed * MOVING
        assert sent <= 1.1 * most + 2 * max(made.drains[at : at + RATE_SECONDS]), (at, sent, most)


def check_changes(made: Simulation) -> None:
    """No choice to shrink leaves too few, or takes back what was chosen within the window before it; and none is taken
    back within the window after it, unless more came than were there in the window before."""
    auto = made.scaling.autoscaling
    window = auto.stabilization_seconds
    grown_at, shrunk = -math.inf, None
    for change in made.changes:
        if change.outcome.decision.reason in OTHERS_REASONS or change.before > change.high:
            shrunk = None
        elif change.after > change.before:
            grown_at = change.at
            assert not _is_taken_back(shrunk, change, window), (shrunk, change)
        else:
            shrunk = change
            assert change.after >= gateways_for(auto, change.known), change
            assert change.at - grown_at >= window, change


def _is_taken_back(shrunk: Change | None, grown: Change, window: float) -> bool:
    return (
        shrunk is not None
        and grown.at - shrunk.at < window
        and grown.known <= shrunk.peak
        and grown.outcome.decision.reason == "Connections"
    )


def check_marks(made: Simulation) -> None:
    """Who serves is emptied only while as many as are wanted serve on, and no more at once than may be."""
    for marking in made.markings:
        assert marking.left >= marking.outcome.decision.desired, marking


def check_converged(made: Simulation) -> None:
    """After a while in which nothing changes there are enough, and not too many."""
    auto = made.scaling.autoscaling
    made.run(auto.stabilization_seconds + 60)
    settle(made)
    desired = made.desired or 0
    if made.scaling.mode is not Mode.OPERATOR:
        assert desired == made.scaling.replicas
        return
    low = max(auto.min_replicas, min(made.least, auto.max_replicas))
    roomy = replace(auto, headroom_percent=auto.headroom_percent + SPARE_PERCENT)
    clients = made.demand(made.now)  # some of them may be on their way
    assert desired >= min(auto.max_replicas, max(low, gateways_for(auto, clients)))
    assert desired <= min(auto.max_replicas, max(low, gateways_for(roomy, clients)))
