"""One whole look at a fleet: what the parts come to together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from push_operator.fleet.memory import Memory, Moment
from push_operator.fleet.rebalance import RebalanceMemory
from push_operator.fleet.rollout import Rollout, State
from push_operator.fleet.steer import HOLD_SECONDS, HUNG_SECONDS
from push_operator.fleet.tick import Outcome, Told, is_moving, tick
from push_operator.fleet.values import Draining, Fleet, Gateway, GatewaySet, Mark, Sample, Stats, Steps, Why
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, Mode

NOW = 1000.0
WALL = 5000.0
AUTO = GatewayScaling(Mode.OPERATOR, None, Autoscaling(1, 20, 1000, stabilization_seconds=300), Drain(60, 100))


def _fixed(replicas: int) -> GatewayScaling:
    return replace(AUTO, mode=Mode.FIXED, replicas=replicas)


def _one(name: str, connections: int = 10, *, ready: bool = True, mark: Why | None = None, ago: float = 10.0,
         draining: Draining | None = None, at: float | None = NOW, **more: Any) -> Gateway:  # fmt: skip
    """`ago`: seconds since it was marked; `at`: of its sample."""
    stats = {key: more.pop(key) for key in ("nats", "boot") if key in more}
    sample = (
        None if at is None else Sample(at, Stats(**{"boot": name, **stats}, connections=connections, draining=draining))
    )
    marked = Mark(mark, WALL - ago) if mark is not None else None
    return Gateway(name, name, name[0], ready, mark=marked, sample=sample, **more)


def _fleet(*gateways: Gateway, wanted: str = "a", **sizes: int) -> Fleet:
    sets = sizes or {"a": len(gateways)}
    return Fleet(wanted, tuple(GatewaySet(revision, size) for revision, size in sets.items()), gateways)


def _tick(
    fleet: Fleet, scaling: GatewayScaling, memory: Memory | None = None, told: Told | None = None, now: float = NOW
) -> Outcome:
    return tick(fleet, scaling, memory, told or Told(), Moment(now, WALL + now - NOW))


@pytest.mark.parametrize(
    ("memory", "told", "desired"),
    [
        (Memory(began=0.0, desired=5), Told(desired=7), 5),
        (None, Told(desired=7), 7),
        (None, Told(), 3),  # as many as are there to stay
    ],
)
def test_it_goes_on_from_what_was_decided_last(memory: Memory | None, told: Told, desired: int) -> None:
    fleet = _fleet(_one("a1"), _one("a2"), _one("a3"), _one("a4", mark=Why.SCALE_DOWN))
    assert _tick(fleet, AUTO, memory, told).decision.desired == desired


def test_who_knows_nothing_at_all_begins_with_the_least() -> None:
    assert _tick(Fleet("a"), AUTO).decision.desired == 1
    assert _tick(Fleet("a"), AUTO, told=Told(least=4)).decision.desired == 4
    assert _tick(_fleet(_one("a1", mark=Why.ROLLOUT)), AUTO).decision.desired == 1


def test_one_that_is_marked_now_is_told_to_drain_now() -> None:
    steps = _tick(_fleet(_one("a1", 5), _one("a2", 9)), _fixed(1)).steps
    assert steps == Steps(marks={"a1": Why.SCALE_DOWN}, rates={"a1": 100.0})


@pytest.mark.parametrize(
    ("gateway", "told"),
    [
        (_one("a1", 5, mark=Why.SCALE_DOWN), True),
        (_one("a1", 5, mark=Why.SCALE_DOWN, draining=Draining(100.0, 5), ready=False), False),  # it is already
        (_one("a1", 5, mark=Why.SCALE_DOWN, leaving=True), False),
        (_one("a1", 0, mark=Why.SCALE_DOWN, at=None, ready=False, pending=True), False),
        (_one("a1", 5, mark=Why.QUARANTINE, ago=HOLD_SECONDS - 1), False),  # it may yet be well again
        (_one("a1", 5, mark=Why.QUARANTINE, ago=HOLD_SECONDS), True),
        (_one("a1", 5), False),
        (_one("a1", 5, mark=Why.SCALE_DOWN, at=None), True),  # whatever it does not say
    ],
)
def test_who_is_told_to_drain(gateway: Gateway, told: bool) -> None:
    steps = _tick(_fleet(gateway, _one("a2"), a=2), _fixed(1 if gateway.mark else 2)).steps
    assert ("a1" in steps.rates) is told


def test_one_that_is_taken_back_is_told_nothing_else() -> None:
    back = _one("a1", 5, mark=Why.SCALE_DOWN, draining=Draining(1.0, 5), ready=False)
    steps = _tick(_fleet(back, _one("a2")), _fixed(2)).steps
    assert (steps.marks, steps.rates) == ({"a1": None}, {})


def test_the_budget_is_shared_with_those_that_end_by_themselves() -> None:
    ends = _one("b1", 50, draining=Draining(60.0, 50, stopping=True), leaving=True, ready=False)
    made = _tick(_fleet(_one("a1", 5), _one("a2", 9), ends, a=2), _fixed(1))
    assert made.budget == 100.0
    assert made.steps.rates == {"a1": 40.0}


def test_the_budget_is_shared_with_those_that_shed_some_and_serve_on() -> None:
    def one(at: float, asked: int) -> Gateway:
        return Gateway(
            "a3", "a3", "a", ready=True, sample=Sample(at, Stats("a3", connections=50, reconnects_asked=asked))
        )

    memory = _tick(_fleet(_one("a1", 5), _one("a2", 9), one(NOW, 0), a=3), _fixed(3)).memory
    later = _fleet(_one("a1", 5, at=NOW + 10), _one("a2", 9, at=NOW + 10), one(NOW + 10, 300), a=3)
    assert _tick(later, _fixed(2), memory, now=NOW + 10).steps.rates == {"a1": 70.0}


GOING = _one("a1", 0, mark=Why.SCALE_DOWN, draining=Draining(1.0, 0), ready=False)


def test_while_a_set_is_about_to_lose_one_nothing_in_it_changes() -> None:
    """Its ReplicaSet takes whom it finds marked, or not ready, when it acts."""
    scaling = replace(_fixed(1), autoscaling=Autoscaling(max_concurrent_drains=5))
    others = (_one("a2", 5, mark=Why.SCALE_DOWN), _one("a3", 9), _one("a4", 9))
    steps = _tick(_fleet(GOING, *others, a=4), scaling).steps
    assert (set(steps.gone), steps.sizes) == ({"a1"}, {"a": 3})
    assert (steps.marks, steps.rates) == ({}, {})  # a2 is ready still
    assert _tick(_fleet(GOING, *others, a=3), scaling).steps == Steps()
    gone = _tick(_fleet(*others, a=3), scaling).steps
    assert len(gone.marks) == 1
    assert set(gone.rates) == {"a2", *gone.marks}


def test_one_that_goes_is_not_taken_back_because_it_is_well() -> None:
    """The set, one smaller already, would take another for it."""
    memory = None
    for at in (NOW, NOW + 20, NOW + 40):
        well = _one("a1", 0, at=at, boot=str(at), mark=Why.QUARANTINE, draining=Draining(1.0, 0), ready=False)
        size = 3 if at < NOW + 40 else 2
        made = _tick(_fleet(well, _one("a2", 5, at=at), _one("a3", 5, at=at), a=size), _fixed(2), memory, now=at)
        memory = made.memory
    assert made.health.back == {"a1"}
    assert made.steps == Steps()


def test_one_that_drains_already_may_be_told_to_be_faster_meanwhile() -> None:
    drains = _one("a2", 5, mark=Why.SCALE_DOWN, draining=Draining(20.0, 5), ready=False)
    assert _tick(_fleet(GOING, drains, _one("a3", 9), a=2), _fixed(1)).steps.rates == {"a2": 100.0}


def test_sets_of_other_revisions_are_not_kept_waiting() -> None:
    going = replace(GOING, name="b1", uid="b1", revision="b")
    scaling = replace(_fixed(1), autoscaling=Autoscaling(max_concurrent_drains=2))
    steps = _tick(_fleet(going, _one("a1", 5), _one("a2", 9), a=2, b=1), scaling).steps
    assert steps.gone == {"b1"}
    assert steps.marks == {"a1": Why.SCALE_DOWN}


def _sick(seconds: float, size: int) -> Outcome:
    """What comes of it when of so many `a1` has had no NATS for so many seconds, and then one fewer is wanted."""
    memory = None
    for at in (NOW, NOW + seconds / 2, NOW + seconds):
        well = [_one(f"a{number}", 9, at=at, boot=str(at)) for number in range(2, size + 1)]
        wanted = size - 1 if at == NOW + seconds else size
        made = _tick(_fleet(_one("a1", 50, at=at, nats=False), *well), _fixed(wanted), memory, now=at)
        memory = made.memory
    return made


def test_beside_a_deaf_one_that_is_quarantined_nobody_else_is_taken_out() -> None:
    """Each alone would leave enough, and both together might not. It keeps its clients."""
    made = _sick(30.0, 5)
    assert (made.steps.marks, made.steps.rates) == ({"a1": Why.QUARANTINE}, {})
    assert set(_sick(28.0, 5).steps.marks.values()) == {Why.SCALE_DOWN}


def test_a_trouble_of_most_takes_nothing_away() -> None:
    memory = Memory(began=0.0, looked=NOW - 10, desired=3)
    fleet = _fleet(_one("a1", 5, nats=False), _one("a2", 5, nats=False), _one("a3", 5))
    made = _tick(fleet, AUTO, memory)
    assert (made.decision.desired, made.decision.reason) == (3, "BrokerDegraded")


def test_a_rollout_takes_nothing_away() -> None:
    memory = Memory(began=0.0, looked=NOW - 10, desired=3)
    fleet = _fleet(_one("a1", 5), _one("a2", 5), _one("a3", 5), wanted="b", a=3, b=0)
    made = _tick(fleet, AUTO, memory)
    assert (made.decision.desired, made.decision.reason) == (3, "RolloutUnderWay")


def test_a_stopped_rollout_goes_no_further_and_is_made_good() -> None:
    fleet = _fleet(_one("a1"), _one("a2"), _one("b1", 0, ready=False), wanted="b", a=2, b=1)
    stopped = Told(rollout=Rollout("b", State.STOPPED, "NotReady", "b1 is not ready"))
    assert _tick(fleet, _fixed(2), told=stopped).steps == Steps()
    assert _tick(fleet, _fixed(3), told=stopped).steps.sizes == {"a": 3}
    undone = _tick(fleet, _fixed(2), told=replace(stopped, ask="undo:b"))
    assert undone.steps.marks == {"b1": Why.ROLLOUT}


def test_whom_it_cannot_hear_it_empties_only_when_that_does_not_pass() -> None:
    patience = AUTO.drain.timeout_seconds + HUNG_SECONDS
    fleet = _fleet(_one("a1", at=None), _one("a2", at=None), _one("a3"), _one("a4", at=None))
    first = _tick(fleet, _fixed(3))
    assert (first.steps.marks, first.memory.blind) == ({}, NOW)
    later = replace(fleet, gateways=(*fleet.gateways[:2], _one("a3", at=NOW + patience), fleet.gateways[3]))
    assert _tick(later, _fixed(3), first.memory, now=NOW + patience - 1).steps.marks == {}
    goes_on = _tick(later, _fixed(3), first.memory, now=NOW + patience)
    assert len(goes_on.steps.marks) == 1
    heard = _fleet(*(_one(f"a{number}", at=NOW + 10) for number in range(1, 5)))
    assert _tick(heard, _fixed(3), first.memory, now=NOW + 10).memory.blind is None


@pytest.mark.parametrize(
    ("fleet", "scaling", "moves"),
    [
        (_fleet(_one("a1"), _one("a2")), _fixed(2), False),
        (_fleet(_one("a1"), _one("a2")), _fixed(3), True),
        (_fleet(_one("a1"), _one("a2"), wanted="b", a=2, b=0), _fixed(2), True),
        (_fleet(_one("a1"), _one("a2", mark=Why.QUARANTINE, ago=1.0), _one("a3"), a=3), _fixed(2), True),
        (_fleet(_one("a1"), _one("a2", leaving=True), a=1), _fixed(1), True),
        (_fleet(_one("a1"), _one("a2", at=NOW - 21)), _fixed(2), True),
        (_fleet(_one("a1"), _one("a2", at=None, ready=False)), _fixed(2), False),
    ],
)
def test_it_looks_again_soon_while_something_is_under_way(fleet: Fleet, scaling: GatewayScaling, moves: bool) -> None:
    assert is_moving(fleet, _tick(fleet, scaling), NOW) is moves


def test_a_new_gateway_has_its_time_to_start() -> None:
    fleet = _fleet(_one("a1"), _one("a2"), _one("b1", 0, ready=False), wanted="b", a=2, b=1)
    memory = _tick(fleet, _fixed(2)).memory
    for at, state in ((NOW + 300, State.PROGRESSING), (NOW + 301, State.STOPPED)):
        assert _tick(fleet, _fixed(2), memory, now=at).rollout.state is state


def test_half_of_them_heard_is_not_blind() -> None:
    fleet = _fleet(_one("a1"), _one("a2"), _one("a3", at=None), _one("a4", at=None))
    assert _tick(fleet, _fixed(4)).memory.blind is None


def test_those_that_are_too_full_shed_while_nothing_else_is_done() -> None:
    gateways = [
        Gateway(name, name, "a", ready=True, sample=Sample(NOW, Stats(name, uptime=1e4, connections=held)))
        for name, held in (("a1", 5000), ("a2", 1000), ("a3", 1000))
    ]
    memory = Memory(began=0.0, rebalance=RebalanceMemory(until=0.0))
    (shed,) = _tick(_fleet(*gateways), _fixed(3), memory).steps.sheds
    assert (shed.gateway, round(shed.rate)) == ("a1", 100)
    emptied = _tick(_fleet(*gateways), _fixed(2), memory)
    assert emptied.steps.sheds == ()
    assert emptied.steps.rates == {"a2": 100.0}
