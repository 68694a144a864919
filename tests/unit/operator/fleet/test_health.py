"""Who is deaf, who is quarantined, and that a cure never empties the fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.health import MAX_PERCENT, PAUSE_MAX_SECONDS, PAUSE_SECONDS, Health, HealthMemory, judge
from push_operator.fleet.values import Fleet, Gateway, Mark, Sample, Stats, Why
from push_operator.fleet.watch import Fault

TICK = 10.0
QUARANTINED = Mark(Why.QUARANTINE, 0.0)


class Stage:
    """Gateways that are busy, tick by tick; each may be told to misbehave. Marks follow the verdicts."""

    def __init__(self, size: int, connections: int = 1000) -> None:
        self.now = 1000.0
        self.memory = HealthMemory()
        self.said = {f"g{n}": Stats(f"b{n}", connections=connections) for n in range(size)}
        self.trouble: dict[str, Fault] = {}
        self.changed: dict[str, dict[str, Any]] = {}
        self.accepts, self.frames = 2, 30
        self.heard: dict[str, float] = {}
        self.marked: dict[str, float] = {}
        self.verdicts: list[tuple[float, Health]] = []

    def tick(self) -> Health:
        self.now += TICK
        fleet = Fleet("r", gateways=tuple(self._gateway(name) for name in self.said))
        health, self.memory = judge(fleet, self.memory, self.now)
        self.marked |= dict.fromkeys(health.quarantine, self.now)
        for name in health.back:
            del self.marked[name]
        self.verdicts.append((self.now, health))
        return health

    def run(self, seconds: float) -> list[tuple[float, Health]]:
        """What was judged in this time."""
        return [(self.now, self.tick()) for _ in range(int(seconds / TICK))]

    def until(self, holds: Callable[[Health], object], most: float = 1000.0) -> float:
        """The seconds until a verdict holds; AssertionError after `most`."""
        begun = self.now
        while self.now - begun < most:
            if holds(self.tick()):
                return self.now - begun
        raise AssertionError("never")

    def _gateway(self, name: str) -> Gateway:
        fault = self.trouble.get(name)
        if fault is not Fault.SILENT:
            self.heard[name] = self.now
        busy = 0 if fault in (Fault.FROZEN, Fault.SILENT) else 1
        last = self.said[name]
        self.said[name] = replace(
            last,
            nats=fault is not Fault.NATS,
            loop_lag=6.0 if fault is Fault.STALLED else 0.01,
            accepted=last.accepted + (self.accepts * busy if name not in self.marked else 0),
            frames_in=last.frames_in + self.frames * busy,
            delivered=last.delivered + 3 * self.frames * busy,
        )
        sample = Sample(self.heard[name], self.said[name]) if name in self.heard else None
        mark = QUARANTINED if name in self.marked else None
        one = Gateway(name, f"u-{name}", "r", ready=True, mark=mark, sample=sample)
        return replace(one, **self.changed.get(name, {}))


def _quarantined(verdicts: Sequence[tuple[float, Health]]) -> list[str]:
    return [name for _, health in verdicts for name in health.quarantine]


@pytest.mark.parametrize(
    ("fault", "seconds"), [(Fault.NATS, 40), (Fault.STALLED, 40), (Fault.SILENT, 50), (Fault.FROZEN, 130)]
)
def test_each_fault_counts_after_its_time_and_ends_30_seconds_after_it_ended(fault: Fault, seconds: float) -> None:
    stage = Stage(5)
    assert _quarantined(stage.run(100)) == []
    stage.trouble["g3"] = fault
    assert stage.until(lambda health: health.quarantine) in (seconds, seconds - TICK)
    assert stage.verdicts[-1][1].quarantine == {"g3": str(fault)}
    assert stage.tick().deaf == {"g3": str(fault)}
    assert not any(health.back for _, health in stage.run(300)), "still deaf"
    del stage.trouble["g3"]
    assert stage.until(lambda health: health.back) == 40
    assert stage.verdicts[-1][1].back == {"g3"}
    assert _quarantined(stage.run(600)) == []


@pytest.mark.parametrize("fault", [Fault.NATS, Fault.STALLED, Fault.SILENT])
def test_a_fault_that_passes_is_nothing(fault: Fault) -> None:
    stage = Stage(5)
    for _ in range(20):
        stage.trouble["g3"] = fault
        stage.run(20)
        stage.trouble.clear()
        stage.run(20)
    assert _quarantined(stage.verdicts) == []


@pytest.mark.parametrize("fault", [Fault.NATS, Fault.STALLED, Fault.SILENT])
@pytest.mark.parametrize(("size", "deaf"), [(2, 2), (3, 2), (5, 3), (10, 6), (1, 1)])
def test_what_most_have_is_not_theirs(fault: Fault, size: int, deaf: int) -> None:
    stage = Stage(size)
    stage.run(60)
    stage.trouble = {f"g{n}": fault for n in range(deaf)}
    verdicts = stage.run(3600)
    assert _quarantined(verdicts) == []
    # When none answers the operator is alone, and that is no news of the broker's.
    expected = size >= 2 and not (fault is Fault.SILENT and deaf == size)
    assert verdicts[-1][1].broken_broker is expected


def test_a_broker_that_dies_is_seen_by_one_after_the_other_and_nobody_is_quarantined() -> None:
    """The first one's 30 s are over when the others have begun theirs."""
    stage = Stage(10)
    stage.run(60)
    for n in range(10):
        stage.trouble[f"g{n}"] = Fault.NATS
        if n % 3 == 0:
            stage.tick()
    assert _quarantined(stage.run(1200)) == []


def test_half_that_are_deaf_go_one_at_a_time_and_slower_and_slower() -> None:
    stage = Stage(40)
    stage.run(60)
    stage.trouble = {f"g{n}": Fault.NATS for n in range(18)}
    verdicts = stage.run(4 * 3600)
    times = [at for at, health in verdicts if health.quarantine]
    assert [later - earlier for earlier, later in pairwise(times)] == [60, 120, 240]
    assert len(stage.marked) == 4, "a tenth of forty, however long it lasts"


def test_the_one_that_has_been_deaf_longest_goes_first_and_for_what_came_first() -> None:
    stage = Stage(20)
    stage.run(60)
    stage.trouble["g5"] = Fault.NATS
    stage.tick()
    stage.trouble |= {"g3": Fault.NATS, "g7": Fault.NATS}
    stage.tick()
    stage.changed["g5"] = {"sample": Sample(stage.now + 60, Stats("b5", connections=1000, nats=False, loop_lag=9.0))}
    assert stage.until(lambda health: health.quarantine) == 20
    assert stage.verdicts[-1][1].quarantine == {"g5": str(Fault.NATS)}
    stage.run(40)
    assert stage.tick().deaf["g5"] == str(Fault.NATS)


def test_pauses_double_to_half_an_hour_and_an_hour_forgets_them() -> None:
    """One that comes and goes: it is taken back each time, and the pause before the next one grows."""
    stage = Stage(5)
    stage.run(60)
    times: list[float] = []
    while len(times) < 12:
        stage.trouble["g1"] = Fault.NATS
        stage.until(lambda health: health.quarantine, 4000)
        times.append(stage.now)
        stage.trouble.clear()
        stage.until(lambda health: health.back)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:5] == [80, 120, 240, 480, 960]  # the first is how long it takes to be well, and deaf again
    assert set(pauses[5:]) == {PAUSE_MAX_SECONDS}
    stage.run(3700)
    assert stage.memory.streak == 0


def test_the_last_that_serves_stays_and_one_of_two_goes_only_if_the_other_is_well() -> None:
    alone = Stage(1)
    alone.trouble["g0"] = Fault.NATS
    assert _quarantined(alone.run(600)) == []
    pair = Stage(2)
    pair.run(60)
    pair.trouble["g0"] = Fault.NATS
    assert _quarantined(pair.run(600)) == ["g0"]
    pair.trouble["g1"] = Fault.STALLED
    assert _quarantined(pair.run(600)) == []
    unready = Stage(2)
    unready.changed["g1"] = {"ready": False}
    unready.run(60)
    unready.trouble["g0"] = Fault.NATS
    assert _quarantined(unready.run(600)) == []


def test_when_nobody_else_serves_all_come_back() -> None:
    stage = Stage(3)
    stage.run(60)
    stage.trouble["g0"] = Fault.NATS
    stage.until(lambda health: health.quarantine)
    stage.changed = {"g1": {"ready": False}, "g2": {"leaving": True}}
    assert stage.tick().back == {"g0"}
    assert _quarantined(stage.run(600)) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"pending": True},
        {"leaving": True},
        {"mark": Mark(Why.SCALE_DOWN, 0.0)},
        {"mark": Mark(Why.ROLLOUT, 0.0)},
        {"ready": False},
    ],
)
def test_who_gets_no_new_sockets_anyway_is_not_quarantined(changed: Mapping[str, Any]) -> None:
    stage = Stage(5)
    stage.changed["g2"] = dict(changed)
    stage.trouble["g2"] = Fault.NATS
    assert _quarantined(stage.run(600)) == []


def test_one_that_never_answered_is_silent_after_its_time_and_not_when_nobody_answers() -> None:
    stage = Stage(5)
    stage.trouble["g2"] = Fault.SILENT
    assert stage.until(lambda health: health.quarantine) == 60
    nobody = Stage(5)
    nobody.run(60)
    nobody.trouble = {f"g{n}": Fault.SILENT for n in range(5)}
    verdicts = nobody.run(600)
    assert not any(health.deaf or health.broken_broker for _, health in verdicts)


@pytest.mark.parametrize(("connections", "size"), [(50, 5), (1000, 1)])
def test_a_quiet_gateway_is_not_frozen_when_it_holds_few_or_is_alone(connections: int, size: int) -> None:
    stage = Stage(size, connections)
    stage.trouble["g0"] = Fault.FROZEN
    assert _quarantined(stage.run(1200)) == []


def test_a_mark_for_another_reason_is_not_taken_back() -> None:
    stage = Stage(5)
    stage.changed["g2"] = {"mark": Mark(Why.SCALE_DOWN, 0.0)}
    assert not any(health.back for _, health in stage.run(600))


def test_one_that_is_not_ready_may_be_silent() -> None:
    stage = Stage(5)
    stage.trouble["g2"] = Fault.SILENT
    stage.changed["g2"] = {"ready": False}
    assert not any(health.deaf for _, health in stage.run(600))


def test_a_silence_that_began_before_the_watch_counts_from_the_watch() -> None:
    stage = Stage(5)
    stage.heard["g2"] = stage.now - 500
    stage.trouble["g2"] = Fault.SILENT
    assert stage.until(lambda health: health.deaf) == 60


def test_one_that_nobody_heard_of_lately_does_not_come_back() -> None:
    stage = Stage(5)
    stage.marked["g2"] = stage.now
    stage.trouble = {f"g{n}": Fault.SILENT for n in range(5)}
    assert not any(health.back for _, health in stage.run(600))


@pytest.mark.parametrize(("accepts", "frames"), [(0, 30), (2, 0), (2, 30)])
def test_one_is_frozen_only_when_the_others_both_accept_and_deliver(accepts: int, frames: int) -> None:
    stage = Stage(5)
    stage.accepts, stage.frames = accepts, frames
    stage.trouble["g2"] = Fault.FROZEN
    assert any(health.deaf for _, health in stage.run(600)) == (accepts > 0 and frames > 0)


def test_one_that_is_left_alone_is_not_frozen() -> None:
    stage = Stage(3)
    stage.trouble["g0"] = Fault.FROZEN
    stage.run(100)
    stage.changed = {"g1": {"leaving": True}, "g2": {"leaving": True}}
    assert not any(health.deaf for _, health in stage.run(600))


def test_a_process_that_began_anew_is_no_growth() -> None:
    stage = Stage(3)
    stage.trouble["g0"] = Fault.FROZEN
    stage.accepts = stage.frames = 0
    stage.run(100)
    busy = stage.memory.watching.busy
    for name in ("g1", "g2"):
        stage.said[name] = replace(stage.said[name], boot="anew", accepted=10**6, frames_in=10**6)
    stage.run(20)
    assert stage.memory.watching.busy == busy


def test_a_quiet_fleet_is_not_frozen() -> None:
    stage = Stage(5)
    stage.run(60)
    stage.trouble = {f"g{n}": Fault.FROZEN for n in range(5)}
    assert not any(health.deaf for _, health in stage.run(1200))


def test_a_new_process_of_the_same_name_starts_with_a_clean_sheet() -> None:
    stage = Stage(5)
    stage.run(60)
    stage.trouble["g2"] = Fault.NATS
    stage.run(30)
    stage.changed["g2"] = {"uid": "another"}
    assert not stage.tick().deaf


def test_what_was_not_watched_does_not_count() -> None:
    stage = Stage(5)
    stage.run(60)
    stage.trouble["g2"] = Fault.NATS
    stage.run(20)
    stage.now += 300
    assert not stage.tick().deaf
    assert stage.until(lambda health: health.quarantine) == 30


def test_a_new_leader_takes_over_the_quarantined_and_waits_before_the_next() -> None:
    stage = Stage(40)
    stage.trouble = {"g1": Fault.NATS, "g2": Fault.NATS}
    stage.marked["g1"] = stage.now
    assert stage.until(lambda health: health.quarantine) == TICK + PAUSE_SECONDS
    del stage.trouble["g1"]
    assert stage.until(lambda health: health.back) == 40


@given(
    size=st.integers(1, 25),
    story=st.lists(
        st.tuples(
            st.integers(1, 60),
            st.dictionaries(st.integers(0, 24), st.sampled_from(Fault)),
            st.sets(st.integers(0, 24), max_size=6),
        ),
        max_size=8,
    ),
)
def test_whatever_happens_the_budget_holds(size: int, story: list[tuple[int, dict[int, Fault], set[int]]]) -> None:
    stage, times = Stage(size), list[float]()
    for ticks, trouble, unready in story:
        stage.trouble = {f"g{n}": fault for n, fault in trouble.items() if n < size}
        stage.changed = {f"g{n}": {"ready": False} for n in unready}
        for _ in range(ticks):
            before = set(stage.marked)
            health = stage.tick()
            assert len(health.quarantine) <= 1
            assert health.quarantine.keys() <= health.deaf.keys()
            assert not health.quarantine.keys() & health.back
            assert health.back <= before
            if health.quarantine:
                times.append(stage.now)
                assert len(stage.marked) <= max(1, size * MAX_PERCENT // 100)
                assert not health.broken_broker
                well = [n for n in range(size) if n not in unready and f"g{n}" not in health.deaf.keys() | stage.marked]
                assert well, "somebody serves"
            assert stage.memory.watching.units.keys() == stage.said.keys()
    assert all(later - earlier >= PAUSE_SECONDS for earlier, later in pairwise(times))
