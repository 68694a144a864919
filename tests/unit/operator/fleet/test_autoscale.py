"""How many gateways: the design's formulas, row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.autoscale import GAP_SECONDS, Decision, decide, gateways_for
from push_operator.fleet.measure import Load
from push_operator.fleet.memory import Memory, Peak
from push_operator.scaling import Autoscaling, GatewayScaling, Mode

AUTO = Autoscaling(min_replicas=1, max_replicas=20, target_connections=1000, headroom_percent=20, accept_rate=100,
                   stabilization_seconds=300)  # fmt: skip
SCALING = GatewayScaling(Mode.OPERATOR, None, AUTO)
LONG = 10_000.0  # after so long nothing holds it back


def _load(known: int = 1600, ready: int = 2, *, fresh: int | None = None, rate: float = 0.0, busy: float = 0.0,
          pressed: int = 0, feared: int | None = None, unready: int = 0) -> Load:  # fmt: skip
    heard = ready if fresh is None else fresh
    silent = ready - heard + unready
    return Load(known, known if feared is None else feared, ready, heard, rate, busy, pressed, bus=True, silent=silent)


def _memory(desired: int, began: float = 0.0, **more: Any) -> Memory:
    """Of an operator that has looked at it until now."""
    return Memory(began=began, looked=LONG - 10, desired=desired, **more)


def _decision(
    load: Load, desired: int = 2, *, memory: Memory | None = None, frozen: str = "", least: int = 0
) -> Decision:
    memory = memory or _memory(desired)
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
    memory = _memory(2, raised=LONG - 14)
    assert (_decision(_load(2400), memory=memory).desired, _decision(_load(2400), memory=memory).limited_by) == (
        2,
        "pace",
    )
    assert _decision(_load(2400), memory=replace(memory, raised=LONG - 15)).desired == 3


@pytest.mark.parametrize("seconds", [0, 299])
def test_what_was_wanted_within_the_window_is_kept(seconds: int) -> None:
    memory = _memory(5, wants=(Peak(LONG - seconds, 5),))
    assert _decision(_load(1600, ready=5), memory=memory).desired == 5


def test_it_shrinks_with_room_to_spare() -> None:
    assert _decision(_load(1600, ready=5), 5).desired == 3  # 2 would do, but for the spare tenth
    assert _decision(_load(1400, ready=5), 5).desired == 2
    assert _decision(_load(1400, ready=5, feared=2800), 5).desired == 4  # the most of the window may have been
    assert _decision(_load(1400, ready=5, busy=2.5), 5).desired == 4  # and not too busy


@pytest.mark.parametrize(
    ("load", "memory", "frozen", "reason"),
    [
        (_load(100, ready=5, fresh=4), _memory(5), "", "MetricsPartial"),
        (_load(100, ready=5, fresh=2), _memory(5), "", "MetricsLost"),
        (_load(100, ready=5, unready=1), _memory(5), "", "MetricsPartial"),  # it may have clients all the same
        (_load(0, ready=0, unready=5), _memory(5), "", "MetricsLost"),
        (_load(100, ready=5), _memory(5, began=LONG - 299), "", "Restarted"),
        (_load(100, ready=5), _memory(5), "RolloutUnderWay", "RolloutUnderWay"),
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
    decision, memory = decide(fixed, _load(), _memory(2), LONG)
    assert (decision.desired, decision.reason, memory.desired) == (7, "Fixed", 7)


def _after(memory: Memory, load: Load, now: float) -> tuple[Decision, Memory]:
    return decide(SCALING, load, memory, now)


def test_a_gap_between_looks_is_no_window_that_was_looked_at() -> None:
    memory = _memory(5)
    later, _ = _after(memory, _load(100, ready=5), LONG - 10 + GAP_SECONDS)
    assert (later.desired, later.reason) == (1, "Connections")
    late, after = _after(memory, _load(100, ready=5), LONG - 9 + GAP_SECONDS)
    assert (late.desired, late.reason, late.limited_by) == (5, "Restarted", "Restarted")
    assert late.shrinks_at == LONG - 9 + GAP_SECONDS + AUTO.stabilization_seconds
    assert after.began == LONG - 9 + GAP_SECONDS


def test_who_left_the_number_to_others_begins_anew() -> None:
    _, memory = decide(GatewayScaling(Mode.EXTERNAL, 5), _load(), _memory(5), LONG)
    decision, _ = _after(memory, _load(100, ready=5), LONG + 10)
    assert (decision.desired, decision.reason) == (5, "Restarted")


def test_whoever_was_not_heard_may_have_been_full_for_the_whole_window() -> None:
    _, memory = _after(_memory(5), _load(100, ready=5, fresh=0, feared=5000), LONG)
    decision, memory = _after(memory, _load(100, ready=5), LONG + 50)
    assert (decision.desired, decision.reason, decision.limited_by) == (5, "Steady", "window")
    assert decision.shrinks_at == LONG + AUTO.stabilization_seconds
    memory = replace(memory, looked=LONG + 295)
    assert _after(memory, _load(100, ready=5), LONG + 299)[0].desired == 5
    assert _after(memory, _load(100, ready=5), LONG + 300)[0].desired == 1


def test_it_tells_when_it_may_shrink_only_where_time_alone_holds_it() -> None:
    wanted = _decision(_load(1400, ready=5), memory=_memory(5, wants=(Peak(LONG - 100, 5),)))
    assert (wanted.limited_by, wanted.shrinks_at) == ("window", LONG + 200)
    both = _memory(5, wants=(Peak(LONG - 100, 5),), loads=(Peak(LONG - 20, 4000),))
    assert _decision(_load(1400, ready=5), memory=both).shrinks_at == LONG + 280
    spare = _decision(_load(1600, ready=3), 3)  # two would do, but not with a tenth to spare
    assert (spare.desired, spare.limited_by, spare.shrinks_at) == (3, "", None)
    least = _decision(_load(100, ready=4), memory=_memory(4, wants=(Peak(LONG - 100, 4),)), least=4)
    assert (least.reason, least.limited_by, least.shrinks_at) == ("MinReplicas", "", None)


def test_a_hold_tells_when_it_ends() -> None:
    memory = _memory(5, began=LONG - 100, wants=(Peak(LONG - 200, 3),))
    held = _decision(_load(100, ready=5), memory=memory)
    assert (held.reason, held.shrinks_at) == ("Restarted", LONG + 200)
    memory = _memory(5, wants=(Peak(LONG - 200, 3),))
    held = _decision(_load(100, ready=5), memory=memory, frozen="RolloutUnderWay")
    assert (held.reason, held.shrinks_at, held.message) == (
        "RolloutUnderWay", LONG + 100, "a rollout is under way: it does not shrink"
    )  # fmt: skip
    assert _decision(_load(100, ready=5), 5, frozen="Other").message == "Other"


@pytest.mark.parametrize(
    ("ready", "current", "wanted"),
    [
        (1, 1, 5),  # four more at least
        (4, 4, 8),
        (5, 5, 10),  # or as many as serve
        (2, 6, 6),  # those that are starting count: no more until they serve
        (6, 6, 12),
        (9, 9, 18),
    ],
)
def test_a_step_up_is_bounded_by_those_that_serve(ready: int, current: int, wanted: int) -> None:
    decision = _decision(_load(90_000, ready=ready), current)
    assert (decision.desired, decision.limited_by) == (wanted, "pace")


def test_the_pace_does_not_hold_the_least_back() -> None:
    decision = _decision(_load(100, ready=1), 1, least=15)
    assert (decision.desired, decision.reason, decision.limited_by) == (15, "MinReplicas", "")
    assert decision.message == "there are to be at least 15 now"


def test_one_more_a_window_for_the_broker_and_one_a_minute_for_the_cpu() -> None:
    pressed, busy = _load(1600, ready=3, pressed=1), _load(1600, busy=1.7)
    assert _decision(pressed, memory=_memory(3, boosted=LONG - 299)).reason == "Steady"
    assert _decision(pressed, memory=_memory(3, boosted=LONG - 300)).desired == 4
    assert _decision(busy, memory=_memory(2, boosted=LONG - 59)).reason == "Steady"
    decision, memory = decide(SCALING, busy, _memory(2, boosted=LONG - 60), LONG)
    assert (decision.desired, memory.boosted, memory.raised) == (3, LONG, LONG)
    _, memory = decide(SCALING, _load(2400), _memory(2), LONG)
    assert (memory.boosted, memory.raised) == (None, LONG)


@pytest.mark.parametrize(
    ("ready", "pressed", "grows"),
    [(1, 1, False), (2, 1, False), (3, 1, True), (3, 2, False), (4, 1, True), (4, 2, False), (5, 2, True)],
)
def test_the_broker_is_slow_itself_when_half_are_pressed(ready: int, pressed: int, grows: bool) -> None:
    decision = _decision(_load(100, ready=ready, pressed=pressed), ready)
    assert (decision.reason == "BrokerPressure") is grows


def test_while_some_start_the_cpu_asks_for_no_more() -> None:
    assert _decision(_load(1600, ready=2, busy=1.7), 3).reason != "Cpu"
    assert _decision(_load(1600, ready=2, busy=1.61), 2).desired == 3
    assert _decision(_load(1600, ready=2, busy=1.6), 2).desired == 2


def test_what_is_not_known_of_the_broker_says_nothing() -> None:
    load = replace(_load(1600, ready=3), bus=False)
    (signal,) = [one for one in _decision(load, 3).signals if one.name == "BrokerPressure"]
    assert (signal.value, signal.wants) == ("unknown", 0)


def test_every_signal_is_told() -> None:
    signals = _decision(_load(2400, ready=3, rate=250.0, busy=1.5, pressed=1), 3).signals
    assert [(one.name, one.value, one.wants) for one in signals] == [
        ("Connections", "2400", 3),
        ("AcceptRate", "250.0/s", 3),
        ("BrokerPressure", "1 of 3 pressed", 4),
        ("Cpu", "50%", 0),
    ]


@pytest.mark.parametrize(("fresh", "lost"), [(2, False), (1, True), (0, True)])
def test_half_of_them_must_be_heard(fresh: int, lost: bool) -> None:
    decision = _decision(_load(9000, ready=4, fresh=fresh), 4)
    assert decision.active is not lost
    assert (decision.desired == 4) is lost


def test_lost_metrics_hold_within_the_bounds() -> None:
    assert _decision(_load(100, ready=30, fresh=0), 30).desired == 20
    assert _decision(_load(100, ready=2, fresh=0), 2, least=4).desired == 4
    assert _decision(_load(100, ready=5, fresh=2), 5).message == "3 of 5 gateways say nothing: it stays at 5"


def test_at_the_highest_headroom_something_is_left_to_fill() -> None:
    scaling = GatewayScaling(Mode.OPERATOR, None, replace(AUTO, headroom_percent=80, stabilization_seconds=0))
    decision, _ = decide(scaling, _load(100, ready=9), _memory(9), LONG)
    assert decision.desired == 1
    odd = replace(scaling, autoscaling=replace(scaling.autoscaling, headroom_percent=89))
    assert decide(odd, _load(100, ready=9), _memory(9), LONG)[0].desired == 2


LOADS = st.builds(
    lambda known, extra, ready, silent, rate, busy, pressed: Load(
        known, known + extra, ready, max(0, ready - silent), rate, busy, min(pressed, ready), bus=True, silent=silent
    ),
    st.integers(0, 30_000), st.integers(0, 5000), st.integers(0, 25), st.integers(0, 25), st.floats(0, 5000),
    st.floats(0, 20), st.integers(0, 25),
)  # fmt: skip


@given(st.lists(st.tuples(LOADS, st.sampled_from([2.0, 10.0, 40.0, 100.0]), st.integers(0, 25)), max_size=60))
def test_whatever_is_seen_each_decision_is_within_bounds_and_none_undoes_another(
    looks: list[tuple[Load, float, int]],
) -> None:
    memory, now, grown_at, before = Memory(began=0.0), 0.0, 0.0, None
    for load, pause, least in looks:
        now += pause
        decision, memory = decide(SCALING, load, memory, now, least=least)
        assert 1 <= decision.desired <= 20
        assert decision.desired >= min(least, 20) or decision.limited_by == "pace"
        assert memory.desired == decision.desired
        if before is not None and decision.desired < before:
            assert load.complete
            assert now - grown_at >= AUTO.stabilization_seconds
            assert decision.desired >= gateways_for(AUTO, load.feared)
        if before is not None and decision.desired > before:
            grown_at = now
            assert decision.desired <= max(least, load.ready + max(load.ready, 4))
        before = decision.desired


def test_the_bounds_themselves() -> None:
    full = _decision(_load(16_000, ready=15), 15)
    assert (full.desired, full.limited_by) == (20, "")  # as many as it wants, and not more than it may
    at_most = _decision(_load(90_000, ready=20), memory=_memory(20, raised=LONG - 1))
    assert (at_most.desired, at_most.reason, at_most.limited_by) == (20, "Connections", "maxReplicas")
    assert at_most.message == "Connections 90000 ask for 113, limited by maxReplicas"
    assert _decision(_load(1400, ready=20), 20).desired == 2
    least = _decision(_load(100, ready=3), 3, least=3)
    assert (least.desired, least.reason, least.message) == (3, "MinReplicas", "that many are right")
    both = _decision(_load(2400, ready=2), 2, least=3)
    assert (both.desired, both.reason, both.message) == (3, "Connections", "Connections 2400 ask for 3")


def test_who_decides_is_told() -> None:
    said = [
        decide(GatewayScaling(mode, 3), _load(), _memory(2), LONG)[0].message for mode in (Mode.FIXED, Mode.EXTERNAL)
    ]
    assert said == ["spec.gateway.replicas is 3", "spec.gateway.replicas, set from outside is 3"]


def test_with_nobody_heard_nobody_is_busy() -> None:
    (cpu,) = [one for one in _decision(_load(0, ready=0), 1).signals if one.name == "Cpu"]
    assert (cpu.value, cpu.wants) == ("0%", 0)


def test_a_step_that_those_that_serve_do_not_allow_is_no_step() -> None:
    decision, memory = decide(SCALING, _load(90_000, ready=2), _memory(6), LONG)
    assert (decision.desired, decision.limited_by, memory.raised) == (6, "pace", None)


def test_what_the_schedule_asked_for_is_kept_for_a_window() -> None:
    _, memory = decide(SCALING, _load(100, ready=5), _memory(5), LONG, least=5)
    later, memory = _after(memory, _load(100, ready=5), LONG + 50)
    assert (later.desired, later.shrinks_at) == (5, LONG + 300)


def test_a_lower_maximum_counts_at_once_whatever_is_wanted() -> None:
    decision = _decision(_load(90_000, ready=30), 30)
    assert (decision.desired, decision.limited_by) == (20, "maxReplicas")


def test_a_window_is_over_when_it_is() -> None:
    assert _decision(_load(100, ready=5), memory=_memory(5, began=LONG - 300)).desired == 1
    exactly = _decision(_load(100, ready=5), memory=_memory(5, loads=(Peak(LONG - 50, 3500),)))
    assert (exactly.desired, exactly.shrinks_at) == (5, LONG + 250)
    as_many = _decision(_load(100, ready=5, fresh=4), memory=_memory(5, wants=(Peak(LONG - 50, 5),)))
    assert as_many.reason == "Steady"  # it would not shrink with all of them heard
