"""What is unusual in a fleet, and what is not."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.anomaly import BUCKETS, LEARNED, TICKS, Anomaly, AnomalyMemory, Kind, notice
from push_operator.fleet.values import Fleet, Gateway, Sample, Stats

TICK = 10.0


class Hall:
    """A fleet in which so many come, go, are refused and are asked to come back, a second."""

    def __init__(self, size: int = 4) -> None:
        self.now = 5.0
        self.memory = AnomalyMemory()
        self.said = [Stats(f"b{n}") for n in range(size)]

    def tick(
        self, comes: float = 0, goes: float = 0, refused: float = 0, asked: float = 0, silent: int = 0
    ) -> tuple[Anomaly, ...]:
        """`silent` gateways do not answer; what happens is spread over all."""
        self.now += TICK
        count = len(self.said)
        self.said = [
            replace(
                one,
                accepted=one.accepted + round(comes * TICK / count),
                disconnects=one.disconnects + round(goes * TICK / count),
                auth_failures=one.auth_failures + round(refused * TICK / count),
                reconnects_asked=one.reconnects_asked + round(asked * TICK / count),
            )
            for one in self.said
        ]
        told, self.memory = notice(self.fleet(silent), self.memory, self.now)
        return told

    def fleet(self, silent: int = 0) -> Fleet:
        last = {name: sample for name, (_, sample) in self.memory.last.items()}
        gateways = []
        for number, stats in enumerate(self.said):
            sample = last.get(f"g{number}") if number < silent else Sample(self.now, stats)
            gateways.append(Gateway(f"g{number}", f"u{number}", "r", ready=True, sample=sample))
        return Fleet("r", gateways=tuple(gateways))

    def learn(self, comes: float = 20, goes: float = 20, minutes: int = 60) -> None:
        random = Random(3)  # noqa: S311 - no secret
        for _ in range(minutes * 6):
            assert self.tick(comes * random.uniform(0.8, 1.2), goes * random.uniform(0.8, 1.2)) == ()


def _kinds(told: tuple[Anomaly, ...]) -> set[Kind]:
    return {one.kind for one in told}


def test_an_hour_as_usual_is_no_anomaly_and_a_storm_is_one_after_three_ticks() -> None:
    hall = Hall()
    hall.learn()
    assert [_kinds(hall.tick(20, 400)) for _ in range(TICKS)] == [set()] * (TICKS - 1) + [{Kind.DISCONNECTS}]
    told = hall.tick(400, 400)
    assert told[0].rate == pytest.approx(400)
    assert told[0].usual == pytest.approx(20, rel=0.1)
    for _ in range(TICKS):
        told = hall.tick(400, 20)
    assert _kinds(told) == {Kind.CONNECTS}
    assert hall.tick(20, 20) == ()


@pytest.mark.parametrize(("rate", "found"), [(60, True), (31, True), (27, False)])
def test_how_much_is_unusual(rate: float, found: bool) -> None:
    """Of 20 a second: a tick is off by 1.4 by chance, and minutes vary less than that. Six times it is unusual."""
    hall = Hall()
    hall.learn()
    assert bool([hall.tick(rate, 20) for _ in range(TICKS)][-1]) == found


def test_below_the_floor_nothing_is_worth_a_word() -> None:
    hall = Hall()
    hall.learn(0, 0)
    assert [hall.tick(9, 9, 4) for _ in range(10)][-1] == ()
    assert _kinds([hall.tick(12, 12, 6) for _ in range(TICKS)][-1]) == set(Kind)


def test_two_ticks_are_none_however_often() -> None:
    hall = Hall()
    hall.learn()
    for _ in range(20):
        assert [hall.tick(500, 20), hall.tick(500, 20), hall.tick(20, 20)] == [()] * 3


def test_what_was_asked_for_is_no_storm() -> None:
    """A drain of 100 a second: they go in the same tick, and come back in the next."""
    hall = Hall()
    hall.learn()
    told = [hall.tick(20 + (100 if tick else 0), 120, asked=100) for tick in range(60)]
    told += [hall.tick(120, 20), *(hall.tick(20, 20) for _ in range(10))]
    assert not any(told)


def test_a_storm_during_a_drain_is_one() -> None:
    hall = Hall()
    hall.learn()
    told = [hall.tick(120, 500, asked=100) for _ in range(TICKS)]
    assert told[-1][0].rate == pytest.approx(400, rel=0.05)


def test_those_who_were_asked_and_never_went_are_no_excuse_later() -> None:
    hall = Hall()
    hall.learn()
    hall.tick(20, 20, asked=1000)
    for _ in range(30):
        hall.tick(20, 20)
    assert _kinds([hall.tick(20, 300) for _ in range(TICKS)][-1]) == {Kind.DISCONNECTS}


def test_before_it_has_learned_nothing_is_unusual() -> None:
    hall = Hall()
    hall.learn(minutes=LEARNED - 2)
    assert not any(hall.tick(500, 500) for _ in range(5))


def test_what_lasts_becomes_usual() -> None:
    hall = Hall()
    hall.learn()
    told = [bool(hall.tick(500, 20)) for _ in range(6 * 60)]
    assert 6 * 28 < sum(told) < 6 * 33


def test_a_gateway_that_is_new_or_began_anew_is_no_storm() -> None:
    hall = Hall()
    hall.learn()
    hall.said.append(Stats("new", accepted=10**6, disconnects=10**6, auth_failures=10**6))
    hall.said[0] = Stats("anew", accepted=10**6, disconnects=10**6)
    hall.said[1] = replace(hall.said[1], accepted=0, disconnects=0)
    assert not any(hall.tick(20, 20) for _ in range(10))


def test_one_that_is_silent_for_a_while_is_counted_at_its_own_rate() -> None:
    hall = Hall(4)
    hall.learn()
    told = [hall.tick(20, 20, silent=silent) for silent in [0, 1, 1, 1, 0, 0, 2, 0, 1, 0] * 6]
    assert not any(told)
    assert _kinds([hall.tick(20, 300, silent=1) for _ in range(TICKS)][-1]) == {Kind.DISCONNECTS}


def test_without_news_the_last_word_stands() -> None:
    hall = Hall()
    hall.learn()
    told = [hall.tick(500, 20) for _ in range(TICKS)][-1]
    assert told
    for _ in range(5):
        again, hall.memory = notice(hall.fleet(), hall.memory, hall.now)
        assert again == told


@given(
    ticks=st.lists(
        st.tuples(*[st.integers(0, 10**6)] * 4, st.integers(0, 4), st.sampled_from([1.0, 10.0, 30.0, 300.0, 7200.0])),
        max_size=100,
    )
)
def test_memory_is_bounded_and_rates_are_numbers(ticks: list[tuple[int, int, int, int, int, float]]) -> None:
    hall = Hall()
    for comes, goes, refused, asked, silent, gap in ticks:
        hall.now += gap
        told = hall.tick(comes, goes, refused, asked, silent)
        assert all(one.rate > one.usual >= 0 for one in told)
        assert len(hall.memory.buckets) <= BUCKETS
        assert hall.memory.last.keys() <= {f"g{number}" for number in range(4)}
        assert all(value >= 0 for value in hall.memory.planned.values())


def test_buckets_are_the_last_hour() -> None:
    hall = Hall()
    hall.learn(minutes=100)
    assert len(hall.memory.buckets) == BUCKETS
    hall.now += 3 * 3600
    hall.tick()
    hall.tick()
    assert len(hall.memory.buckets) == 1
