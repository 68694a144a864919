"""What a gateway could hold, learned from one that is simulated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.capacity import (
    FIRST,
    MAX_BINS,
    PER_BIN,
    Capacity,
    CapacityMemory,
    Resource,
    capacity,
    learn,
)
from push_operator.fleet.values import Draining, Fleet, Gateway, Mark, Sample, Stats, Why

TICK = 10.0


class Machine:
    """One gateway whose costs are lines with noise, and sometimes far off."""

    def __init__(self, *, busy: float = 5e-5, lag: float = 1e-6, memory: int = 8000, wild: float = 0.0) -> None:
        self.busy, self.lag, self.memory, self.wild = busy, lag, memory, wild
        self.random, self.now, self.cpu = Random(11), 0.0, 0.0  # noqa: S311 - no secret
        self.learned = CapacityMemory()

    def run(self, sizes: Iterable[int], **changed: Any) -> CapacityMemory:
        for size in sizes:
            self.now += TICK
            factor = 20.0 if self.random.random() < self.wild else self.random.uniform(0.9, 1.1)
            self.cpu += (0.02 + self.busy * size) * factor * TICK
            stats = Stats(
                "b", connections=size, max_connections=10**6, loop_lag=(0.002 + self.lag * size) * factor,
                cpu_seconds=self.cpu, rss_bytes=int(50_000_000 + self.memory * size * factor),
            )  # fmt: skip
            one = Gateway("g", "u", "r", ready=True, sample=Sample(self.now, stats))
            for name, value in changed.items():
                one = replace(one, **{name: value}) if name != "draining" else _draining(one, value)
            self.learned = learn(Fleet("r", gateways=(one,)), self.learned)
        return self.learned


def _draining(one: Gateway, draining: Draining) -> Gateway:
    assert one.sample is not None
    return replace(one, sample=replace(one.sample, stats=replace(one.sample.stats, draining=draining)))


def _ramp(low: int, high: int, ticks: int = 400) -> list[int]:
    return [low + (high - low) * tick // ticks for tick in range(ticks)]


def _known(memory: CapacityMemory, limit: int | None = None) -> Capacity:
    found = capacity(memory, limit)
    assert found is not None
    return found


@pytest.mark.parametrize("wild", [0.0, 0.15])
def test_the_cpu_is_the_limit_where_it_is_and_a_few_wild_samples_change_little(wild: float) -> None:
    found = _known(Machine(busy=5e-5, wild=wild).run(_ramp(200, 9000)))
    assert found.resource is Resource.CPU
    assert found.connections == pytest.approx(13_600, rel=0.15)
    assert found.enough
    assert (found.least, found.most) == (222, 8978), "the first ones grow too fast to count"
    assert found.samples > 100


def test_loop_lag_is_the_limit_where_it_grows_faster() -> None:
    found = _known(Machine(lag=1e-5).run(_ramp(200, 4000)))
    assert found.resource is Resource.LAG
    assert found.connections == pytest.approx(4800, rel=0.15)


def test_memory_is_a_limit_where_there_is_one() -> None:
    memory = Machine(memory=50_000).run(_ramp(200, 4000))
    assert _known(memory).resource is Resource.CPU
    found = _known(memory, 50_000_000 + 50_000 * 6000)
    assert found.resource is Resource.MEMORY
    assert found.connections == pytest.approx(6000, rel=0.1)


def test_what_was_seen_must_reach_half_of_what_is_said() -> None:
    assert not _known(Machine(busy=5e-5).run(_ramp(200, 5000))).enough
    assert _known(Machine(busy=5e-5).run(_ramp(200, 8000))).enough


def test_hours_at_one_size_do_not_drown_what_was_seen_at_others() -> None:
    machine = Machine()
    machine.run(_ramp(200, 9000))
    machine.run([9000] * 5000)
    assert _known(machine.learned).connections == pytest.approx(13_600, rel=0.15)


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [1000] * 500,
        _ramp(1000, 1300),
        _ramp(200, 9000, 20),
        _ramp(0, FIRST - 1),
        [200, 9000] * 200,
    ],
)
def test_too_little_is_nothing(sizes: list[int]) -> None:
    assert capacity(Machine().run(sizes), None) is None


def test_what_costs_no_more_has_no_limit() -> None:
    memory = Machine().run(_ramp(200, 9000))
    flat = {place: tuple(replace(cost, busy=0.1, lag=0.001) for cost in one) for place, one in memory.bins.items()}
    assert capacity(replace(memory, bins=flat), None) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"ready": False},
        {"leaving": True},
        {"mark": Mark(Why.SCALE_DOWN, 0.0)},
        {"draining": Draining(10.0, 100)},
        {"revision": "old"},
        {"sample": None},
    ],
)
def test_one_that_is_not_as_usual_teaches_nothing(changed: dict[str, Any]) -> None:
    assert Machine().run(_ramp(200, 9000), **changed).bins == {}


def test_another_revision_is_learned_anew() -> None:
    memory = Machine().run(_ramp(200, 9000))
    assert learn(Fleet("r"), memory).bins == memory.bins
    assert learn(Fleet("another"), memory) == CapacityMemory("another")


def test_a_new_process_begins_its_cpu_time_anew() -> None:
    machine = Machine()
    machine.run([1000] * 3)
    machine.cpu = -10.0
    machine.run([1000])
    assert all(cost.busy >= 0 for one in machine.learned.bins.values() for cost in one)


@given(st.lists(st.integers(0, 10**6), max_size=60), st.none() | st.integers(1, 10**12))
def test_memory_is_bounded_and_what_is_said_is_a_number(sizes: list[int], limit: int | None) -> None:
    memory = Machine().run([size for size in sizes for _ in range(4)])
    assert len(memory.bins) <= MAX_BINS
    assert all(0 <= place < MAX_BINS and len(one) <= PER_BIN for place, one in memory.bins.items())
    found = capacity(memory, limit)
    assert found is None or (found.connections >= 0 and found.least <= found.most)
