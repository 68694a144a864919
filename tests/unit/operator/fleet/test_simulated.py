"""The whole of the fleet's logic over a simulated fleet: what must hold whatever happens."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.fleet import Simulation, steady

from push_operator.fleet.autoscale import gateways_for
from push_operator.fleet.rollout import State
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, Mode

AUTO = Autoscaling(
    min_replicas=2, max_replicas=30, target_connections=1000, headroom_percent=20, accept_rate=200,
    stabilization_seconds=120, max_concurrent_drains=2,
)  # fmt: skip
SCALING = GatewayScaling(Mode.OPERATOR, None, AUTO, Drain(60, 100))
RATE_SECONDS = 10


def settle(made: Simulation, seconds: int = 4000) -> None:
    made.run(60)  # the first looks have yet to find what there is
    for _ in range(seconds // 10):
        made.run(10)
        if made.settled():
            return
    raise AssertionError(f"not settled: {made.pods} {made.sets} {made.outcome}")


def check_rates(made: Simulation) -> None:
    """Over ten seconds no more are sent away than was allowed in them, but for the first of each gateway."""
    for at in range(0, len(made.asked) - RATE_SECONDS, RATE_SECONDS):
        sent = sum(made.asked[at : at + RATE_SECONDS])
        # A rate that was given holds until the next look: the highest budget of the looks before counts as well.
        most = max(made.allowed[max(0, at - RATE_SECONDS) : at + RATE_SECONDS]) * RATE_SECONDS
        assert sent <= 1.1 * most + 2 * AUTO.max_concurrent_drains, (at, sent, most)


def check_changes(made: Simulation) -> None:
    """No choice to shrink leaves too few, or takes back what was chosen within the window before it."""
    grown_at = -math.inf
    for change in made.changes:
        if change.after > change.before:
            grown_at = change.at
        elif change.outcome.decision.reason != "MaxReplicas":
            assert change.after >= gateways_for(AUTO, change.known), change
            assert change.at - grown_at >= AUTO.stabilization_seconds, change


def test_a_day_of_peaks_is_followed_without_a_cut() -> None:
    made = Simulation(SCALING, lambda at: int(6000 + 5000 * math.sin(at / 3600 * math.tau)))
    made.run(3 * 3600)
    check_rates(made)
    check_changes(made)
    assert made.cut == 0
    assert max(change.after for change in made.changes) >= gateways_for(AUTO, 11_000)
    assert min(change.after for change in made.changes) <= 5


def test_a_rollout_replaces_all_and_cuts_nobody() -> None:
    made = Simulation(SCALING, steady(5000))
    settle(made)
    made.wanted = "b"
    lowest = 99
    for _ in range(3000):
        made.step()
        lowest = min(lowest, len(made.serving()))
        if made.settled():
            break
    assert {pod.revision for pod in made.pods.values()} == {"b"}
    assert lowest >= gateways_for(AUTO, 5000)
    assert made.cut == 0
    check_rates(made)


def test_a_revision_that_does_not_start_is_stopped_and_undone() -> None:
    made = Simulation(SCALING, steady(5000), broken=frozenset({"b"}))
    settle(made)
    before = len(made.serving())
    made.wanted = "b"
    made.run(600)
    assert made.rollout is not None
    assert (made.rollout.state, made.rollout.reason) == (State.STOPPED, "NotReady")
    assert len(made.serving()) == before
    made.ask = "undo:b"
    made.run(200)
    assert {pod.revision for pod in made.pods.values()} == {"a"}
    assert len(made.serving()) == before
    assert made.cut == 0


EVENTS = st.one_of(
    st.tuples(st.just("demand"), st.integers(0, 20_000)),
    st.tuples(st.just("rollout"), st.sampled_from("abc")),
    st.tuples(st.just("crash"), st.integers(0, 30)),
    st.tuples(st.just("evict"), st.integers(0, 30)),
    st.tuples(st.just("silent"), st.integers(0, 30)),
    st.tuples(st.just("heard"), st.just(0)),
    st.tuples(st.just("deaf"), st.booleans()),
    st.tuples(st.just("forget"), st.just(0)),
    st.tuples(st.just("bounds"), st.integers(2, 30)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(EVENTS, st.integers(1, 200)), max_size=12), st.integers(0, 20_000))
def test_whatever_happens_nobody_is_cut_and_it_settles(events: list[tuple[tuple[str, Any], int]], first: int) -> None:
    made = Simulation(SCALING, steady(first))
    made.run(30)
    for (kind, what), pause in events:
        happen(made, kind, what)
        made.run(pause)
        assert made.cut == 0
    happen(made, "heard", 0)
    happen(made, "deaf", False)
    settle(made)
    assert made.cut == 0
    check_rates(made)
    high = made.scaling.autoscaling.max_replicas
    assert made.memory is not None
    assert made.memory.desired is not None
    assert made.memory.desired >= min(high, gateways_for(AUTO, made.connections))


def happen(made: Simulation, kind: str, what: Any) -> None:
    if kind in ("crash", "evict", "silent"):
        _strike(made, kind, what)
        return
    match kind:
        case "demand":
            made.demand = steady(what)
        case "rollout":
            made.wanted = what
        case "forget":
            made.forget()
        case "deaf":
            made.deaf = what
        case "bounds":
            made.scaling = replace(made.scaling, autoscaling=replace(AUTO, max_replicas=what))
        case "heard":
            for pod in made.pods.values():
                pod.silent = False


def _strike(made: Simulation, kind: str, number: int) -> None:
    pods = sorted(made.pods)
    if not pods:
        return
    pod = made.pods[pods[number % len(pods)]]
    if kind == "silent":
        pod.silent = True
    elif not pod.leaving:
        (made.crash if kind == "crash" else made.evict)(pod)
