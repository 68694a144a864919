"""Shedding: when, how much, and that it comes to rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from push_operator.fleet.rebalance import (
    LEAST_SURPLUS,
    PAUSE_SECONDS,
    ROUND_SECONDS,
    SETTLE_SECONDS,
    RebalanceMemory,
    rebalance,
)
from push_operator.fleet.values import Draining, Fleet, Gateway, GatewaySet, Mark, Sample, Shed, Stats, Why

READY = RebalanceMemory(until=0.0)
NOW = 10_000.0


def _fleet(*held: int, at: float = NOW, **changed: Any) -> Fleet:
    """`changed` is of the first gateway, or of its stats."""
    gateways = []
    for number, connections in enumerate(held):
        stats = Stats(f"b{number}", uptime=1e4, connections=connections, max_connections=10**6)
        sample = Sample(at, stats)
        gateways.append(Gateway(f"g{number}", f"u{number}", "r", ready=True, sample=sample))
    if changed:
        of_stats = {name: value for name, value in changed.items() if hasattr(gateways[0].sample.stats, name)}  # type: ignore[union-attr]
        rest = {name: value for name, value in changed.items() if name not in of_stats}
        assert gateways[0].sample is not None
        sample = replace(gateways[0].sample, stats=replace(gateways[0].sample.stats, **of_stats))
        gateways[0] = replace(gateways[0], sample=sample)
        gateways[0] = replace(gateways[0], **rest)
    return Fleet("r", (GatewaySet("r", len(held)),), tuple(gateways))


@pytest.mark.parametrize(
    ("held", "shed"),
    [
        ((1000, 1000, 1000), {}),
        ((1400, 1000, 1000), {}),  # 1.24 times the mean
        ((2500, 1000, 1000), {"g0": 1000}),
        ((400, 100, 100), {}),  # 200 over a mean of 200
        ((403, 100, 100), {"g0": 202}),
        ((4000, 4000, 0), {"g0": 1333, "g1": 1333}),
        ((5000,), {}),
        ((), {}),
        ((0, 0), {}),
    ],
)
def test_who_sheds_and_how_many(held: tuple[int, ...], shed: dict[str, int]) -> None:
    sheds, memory = rebalance(_fleet(*held), READY, 50.0, NOW)
    assert {one.gateway: one.connections for one in sheds} == shed
    if shed:
        assert sum(one.rate for one in sheds) == pytest.approx(50.0)
        assert rebalance(_fleet(*held, at=NOW + 60), memory, 50.0, NOW + 60) == ((), memory), "one round at a time"


def test_noise_of_large_counts_is_less_than_the_share() -> None:
    """Four standard deviations of 40 are 25: the fixed least decides. Of 10^4, the share."""
    assert not rebalance(_fleet(240, 40, 40), READY, 50.0, NOW)[0]
    assert not rebalance(_fleet(12_900, 10_000, 10_000), READY, 50.0, NOW)[0]


def test_a_round_is_no_longer_than_its_time() -> None:
    sheds, memory = rebalance(_fleet(90_000, 0, 0), READY, 10.0, NOW)
    assert sheds == (Shed("g0", 3000, 10.0),)
    assert memory.until == NOW + ROUND_SECONDS + SETTLE_SECONDS


@pytest.mark.parametrize(
    "changed",
    [
        {"mark": Mark(Why.QUARANTINE, 0.0)},
        {"mark": Mark(Why.SCALE_DOWN, 0.0)},
        {"leaving": True},
        {"pending": True},
        {"ready": False},
        {"revision": "old"},
        {"uptime": 60.0},
        {"draining": Draining(1.0, 5)},
        {"sample": None},
    ],
)
def test_while_anything_else_happens_nothing_is_shed(changed: dict[str, Any]) -> None:
    assert rebalance(_fleet(0, 5000, 1000, 1000), READY, 50.0, NOW)[0]
    assert rebalance(_fleet(0, 5000, 1000, 1000, **changed), READY, 50.0, NOW) == ((), READY)


def test_not_during_a_rollout_that_has_no_gateway_yet() -> None:
    fleet = replace(_fleet(5000, 1000, 1000), sets=(GatewaySet("r", 3), GatewaySet("old", 2)))
    assert not rebalance(fleet, READY, 50.0, NOW)[0]
    assert rebalance(replace(fleet, sets=(GatewaySet("r", 3), GatewaySet("old", 0))), READY, 50.0, NOW)[0]


def test_old_samples_are_not_counted() -> None:
    assert not rebalance(_fleet(5000, 1000, 1000, at=NOW - 31), READY, 50.0, NOW)[0]


@pytest.mark.parametrize("budget", [0.0, -5.0])
def test_without_a_budget_nothing_is_shed(budget: float) -> None:
    assert rebalance(_fleet(5000, 1000, 1000), READY, budget, NOW) == ((), READY)


def test_an_order_that_a_gateway_would_not_take_is_none() -> None:
    sheds, _ = rebalance(_fleet(100_000, 41_000, 0, 0, 0), READY, 0.11, NOW)
    assert [shed.gateway for shed in sheds] == []


def test_a_new_leader_waits_for_what_the_last_one_may_have_begun() -> None:
    sheds, memory = rebalance(_fleet(5000, 1000, 1000), RebalanceMemory(), 50.0, NOW)
    assert sheds == ()
    later = NOW + ROUND_SECONDS + SETTLE_SECONDS
    assert rebalance(_fleet(5000, 1000, 1000, at=later - 1), memory, 50.0, later - 1)[0] == ()
    assert rebalance(_fleet(5000, 1000, 1000, at=later), memory, 50.0, later)[0]


@pytest.mark.parametrize(("now_held", "helped"), [(4000, False), (3950, False), (3700, True)])
def test_what_did_not_help_is_left_alone_for_half_an_hour(now_held: int, helped: bool) -> None:
    """Of 2000 that were asked, a tenth must be gone."""
    _, memory = rebalance(_fleet(4000, 1000, 1000), READY, 50.0, NOW)
    at = memory.until
    assert at == NOW + 40 + SETTLE_SECONDS
    moved = 4000 - now_held
    fleet = _fleet(now_held, 1000 + moved // 2, 1000 + moved // 2, at=at)
    sheds, memory = rebalance(fleet, memory, 50.0, at)
    assert bool(sheds) == helped
    if not helped:
        assert memory == RebalanceMemory(until=at + PAUSE_SECONDS)
        later = at + PAUSE_SECONDS
        assert rebalance(_fleet(4000, 1000, 1000, at=later), memory, 50.0, later)[0], "and then tried again"


def test_one_that_is_gone_came_down() -> None:
    _, memory = rebalance(_fleet(4000, 1000, 1000), READY, 50.0, NOW)
    at = memory.until
    assert at is not None
    fleet = _fleet(4000, 1000, 1000, at=at)
    others = tuple(replace(one, name=f"new-{one.name}") for one in fleet.gateways)
    assert rebalance(replace(fleet, gateways=others), memory, 50.0, at)[0]


class Hall:
    """Gateways whose clients do as they are asked. `sticky`: they come back to where they were."""

    def __init__(self, held: list[int], random: Random, sticky: bool = False) -> None:
        self.held, self.random, self.sticky = list(held), random, sticky
        self.memory, self.now = READY, NOW
        self.rounds: list[int] = []

    def run(self, seconds: float, budget: float) -> None:
        """A tick a minute, or when a round has ended."""
        end = self.now + seconds
        while self.now < end:
            sheds, self.memory = rebalance(_fleet(*self.held, at=self.now), self.memory, budget, self.now)
            assert sum(shed.rate for shed in sheds) <= budget * 1.000001
            assert len({shed.gateway for shed in sheds}) == len(sheds)
            assert len(self.memory.held) <= len(self.held)
            for shed in sheds:
                self._move(int(shed.gateway[1:]), shed.connections)
            if sheds:
                self.rounds.append(sum(shed.connections for shed in sheds))
            assert self.memory.until is not None
            self.now = max(self.now + 60, self.memory.until)

    def _move(self, number: int, gone: int) -> None:
        self.held[number] -= gone
        for place, count in Counter(self.random.choices(range(len(self.held)), k=gone)).items():
            self.held[number if self.sticky else place] += count

    def quiet(self) -> bool:
        mean = sum(self.held) / len(self.held)
        return all(one - mean <= max(LEAST_SURPLUS, 4 * mean**0.5, 0.3 * mean) for one in self.held)


@settings(max_examples=60)
@given(
    held=st.lists(st.integers(0, 6000), min_size=2, max_size=10),
    budget=st.sampled_from([20.0, 100.0, 500.0]),
    seed=st.integers(0, 2**32),
)
def test_it_comes_to_rest_and_stays_there(held: list[int], budget: float, seed: int) -> None:
    hall = Hall(held, Random(seed))  # noqa: S311 - no secret
    mean = sum(held) / len(held)
    surplus = sum(max(0.0, one - mean) for one in held)
    hall.run(4 * 3600, budget)
    assert hall.quiet()
    assert sum(hall.held) == sum(held)
    # Each round leaves a part of what there was: all together ask no more than a few times what was too much.
    assert sum(hall.rounds) <= 4 * surplus
    rounds = len(hall.rounds)
    hall.run(3600, budget)
    assert len(hall.rounds) == rounds, "at rest"


def test_chance_alone_is_no_reason() -> None:
    random = Random(7)  # noqa: S311 - no secret
    for mean in (50, 300, 2000):
        for _ in range(200):
            counts = Counter(random.choices(range(10), k=mean * 10))
            assert not rebalance(_fleet(*(counts[n] for n in range(10))), READY, 50.0, NOW)[0]


def test_where_they_come_back_to_the_same_one_it_is_tried_twice_an_hour() -> None:
    hall = Hall([6000, 1000, 1000], Random(1), sticky=True)  # noqa: S311 - no secret
    hall.run(4 * 3600, 100.0)
    assert 6 <= len(hall.rounds) <= 8
    assert hall.held == [6000, 1000, 1000]
