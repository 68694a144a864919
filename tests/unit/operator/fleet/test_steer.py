"""The next steps of a fleet, row by row."""

from __future__ import annotations

from push_operator.fleet.memory import Moment
from push_operator.fleet.steer import HUNG_SECONDS, Wish, steer, surge
from push_operator.fleet.values import Draining, Fleet, Gateway, GatewaySet, Mark, Sample, Stats, Steps, Why
from push_operator.scaling import Autoscaling, Drain, GatewayScaling

NOW = Moment(1000.0, 5000.0)
SCALING = GatewayScaling(autoscaling=Autoscaling(max_concurrent_drains=1), drain=Drain(60, 100))


def _one(name: str, connections: int = 10, *, ready: bool = True, mark: Why | None = None,
         draining: Draining | None = None, at: float = 999.0, **more: bool | str) -> Gateway:  # fmt: skip
    sample = Sample(at, Stats(boot=name, connections=connections, draining=draining))
    marked = Mark(mark, 4990.0) if mark is not None else None
    return Gateway(name, name, name[0], ready, mark=marked, sample=sample, **more)  # type: ignore[arg-type]  # of each kind


def _empty(name: str, why: Why = Why.SCALE_DOWN) -> Gateway:
    return _one(name, 0, ready=False, mark=why, draining=Draining(1.0, 0))


def _steps(desired: int, *gateways: Gateway, into: str = "a", halted: bool = False, **sizes: int) -> Steps:
    sets = tuple(GatewaySet(revision, size) for revision, size in sizes.items())
    return steer(Fleet(into, sets, gateways), Wish(desired, into, halted), SCALING, NOW)


def test_what_is_right_stays() -> None:
    assert _steps(2, _one("a1"), _one("a2"), a=2) == Steps()


def test_growth_is_a_larger_set() -> None:
    assert _steps(4, _one("a1"), _one("a2"), a=2).sizes == {"a": 4}


def test_the_one_with_the_fewest_clients_is_emptied_first() -> None:
    assert _steps(2, _one("a1", 30), _one("a2", 20), _one("a3", 25), a=3).marks == {"a2": Why.SCALE_DOWN}


def test_a_cordoned_node_and_then_the_most_crowded_zone_go_before_that() -> None:
    crowded = [_one("a1", 9, zone="x"), _one("a2", 8, zone="x"), _one("a3", 1, zone="y")]
    assert _steps(2, *crowded, a=3).marks == {"a2": Why.SCALE_DOWN}
    assert _steps(2, _one("a1", 9, cordoned=True), *crowded[1:], a=3).marks == {"a1": Why.SCALE_DOWN}


def test_no_more_are_emptied_at_once_than_may_be() -> None:
    first = _one("a1", 5, ready=False, mark=Why.SCALE_DOWN, draining=Draining(1.0, 5))
    assert _steps(1, first, _one("a2"), _one("a3"), a=3) == Steps()


def test_an_empty_one_goes_and_no_other() -> None:
    steps = _steps(2, _empty("a1"), _one("a2"), _one("a3"), a=3)
    assert steps.sizes == {"a": 2}
    assert steps.gone == {"a1"}


def test_while_it_goes_nothing_is_taken_twice() -> None:
    """The set is smaller already; the unit is still to be seen."""
    assert _steps(2, _empty("a1"), _one("a2"), _one("a3"), a=2) == Steps()


def test_with_another_that_is_still_to_begin_nothing_can_go() -> None:
    """A ReplicaSet would take that one first."""
    steps = _steps(2, _empty("a1"), _one("a2"), _one("a3", 0, ready=False, pending=True), a=3)
    assert steps.sizes == {}


def test_one_that_is_wanted_again_stays() -> None:
    marked = _one("a1", 5, mark=Why.SCALE_DOWN, draining=Draining(1.0, 5))
    steps = _steps(3, marked, _one("a2"), a=2)
    assert (steps.marks, steps.sizes) == ({"a1": None}, {"a": 3})
    stopping = _one("a1", 5, mark=Why.SCALE_DOWN, draining=Draining(1.0, 5, stopping=True))
    steps = _steps(2, stopping, _one("a2"), a=2)
    assert (steps.marks, steps.sizes) == ({}, {"a": 3})


def test_a_quarantined_one_is_replaced_beside_it() -> None:
    assert _steps(2, _one("a1", mark=Why.QUARANTINE), _one("a2"), a=2).sizes == {"a": 3}


def test_who_says_nothing_is_waited_for_as_long_as_a_drain_may_take() -> None:
    silent = _one("a1", 5, mark=Why.SCALE_DOWN, at=900.0)
    assert _steps(1, silent, _one("a2"), a=2) == Steps()
    patient = Moment(NOW.now, 4990.0 + SCALING.drain.timeout_seconds + HUNG_SECONDS + 1)
    late = steer(Fleet("a", (GatewaySet("a", 2),), (silent, _one("a2"))), Wish(1, "a"), SCALING, patient)
    assert late.gone == {"a1"}


def test_a_new_revision_comes_by_a_surge_at_a_time() -> None:
    old = [_one(f"a{number}") for number in range(4)]
    assert surge(4) == 1
    assert _steps(4, *old, into="b", a=4, b=0).sizes == {"b": 1}
    starting = _one("b1", 0, ready=False)
    assert _steps(4, *old, starting, into="b", a=4, b=1) == Steps()
    steps = _steps(4, *old, _one("b1", 0), into="b", a=4, b=1)
    assert steps.marks == {"a0": Why.ROLLOUT}  # and no second one beyond the surge while that is there
    assert steps.sizes == {}


def test_fewer_than_wanted_is_made_good_however_many_start() -> None:
    """Two of the old ones are gone: the new revision stands in for them at once."""
    steps = _steps(4, _one("a1"), _one("a2"), _one("b1", 0, ready=False), into="b", a=4, b=1)
    assert steps.sizes["b"] == 2
    assert steps.sizes["a"] == 2  # what is gone is not made again in the old revision


def test_one_that_is_not_ready_but_has_clients_is_of_use() -> None:
    """Nobody is ready when the broker is away: no reason to double the fleet, or to send anybody anywhere."""
    old = [_one(f"a{number}", ready=False) for number in range(4)]
    assert _steps(4, *old, _one("b1", 5, ready=False), into="b", a=4, b=1) == Steps()


def test_what_has_halted_empties_nobody_and_grows_only_for_want() -> None:
    old, new = [_one(f"a{number}") for number in range(4)], _one("b1", 0, ready=False)
    assert _steps(4, *old, new, halted=True, a=4, b=1) == Steps()
    assert _steps(6, *old, new, halted=True, a=4, b=1).sizes == {"a": 6}


def test_a_set_that_is_not_there_yet_is_not_sized() -> None:
    assert _steps(3, _one("a1"), into="b", a=1) == Steps()
