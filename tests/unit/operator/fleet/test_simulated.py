"""The whole of the fleet's logic over a simulated fleet: what must hold whatever happens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bench.day import a_day
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.fleet import Simulation, steady
from tests.support.storms import (
    ARGUMENTS,
    AUTO,
    BROKEN,
    SCALING,
    Event,
    calm,
    check,
    check_converged,
    happen,
    settle,
)

from push_operator.fleet.autoscale import gateways_for
from push_operator.fleet.rollout import State
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, Mode


def test_three_hours_of_peaks_are_followed_without_a_cut() -> None:
    made = Simulation(SCALING, lambda at: int(6000 + 5000 * math.sin(at / 3600 * math.tau)))
    made.run(3 * 3600)
    check(made)
    assert max(change.after for change in made.changes) >= gateways_for(AUTO, 11_000)
    assert min(change.after for change in made.changes) <= 5


def test_a_day_of_a_hundred_thousand_with_crashes_a_rollout_and_an_hour_without_metrics() -> None:
    points, made = a_day(100_000, seed=1)
    check(made)
    assert {pod.revision for pod in made.pods.values()} == {"b"}
    assert made.crashed > 0
    assert max(one.connections for one in points) > 95_000
    assert max(one.serving for one in points) > 4 * min(one.serving for one in points)


MILLION = Autoscaling(
    min_replicas=10, max_replicas=1200, target_connections=1250, headroom_percent=20, accept_rate=500,
    stabilization_seconds=60, max_concurrent_drains=50,
)  # fmt: skip


def test_a_thousand_gateways_with_a_million_clients_shrink_and_roll() -> None:
    scaling = GatewayScaling(Mode.OPERATOR, None, replace(MILLION, min_replicas=1100), Drain(60, 10_000))
    made = Simulation(scaling, steady(1_000_000), slowest=20.0, zones=3)
    settle(made)
    assert len(made.serving()) == 1100
    made.scaling = replace(scaling, autoscaling=MILLION)
    made.demand = steady(800_000)
    settle(made)
    needed = gateways_for(MILLION, 800_000)
    assert needed <= len(made.serving()) < 1000
    made.wanted = "b"
    lowest = 2000
    while not made.settled():
        made.step()
        lowest = min(lowest, len(made.serving()))
        assert made.now < 3000
    assert lowest >= needed
    assert {pod.revision for pod in made.pods.values()} == {"b"}
    check(made)


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
    check(made)


def test_a_revision_that_does_not_start_is_stopped_and_undone() -> None:
    made = Simulation(SCALING, steady(5000), broken=frozenset({BROKEN}))
    settle(made)
    before = len(made.serving())
    made.wanted = BROKEN
    made.run(600)
    assert made.rollout is not None
    assert (made.rollout.state, made.rollout.reason) == (State.STOPPED, "NotReady")
    assert len(made.serving()) == before
    made.ask = f"undo:{BROKEN}"
    made.run(200)
    assert {pod.revision for pod in made.pods.values()} == {"a"}
    assert len(made.serving()) == before
    check(made)


def test_when_all_crash_at_once_everybody_comes_back_and_the_storm_takes_nothing_away() -> None:
    made = Simulation(SCALING, steady(8000), slowest=20.0)
    settle(made)
    before = len(made.serving())
    happen(made, ("crash all", 0))
    made.run(60)
    assert made.connections == 8000
    assert len(made.serving()) >= before
    check_converged(made)
    check(made)


EVENTS = st.sampled_from(sorted(ARGUMENTS)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.integers(*ARGUMENTS[kind]))
)
WORLDS = st.fixed_dictionaries(
    {
        "starts": st.floats(1, 20),
        "slowest": st.sampled_from([0.0, 60.0]),
        "set_seconds": st.sampled_from([1.0, 3.0, 10.0]),
        "late": st.booleans(),
        "zones": st.sampled_from([0, 3]),
        "seed": st.integers(0, 1000),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(WORLDS, st.integers(1, 5), st.lists(st.tuples(EVENTS, st.integers(1, 200)), max_size=12), st.integers(0, 20_000))
def test_whatever_happens_nobody_is_cut_and_it_settles(
    world: Mapping[str, Any], drains: int, events: list[tuple[Event, int]], first: int
) -> None:
    scaling = replace(SCALING, autoscaling=replace(AUTO, max_concurrent_drains=drains))
    made = Simulation(scaling, steady(first), broken=frozenset({BROKEN}), **world)
    made.run(30)
    for event, pause in events:
        happen(made, event)
        made.run(pause)
    calm(made)
    settle(made)
    check_converged(made)
    check(made)
