"""The next steps of a fleet, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from push_operator.fleet.memory import Moment
from push_operator.fleet.steer import HUNG_SECONDS, Wish, losing, steer, surge
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
    silent = _one("a1", 5, mark=Why.SCALE_DOWN, at=800.0)
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


def test_of_a_set_that_is_about_to_lose_one_none_is_taken_back() -> None:
    """It is smaller already, and would take another one for it: it grows instead."""
    steps = _steps(3, _empty("a1"), _one("a2"), _one("a3"), a=2)
    assert (steps.marks, steps.sizes) == ({}, {"a": 3})
    two = (_empty("a1"), _one("a2", 5, mark=Why.SCALE_DOWN, draining=Draining(1.0, 5)))
    steps = _steps(3, *two, _one("a3"), _one("a4"), a=3)  # of the four one goes and one could stay
    assert (steps.marks, steps.sizes) == ({}, {"a": 4})


def test_a_set_is_about_to_lose_one_as_long_as_there_are_more_than_was_asked_for() -> None:
    gateways = (_empty("a1"), _one("a2"), _one("b1"), _one("b2", leaving=True), _one("c1"))
    fleet = Fleet("a", (GatewaySet("a", 1), GatewaySet("b", 1), GatewaySet("c", 1)), gateways)
    assert losing(fleet, frozenset()) == {"a"}
    assert losing(fleet, frozenset({"c1"})) == {"a", "c"}


def test_one_more_and_one_fewer_are_not_asked_for_at_once() -> None:
    """They would be the same size, and so would the next look's."""
    quarantined = _empty("a1", Why.QUARANTINE)
    steps = _steps(2, quarantined, _one("a2"), a=2)
    assert (steps.sizes, steps.gone) == ({"a": 3}, frozenset())
    steps = _steps(2, quarantined, _one("a2"), _one("a3"), a=3)
    assert (steps.sizes, set(steps.gone)) == ({"a": 2}, {"a1"})


def test_one_that_is_taken_back_counts_once_it_serves() -> None:
    """It may refuse: nobody of the other revision goes for it yet."""
    back = _one("a1", 5, ready=False, mark=Why.ROLLOUT, draining=Draining(1.0, 5))
    steps = _steps(2, back, _one("a2"), _one("b1", 1), into="a", a=2, b=1)
    assert steps.marks == {"a1": None}
    steps = _steps(2, _one("a1", 5), _one("a2"), _one("b1", 1), into="a", a=2, b=1)
    assert steps.marks == {"b1": Why.ROLLOUT}


def test_one_that_has_not_begun_waits_for_those_that_are_emptied() -> None:
    """By the time that the set acts it may have begun, and be the readier of the two."""
    begins = _one("a2", 0, ready=False, pending=True, mark=Why.ROLLOUT)
    emptied = _one("a1", 33, ready=False, mark=Why.ROLLOUT, draining=Draining(1.0, 33))
    assert _steps(1, emptied, begins, _one("b1"), into="b", a=2, b=1) == Steps()
    steps = _steps(1, _empty("a1", Why.ROLLOUT), begins, _one("b1"), into="b", a=2, b=1)
    assert (steps.sizes, set(steps.gone)) == ({"a": 0}, {"a1", "a2"})
    steps = _steps(1, begins, _one("a3", 0, ready=False), into="a", a=2)  # nobody is there to be lost
    assert steps.gone == {"a2"}


def test_who_is_not_ready_keeps_those_that_are_from_going() -> None:
    """A smaller set takes first who is not ready, marked or not."""
    patient = Moment(NOW.now, 4990.0 + SCALING.drain.timeout_seconds + HUNG_SECONDS + 1)
    silent = _one("a1", 5, mark=Why.SCALE_DOWN, at=800.0)
    fleet = Fleet("a", (GatewaySet("a", 2),), (silent, _one("a2", ready=False)))
    assert steer(fleet, Wish(1, "a"), SCALING, patient) == Steps()


@pytest.mark.parametrize(
    ("seconds", "goes"), [(SCALING.drain.timeout_seconds + HUNG_SECONDS, False),
                          (SCALING.drain.timeout_seconds + HUNG_SECONDS + 1, True)]
)  # fmt: skip
def test_a_drain_of_one_that_is_silent_has_its_time(seconds: float, goes: bool) -> None:
    silent = _one("a1", 5, mark=Why.SCALE_DOWN, at=0.0)
    fleet = Fleet("a", (GatewaySet("a", 2),), (silent, _one("a2")))
    steps = steer(fleet, Wish(1, "a"), SCALING, Moment(NOW.now, 4990.0 + seconds))
    assert (steps.gone == {"a1"}) is goes


PATIENCE = SCALING.drain.timeout_seconds + HUNG_SECONDS


@pytest.mark.parametrize(
    ("marked_for", "heard", "began", "goes"),
    [
        (400.0, 979.0, 0.0, False),  # it has drained for long, and misses two answers
        (400.0, 1000.0 - PATIENCE - 1, 0.0, True),
        (1e9, None, 1000.0 - PATIENCE + 1, False),  # this process has not asked it for long enough
        (1e9, None, 1000.0 - PATIENCE - 1, True),
        (-200.0, None, 0.0, False),  # clocks differ
        (-1e9, None, 0.0, True),  # such a date says nothing
    ],
)
def test_only_who_is_silent_for_long_is_given_up(
    marked_for: float, heard: float | None, began: float, goes: bool
) -> None:
    sample = Sample(heard, Stats("a1", connections=6000)) if heard is not None else None
    silent = Gateway("a1", "a1", "a", True, mark=Mark(Why.SCALE_DOWN, NOW.wall - marked_for), sample=sample)
    fleet = Fleet("a", (GatewaySet("a", 2),), (silent, _one("a2")))
    steps = steer(fleet, Wish(1, "a"), SCALING, replace(NOW, began=began))
    assert (steps.gone == {"a1"}) is goes


def test_one_that_is_empty_and_takes_clients_still_does_not_go() -> None:
    marked = _one("a1", 0, mark=Why.SCALE_DOWN)
    assert _steps(1, marked, _one("a2"), a=2) == Steps()


def test_what_is_still_to_be_made_goes_first_and_is_waited_for() -> None:
    """Four were asked for, two are there: the other two are not, and nobody is emptied for them."""
    assert _steps(2, _one("a1"), _one("a2"), a=4) == Steps()
    pending = [_one(f"a{number}", 0, ready=False, pending=True) for number in (3, 4)]
    assert _steps(2, _one("a1"), _one("a2"), *pending, a=4).marks == {"a3": Why.SCALE_DOWN, "a4": Why.SCALE_DOWN}
    assert _steps(3, _one("a1"), _one("a2"), *pending, a=4).marks == {"a3": Why.SCALE_DOWN}


def test_the_fullest_is_taken_back_first_and_a_quarantined_one_never() -> None:
    marked = [
        _one("a1", 5, mark=Why.SCALE_DOWN),
        _one("a2", 9, mark=Why.SCALE_DOWN),
        _one("a3", 99, mark=Why.QUARANTINE),
        _one("a4", 50, mark=Why.SCALE_DOWN, at=979.0),  # it does not answer
    ]
    assert _steps(1, *marked, a=4).marks == {"a2": None}
    assert _steps(2, *marked, a=4).marks == {"a1": None, "a2": None}
    steps = _steps(3, *marked, a=4)
    assert (steps.marks, steps.sizes) == ({"a1": None, "a2": None}, {"a": 5})


def test_the_smaller_revision_goes_first_and_who_serves_nobody_before_it() -> None:
    scaling = GatewayScaling(autoscaling=Autoscaling(max_concurrent_drains=2), drain=Drain(60, 100))
    sets = (GatewaySet("a", 2), GatewaySet("b", 1), GatewaySet("c", 3))
    new = [_one(f"c{number}") for number in range(3)]
    fleet = Fleet("c", sets, (_one("a1", 1), _one("a2", 7), _one("b1", 50), *new))
    assert steer(fleet, Wish(5, "c"), scaling, NOW).marks == {"b1": Why.ROLLOUT}
    fleet = Fleet("c", sets, (_one("a1", 1), _one("a2", 0, ready=False), _one("b1", 50), *new))
    assert steer(fleet, Wish(4, "c"), scaling, NOW).marks == {"a2": Why.ROLLOUT, "b1": Why.ROLLOUT}


def test_those_without_a_client_need_no_place_among_the_drains() -> None:
    """A revision that never got ready goes at once, whoever is being emptied."""
    old = [_one(f"b{number}", 0, ready=False) for number in range(3)]
    emptied = _one("a1", 5, ready=False, mark=Why.SCALE_DOWN, draining=Draining(1.0, 5))
    steps = _steps(1, emptied, _one("a2"), *old, a=2, b=3)
    assert steps.marks == {one.name: Why.ROLLOUT for one in old}


@pytest.mark.parametrize(("desired", "room"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (100, 25)])
def test_a_surge_is_a_quarter_and_one_at_least(desired: int, room: int) -> None:
    assert surge(desired) == room


def test_the_next_of_a_new_revision_come_when_those_before_are_ready() -> None:
    old = [_one(f"a{number}") for number in range(8)]
    assert surge(8) == 2
    ready = _steps(8, *old, _one("b1", 0), into="b", a=8, b=1)
    assert (ready.sizes, ready.marks) == ({"b": 2}, {"a0": Why.ROLLOUT})
    assert _steps(8, *old, _one("b1", 0, ready=False), into="b", a=8, b=1) == Steps()
    assert _steps(8, *old, into="b", a=8, b=1) == Steps()  # it is still to be made
    assert _steps(8, *old, _one("b1", 0), into="b", halted=True, a=8, b=1).sizes == {}


def test_an_emptied_revision_that_is_still_there_keeps_nobody_from_growing() -> None:
    old = [_one(f"a{number}") for number in range(8)]
    steps = _steps(8, *old, _one("c1", 0, ready=False), into="c", a=8, b=0, c=1)
    assert steps == Steps()  # the others are not all gone
    steps = _steps(4, _one("c1", 0, ready=False), into="c", a=0, b=0, c=1)
    assert steps.sizes == {"c": 4}


def test_those_that_come_back_count_while_another_revision_is_there() -> None:
    back = [_one(f"a{number}", 5, mark=Why.ROLLOUT) for number in range(2)]
    steps = _steps(4, *back, _one("a3"), _one("b1"), _one("b2"), into="a", a=3, b=2)
    assert (steps.marks, steps.sizes) == ({"a0": None, "a1": None}, {})


def test_of_two_that_a_set_would_take_alike_the_empty_one_is_asked_for() -> None:
    """Which of the two it would take is seen on the live ones, and refused if it is the other."""
    scaling = GatewayScaling(autoscaling=Autoscaling(max_concurrent_drains=2), drain=Drain(60, 100))
    drains = _one("a2", 5, ready=False, mark=Why.SCALE_DOWN, draining=Draining(1.0, 5))
    fleet = Fleet("a", (GatewaySet("a", 3),), (_empty("a1"), drains, _one("a3")))
    steps = steer(fleet, Wish(1, "a"), scaling, NOW)
    assert (steps.sizes, set(steps.gone)) == ({"a": 2}, {"a1"})
