"""How many gateways: the design's formulas, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from push_operator.fleet.autoscale import Decision, decide, gateways_for
from push_operator.fleet.measure import Load
from push_operator.fleet.memory import Memory, Peak
from push_operator.scaling import Autoscaling, GatewayScaling, Mode

AUTO = Autoscaling(min_replicas=1, max_replicas=20, target_connections=1000, headroom_percent=20, accept_rate=100,
                   stabilization_seconds=300)  # fmt: skip
SCALING = GatewayScaling(Mode.OPERATOR, None, AUTO)
LONG = 10_000.0  # after so long nothing holds it back


def _load(known: int = 1600, ready: int = 2, *, fresh: int | None = None, rate: float = 0.0, busy: float = 0.0,
          pressed: int = 0, feared: int | None = None) -> Load:  # fmt: skip
    heard = ready if fresh is None else fresh
    return Load(known, known if feared is None else feared, ready, heard, rate, busy, pressed, bus=True)


def _decision(
    load: Load, desired: int = 2, *, memory: Memory | None = None, frozen: str = "", least: int = 0
) -> Decision:
    memory = memory or Memory(began=0.0, desired=desired)
    return decide(SCALING, load, memory, LONG, least=least, frozen=frozen)[0]


@pytest.mark.parametrize(
    ("connections", "wanted"), [(0, 0), (1, 1), (800, 1), (801, 2), (1600, 2), (1601, 3), (16_000, 20)]
)
def test_so_many_that_each_has_its_headroom(connections: int, wanted: int) -> None:
    assert gateways_for(AUTO, connections) == wanted


@pytest.mark.parametrize(
    ("load", "desired", "reason", "limited"),
    [
        (_load(1600), 2, "Steady", ""),
        (_load(2400), 3, "Connections", ""),
        (_load(2400, rate=500), 5, "AcceptRate", ""),
        (_load(1600, rate=5000), 3, "AcceptRate", ""),  # a storm counts for no more than half as many again
        (_load(90_000, ready=12), 20, "Connections", "maxReplicas"),
        (_load(90_000), 6, "Connections", "pace"),  # four at a time, or as many as serve
        (_load(1600, pressed=0), 2, "Steady", ""),
        (_load(1600, ready=3, pressed=1), 3, "BrokerPressure", ""),
        (_load(1600, ready=2, pressed=1), 2, "Steady", ""),  # as many as half: then it is the broker that is slow
        (_load(1600, busy=1.7), 3, "Cpu", ""),
        (_load(1600, busy=1.5), 2, "Steady", ""),
    ],
)
def test_each_signal(load: Load, desired: int, reason: str, limited: str) -> None:
    decision = _decision(load)
    assert (decision.desired, decision.reason, decision.limited_by) == (desired, reason, limited)


def test_a_step_waits_for_the_one_before() -> None:
    memory = Memory(began=0.0, desired=2, raised=LONG - 14)
    assert (_decision(_load(2400), memory=memory).desired, _decision(_load(2400), memory=memory).limited_by) == (
        2,
        "pace",
    )
    assert _decision(_load(2400), memory=replace(memory, raised=LONG - 15)).desired == 3


@pytest.mark.parametrize("seconds", [0, 299])
def test_what_was_wanted_within_the_window_is_kept(seconds: int) -> None:
    memory = Memory(began=0.0, desired=5, wants=(Peak(LONG - seconds, 5),))
    assert _decision(_load(1600, ready=5), memory=memory).desired == 5


def test_it_shrinks_with_room_to_spare() -> None:
    assert _decision(_load(1600, ready=5), 5).desired == 3  # 2 would do, but for the spare tenth
    assert _decision(_load(1400, ready=5), 5).desired == 2
    assert _decision(_load(1400, ready=5, feared=2800), 5).desired == 4  # the most of the window may have been
    assert _decision(_load(1400, ready=5, busy=2.5), 5).desired == 4  # and not too busy


@pytest.mark.parametrize(
    ("load", "memory", "frozen", "reason"),
    [
        (_load(100, ready=5, fresh=4), Memory(began=0.0, desired=5), "", "MetricsPartial"),
        (_load(100, ready=5, fresh=2), Memory(began=0.0, desired=5), "", "MetricsLost"),
        (_load(100, ready=5), Memory(began=LONG - 299, desired=5), "", "Restarted"),
        (_load(100, ready=5), Memory(began=0.0, desired=5), "RolloutUnderWay", "RolloutUnderWay"),
    ],
)
def test_what_is_not_certain_takes_nothing_away(load: Load, memory: Memory, frozen: str, reason: str) -> None:
    decision = _decision(load, memory=memory, frozen=frozen)
    assert (decision.desired, decision.reason) == (5, reason)
    assert decision.active is (reason != "MetricsLost")


def test_bounds_count_at_once() -> None:
    memory = Memory(began=LONG, desired=30, wants=(Peak(LONG, 30),))
    assert _decision(_load(100, ready=30), memory=memory).desired == 20
    assert _decision(_load(100, ready=3), 3, least=4).desired == 4
    assert _decision(_load(100, ready=3), 3, least=400).desired == 20


def test_others_who_say_so_are_obeyed() -> None:
    fixed = GatewayScaling(Mode.FIXED, 7)
    decision, memory = decide(fixed, _load(), Memory(began=0.0, desired=2), LONG)
    assert (decision.desired, decision.reason, memory.desired) == (7, "Fixed", 7)
