"""How fast clients are sent elsewhere, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.measure import Load
from push_operator.fleet.pace import LEAST_RATE, budget, left_of, orders
from push_operator.fleet.values import Draining, Fleet, Gateway, Mark, Sample, Stats, Why
from push_operator.scaling import Autoscaling, Drain, GatewayScaling

NOW = 1000.0
SCALING = GatewayScaling(autoscaling=Autoscaling(accept_rate=100), drain=Drain(60, 200))


def _one(name: str, connections: int = 10, rate: float | None = None, *, at: float = NOW, leaving: bool = False,
         stopping: bool = False) -> Gateway:  # fmt: skip
    draining = None if rate is None else Draining(rate, connections, stopping)
    sample = Sample(at, Stats(name, connections=connections, draining=draining))
    return Gateway(name, name, "a", ready=True, leaving=leaving, mark=Mark(Why.SCALE_DOWN, 0.0), sample=sample)


@pytest.mark.parametrize(
    ("ready", "rate", "whole"),
    [
        (10, 0.0, 200.0),  # as many as the manifest says
        (3, 0.0, 150.0),  # half of what those that serve accept
        (3, 40.0, 110.0),  # less those that come by themselves
        (3, 500.0, 1.0),  # it goes on, however slowly
        (0, 0.0, 1.0),
    ],
)
def test_the_budget(ready: int, rate: float, whole: float) -> None:
    load = Load(known=0, feared=0, ready=ready, fresh=ready, rate=rate, busy=0.0, pressed=0, bus=True)
    assert budget(SCALING, load) == whole


@pytest.mark.parametrize(
    ("other", "left"),
    [
        (_one("a", 10, 30.0), 200.0),  # it does as it is told
        (_one("a", 10, 30.0, stopping=True), 170.0),
        (_one("a", 10, 30.0, leaving=True), 170.0),
        (_one("a", 10, 30.0, at=NOW - 20), 200.0),
        (_one("a", 10, 30.0, at=NOW - 21), 170.0),  # nobody could tell it to be slower
        (_one("a", 0, 30.0, stopping=True), 200.0),  # nobody is left
        (_one("a", 10, leaving=True), 200.0),
        (_one("a", 10, 500.0, stopping=True), LEAST_RATE),
        (replace(_one("a"), sample=None, leaving=True), 200.0),
    ],
)
def test_those_that_nobody_can_slow_down_take_their_part(other: Gateway, left: float) -> None:
    assert left_of(Fleet("a", gateways=(other, _one("b"))), 200.0, NOW) == left


def test_those_that_are_emptied_share_it() -> None:
    assert orders([_one("a"), _one("b")], 100.0) == {"a": 50.0, "b": 50.0}
    assert orders([_one("a"), _one("b"), _one("c")], 100.0) == {"a": 33.3, "b": 33.3, "c": 33.3}
    assert orders([], 100.0) == {}


def test_no_order_is_slower_than_a_gateway_takes_and_the_rest_wait() -> None:
    many = [_one(f"g{number:02}") for number in range(25)]
    assert orders(many, 1.0) == {f"g{number:02}": 0.1 for number in range(10)}
    begun = [_one(f"h{number}", 10, 0.1) for number in range(4)]
    assert orders([*many, *begun], 1.0) == {f"g{number:02}": 0.1 for number in range(6)}  # those go on
    assert orders(many[:10], 1.0) == {f"g{number:02}": 0.1 for number in range(10)}


def test_an_order_that_stands_is_not_given_again() -> None:
    assert orders([_one("a", 10, 100.0)], 100.0) == {}
    assert orders([_one("a", 10, 110.0)], 100.0) == {}
    assert orders([_one("a", 10, 90.0)], 100.0) == {}
    assert orders([_one("a", 10, 111.0)], 100.0) == {"a": 100.0}
    assert orders([_one("a", 10, 89.0)], 100.0) == {"a": 100.0}
    assert orders([_one("a", 0, 5.0)], 100.0) == {}  # for nobody no rate matters


def test_who_is_empty_leaves_its_part_to_the_others() -> None:
    assert orders([_one("a", 0, 50.0), _one("b", 10, 50.0)], 100.0) == {"b": 100.0}


def test_one_that_was_empty_before_it_was_told_may_be_so_no_more() -> None:
    assert orders([_one("a", 0), _one("b", 10, 100.0)], 100.0) == {"a": 50.0, "b": 50.0}
    assert orders([replace(_one("a"), sample=None), _one("b", 10, 100.0)], 100.0) == {"a": 50.0, "b": 50.0}


@given(st.lists(st.tuples(st.integers(0, 20), st.none() | st.floats(0.1, 500)), max_size=8), st.floats(1, 500))
def test_all_together_are_told_no_more_than_there_is(drains: list[tuple[int, float | None]], share: float) -> None:
    emptied = [_one(f"g{number}", held, rate) for number, (held, rate) in enumerate(drains)]
    told = orders(emptied, share)
    rates = [
        told.get(one.name, rate or 0.0)
        for one, (held, rate) in zip(emptied, drains, strict=True)
        if held or rate is None
    ]
    assert sum(rates) <= 1.1 * share + 0.1 * len(rates)
