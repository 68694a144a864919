"""When the gateway presses back: levels, turns, and a loop that is simulated with its clock."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_workloads.gateway.pressure import EASE_SECONDS, OVERLOADED_WAIT, Level, Pressure, Sample

MAX_LAG, MAX_IN_FLIGHT, STEP = 0.1, 1000, 0.05
CALM, PRESSED, OVERLOADED = Level.CALM, Level.PRESSED, Level.OVERLOADED


def _levels(samples: Iterable[dict[str, float]]) -> list[Level]:
    """After each of them, `STEP` apart and later when the loop was late."""
    pressure, now, levels = Pressure(MAX_LAG, MAX_IN_FLIGHT), 0.0, []
    for one in samples:
        now += STEP + one.get("lag", 0.0)
        pressure.sample(Sample(now, **{"lag": 0.0, **one}))  # type: ignore[arg-type]
        levels.append(pressure.level)
    return levels


LATE, FULL = {"lag": 0.11}, {"lag": 0.0, "in_flight": 1001}
VERY_LATE, WAITING = {"lag": 0.51}, {"lag": 0.0, "held": 9, "waited": 1.01}
FINE: dict[str, float] = {"lag": 0.0}


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        ([], CALM),
        ([LATE], CALM),
        ([LATE, FINE, LATE, FINE], CALM),
        ([LATE, LATE], PRESSED),
        ([FULL], PRESSED),
        ([{"lag": 0.6, "in_flight": 1001, "waited": 5.0}], PRESSED),
        ([VERY_LATE], CALM),
        ([VERY_LATE] * 2, PRESSED),
        ([VERY_LATE] * 3, OVERLOADED),
        ([LATE] * 2 + [WAITING] * 2, PRESSED),
        ([LATE] * 2 + [WAITING] * 3, OVERLOADED),
        ([LATE] * 2 + [FINE] * 10, PRESSED),
        ([LATE] * 2 + [FINE] * 22, CALM),
        ([LATE] * 2 + [FINE] * 15 + [{"lag": 0.06}] + [FINE] * 15, PRESSED),
        ([VERY_LATE] * 3 + [FINE] * 22, PRESSED),
        ([VERY_LATE] * 3 + [FINE] * 44, CALM),
        ([VERY_LATE] * 3 + [{"lag": 0.0, "waited": 0.6}] * 100, OVERLOADED),
        ([VERY_LATE] * 3 + [{"lag": 0.0, "waited": 0.4}] * 100, PRESSED),
    ],
)
def test_level(samples: list[dict[str, float]], level: Level) -> None:
    assert (_levels(samples) or [CALM])[-1] is level


SAMPLES = st.lists(
    st.fixed_dictionaries(
        {
            "lag": st.sampled_from([0.0, 0.02, 0.04, 0.06, 0.11, 0.3, 0.6]),
            "in_flight": st.sampled_from([0, 400, 600, 1100, 5000]),
            "held": st.integers(0, 300),
            "spared": st.sampled_from([0, 50, 500]),
            "waited": st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.5]),
        }
    ),
    max_size=120,
)


@given(SAMPLES)
def test_it_does_not_flap(samples: list[dict[str, float]]) -> None:
    pressure, now, changed_at = Pressure(MAX_LAG, MAX_IN_FLIGHT), 0.0, 0.0
    for one in samples:
        before, now = pressure.level, now + STEP
        pressure.sample(Sample(now, **one))  # type: ignore[arg-type]
        if pressure.level < before:
            assert pressure.level == before - 1
            assert now - changed_at >= EASE_SECONDS
        if pressure.level is not before:
            changed_at = now


@given(SAMPLES)
def test_somebody_always_has_a_turn_and_everybody_when_it_is_calm(samples: list[dict[str, float]]) -> None:
    pressure, now = Pressure(MAX_LAG, MAX_IN_FLIGHT), 0.0
    for one in samples:
        now += STEP
        turns = pressure.sample(Sample(now, **one))  # type: ignore[arg-type]
        assert min(1, one["held"]) <= turns <= one["held"]
        if pressure.level is CALM:
            assert turns == one["held"]
            assert not pressure.strict


class Loop:
    """Handles `capacity` frames a second; of its sockets, each has always frames to send. A share of the frames comes
    from sockets that send now and then: they wait only when it is strict."""

    def __init__(self, capacity: int, sockets: int, frames_a_turn: int, now_and_then: int = 0) -> None:
        self._capacity = capacity
        self._sockets = sockets
        self._frames_a_turn = frames_a_turn
        self._now_and_then = now_and_then
        self._pressure = Pressure(MAX_LAG, MAX_IN_FLIGHT)
        self._turns = sockets
        self.now = self.done = self.worst = 0.0
        self.was_strict = False

    def run(self, samples: int) -> None:
        for _ in range(samples):
            frames = self._turns * self._frames_a_turn
            spared = 0 if self._pressure.strict else self._now_and_then
            frames += spared
            lag = max(0.0, frames / self._capacity - STEP)
            self.now += STEP + lag
            self.done += frames
            self.worst = max(self.worst, lag)
            sample = Sample(self.now, lag, held=self._sockets, waited=OVERLOADED_WAIT, spared=spared)
            self._turns = self._pressure.sample(sample)
            self.was_strict = self.was_strict or self._pressure.strict

    def forget(self) -> None:
        """What was until now does not count."""
        self.now = self.done = self.worst = 0.0


@pytest.mark.parametrize("capacity", [500, 5000, 50_000])
@pytest.mark.parametrize("sockets", [300, 15_000])
@pytest.mark.parametrize("frames_a_turn", [1, 8])
def test_a_crowd_makes_nobody_late_and_the_loop_stays_busy(capacity: int, sockets: int, frames_a_turn: int) -> None:
    loop = Loop(capacity, sockets, frames_a_turn)
    loop.run(60)
    loop.forget()
    loop.run(600)
    assert loop.worst <= MAX_LAG
    all_they_can_send = sockets * frames_a_turn / STEP
    assert loop.done / loop.now >= 0.8 * min(capacity, all_they_can_send)


def test_a_crowd_of_those_who_send_now_and_then_waits_too() -> None:
    loop = Loop(2000, 1000, 1, now_and_then=1000)
    loop.run(20)
    assert loop.was_strict
    loop.forget()
    loop.run(600)
    assert loop.done / loop.now >= 0.5 * 2000
    assert loop.worst <= 1.0


def test_few_who_send_now_and_then_never_wait_however_late_it_is() -> None:
    pressure = Pressure(MAX_LAG, MAX_IN_FLIGHT)
    for number in range(100):  # the machine is somebody else's
        pressure.sample(Sample(number * 0.3, 0.25, held=500, waited=5.0, spared=20))
    assert pressure.level is OVERLOADED
    assert not pressure.strict


def test_a_log_that_is_slower_than_the_loop_sets_the_pace() -> None:
    """It stores 300 messages between two samples; each turn sends 20."""
    pressure, in_flight, stored, most = Pressure(MAX_LAG, MAX_IN_FLIGHT), 5000, 0, 0
    for number in range(600):
        turns = pressure.sample(Sample(number * STEP, 0.0, in_flight=in_flight, held=1000, waited=5.0))
        done = min(300, in_flight + turns * 20)
        in_flight += turns * 20 - done
        if number > 100:
            stored, most = stored + done, max(most, in_flight)
    assert most <= 1.5 * MAX_IN_FLIGHT
    assert stored >= 0.8 * 300 * 499
    assert not pressure.strict
