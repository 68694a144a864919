"""What a fleet carries, from samples that are missing, old, or of a new process."""

from __future__ import annotations

from math import exp
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.measure import MOST_ARRIVALS, PENDING_BYTES, Load, is_fresh, measure
from push_operator.fleet.memory import Memory, Peak, with_value
from push_operator.fleet.values import Bus, Draining, Fleet, Gateway, Mark, Sample, Stats, Why

TARGET = 1000


def _one(name: str, at: float | None, *, ready: bool = True, mark: bool = False, leaving: bool = False,
         pending: bool = False, **stats: Any) -> Gateway:  # fmt: skip
    """`at`: of its sample, None: it never said anything."""
    sample = None if at is None else Sample(at, Stats(**{"boot": name, **stats}))
    return Gateway(name, name, "a", ready, pending, leaving=leaving, mark=Mark(Why.SCALE_DOWN, 0.0) if mark else None,
                   sample=sample)  # fmt: skip


def _looked(*looks: tuple[float, tuple[Gateway, ...]], bus: Bus | None = None) -> tuple[Load, Memory]:
    memory = Memory(began=0.0)
    for now, gateways in looks:
        load, memory = measure(Fleet("a", gateways=gateways, bus=bus), memory, TARGET, now)
    return load, memory


def _load(now: float, *gateways: Gateway) -> Load:
    return _looked((now, gateways))[0]


def test_the_last_known_number_of_everyone_counts() -> None:
    """Also of those that are emptied, or end: their clients come back."""
    load = _load(100.0, _one("a", 100.0, connections=10), _one("b", 30.0, connections=20),
                 _one("c", 100.0, mark=True, connections=30), _one("d", 100.0, leaving=True, connections=40),
                 _one("e", None))  # fmt: skip
    assert load.known == 100
    assert (load.ready, load.fresh, load.complete) == (3, 1, False)


def test_one_that_serves_and_says_nothing_counts_as_full() -> None:
    assert _load(100.0, _one("a", 100.0, connections=10), _one("b", None)).feared == 10 + TARGET
    assert _load(100.0, _one("a", 100.0, connections=10), _one("b", 79.0, connections=5)).feared == 10 + TARGET
    assert _load(100.0, _one("a", 100.0, connections=10), _one("b", 79.0, connections=3000)).feared == 3010
    assert _load(100.0, _one("a", 100.0, connections=10), _one("b", None, ready=False)).feared == 10 + TARGET
    assert _load(100.0, _one("a", 100.0, connections=10), _one("b", None, pending=True)).feared == 10
    assert _load(100.0, _one("a", 100.0, connections=10), _one("b", None, leaving=True)).feared == 10
    assert _load(100.0, _one("b", None)).busy == 0.0


def test_one_that_claims_a_flood_counts_for_no_more_than_a_gateway_can_take() -> None:
    load, _ = _looked((100.0, (_one("a", 100.0, uptime=50.0), _one("b", 100.0, accepted=2**53, uptime=50.0))))
    assert load.rate == MOST_ARRIVALS


def test_a_sample_is_fresh_for_two_ticks() -> None:
    assert is_fresh(_one("a", 100.0), 120.0)
    assert not is_fresh(_one("a", 100.0), 120.1)
    assert not is_fresh(_one("a", None), 100.0)


def test_only_those_without_a_mark_serve() -> None:
    load = _load(
        1.0, _one("a", 1.0), _one("b", 1.0, mark=True), _one("c", 1.0, leaving=True), _one("d", 1.0, ready=False)
    )
    assert (load.ready, load.fresh) == (1, 1)


def test_new_connections_a_second_are_of_the_time_between_two_samples() -> None:
    load, _ = _looked((10.0, (_one("a", 10.0, uptime=10.0, accepted=50),)))
    assert load.rate == pytest.approx(5.0)  # since it began
    slower = (_one("a", 20.0, uptime=20.0, accepted=70),)
    load, _ = _looked((10.0, (_one("a", 10.0, uptime=10.0, accepted=50),)), (20.0, slower))
    assert load.rate == pytest.approx(5.0 + (2.0 - 5.0) * (1 - exp(-10 / 60)))
    first, then = (_one("a", 10.0, uptime=10.0, accepted=0),), (_one("a", 20.0, uptime=20.0, accepted=300),)
    load, memory = _looked((10.0, first), (20.0, then))
    assert load.rate == pytest.approx(30.0 * (1 - exp(-10 / 60)))
    assert memory.rated_at == 20.0


def test_who_was_sent_here_by_the_operator_is_nobody_new() -> None:
    first = (_one("a", 10.0, accepted=0), _one("b", 10.0, accepted=0))
    then = (_one("a", 20.0, accepted=400), _one("b", 20.0, accepted=0, reconnects_asked=300))
    load, _ = _looked((10.0, first), (20.0, then))
    assert load.rate == pytest.approx(10.0 * (1 - exp(-10 / 60)))
    both = (_one("a", 10.0, uptime=1e12, accepted=700, reconnects_asked=500),)
    load, _ = _looked((10.0, both), (20.0, (_one("a", 20.0, accepted=1100, reconnects_asked=800),)))
    assert load.rate == pytest.approx(10.0 * (1 - exp(-10 / 60)))
    load, _ = _looked((10.0, (_one("b", 10.0),)), (20.0, (_one("b", 20.0, reconnects_asked=300),)))
    assert load.rate == 0.0  # never less than nothing


def test_a_new_process_has_counted_from_nothing() -> None:
    first = (_one("a", 10.0, uptime=1e12, accepted=90_000, cpu_seconds=5000.0),)
    then = (_one("a", 20.0, boot="again", uptime=5.0, accepted=50, cpu_seconds=2.5),)
    load, _ = _looked((10.0, first), (20.0, then))
    assert load.busy == pytest.approx(0.5)
    assert load.rate == pytest.approx(10.0 * (1 - exp(-10 / 60)))
    load, _ = _looked((10.0, first), (20.0, (_one("a", 20.0, boot="again", uptime=0.01, accepted=50),)))
    assert load.rate == pytest.approx(50.0 * (1 - exp(-10 / 60)))  # of a second, not of a moment


def test_a_sample_that_is_no_newer_says_nothing_new() -> None:
    first, then = (_one("a", 10.0, accepted=0, uptime=10.0),), (_one("a", 20.0, accepted=300),)
    once, memory = _looked((10.0, first), (20.0, then))
    again, after = _looked((10.0, first), (20.0, then), (22.0, then))
    assert again.rate == once.rate
    assert after.rated_at == memory.rated_at
    just, _ = _looked((10.0, first), (10.4, (_one("a", 10.4, accepted=300),)))
    assert just.rate == 0.0
    enough, _ = _looked((10.0, first), (10.5, (_one("a", 10.5, accepted=300),)))
    assert enough.rate > 0.0


def test_the_cpu_of_those_that_were_heard_lately() -> None:
    first = (_one("a", 10.0, cpu_seconds=1.0), _one("b", 10.0, cpu_seconds=1.0))
    then = (_one("a", 20.0, cpu_seconds=9.0), _one("b", 20.0, cpu_seconds=3.0))
    assert _looked((10.0, first), (20.0, then))[0].busy == pytest.approx(1.0)
    assert _looked((10.0, first), (20.0, then), (22.0, then))[0].busy == pytest.approx(1.0)
    assert _looked((10.0, first), (20.0, then), (41.0, then))[0].busy == 0.0
    back = (_one("a", 20.0, cpu_seconds=0.0), _one("b", 20.0, cpu_seconds=3.0))
    assert _looked((10.0, first), (20.0, back))[0].busy == pytest.approx(0.2)


def test_who_sends_clients_elsewhere_and_goes_on_serving() -> None:
    """Whoever told it to: an operator that has just begun sees it by the second look."""
    first = (_one("a", 10.0, reconnects_asked=100), _one("b", 10.0))
    assert _looked((10.0, first))[0].shed == 0.0
    then = (_one("a", 20.0, reconnects_asked=400), _one("b", 20.0))
    assert _looked((10.0, first), (20.0, then))[0].shed == 30.0
    assert _looked((10.0, first), (20.0, then), (22.0, then))[0].shed == 30.0
    assert _looked((10.0, first), (20.0, then), (41.0, then))[0].shed == 0.0  # it is not heard
    done = (_one("a", 30.0, reconnects_asked=400), _one("b", 30.0))
    assert _looked((10.0, first), (20.0, then), (30.0, done))[0].shed == 0.0
    emptied = (_one("a", 20.0, reconnects_asked=400, draining=Draining(30.0, 9)), _one("b", 20.0))
    assert _looked((10.0, first), (20.0, emptied))[0].shed == 0.0
    assert _looked((10.0, first), (20.0, (_one("a", 20.0, boot="again", uptime=5.0),)))[0].shed == 0.0


def _bus(started: str = "s", slow: int = 0, **pending: int) -> Bus:
    return Bus(0.0, started, slow, pending)


@pytest.mark.parametrize(
    ("before", "after", "pressed"),
    [
        (None, None, 0),
        (None, _bus(a=PENDING_BYTES), 1),
        (None, _bus(a=PENDING_BYTES - 1), 0),
        (None, _bus(a=PENDING_BYTES, b=PENDING_BYTES), 2),
        (None, _bus(other=PENDING_BYTES), 0),  # no gateway of ours
        (None, _bus(slow=9), 0),  # since when, nobody knows
        (_bus(slow=8), _bus(slow=9), 1),
        (_bus(slow=8), _bus(slow=9, a=PENDING_BYTES), 2),
        (_bus(slow=8), _bus(slow=99), 2),  # no more than there are
        (_bus(slow=8), _bus(slow=8), 0),
        (_bus(slow=8), _bus("again", slow=9), 0),
        (_bus(slow=8), _bus(slow=0), 0),
    ],
)
def test_for_whom_the_broker_holds_much_back_or_whom_it_cuts_off(
    before: Bus | None, after: Bus | None, pressed: int
) -> None:
    fleet = Fleet("a", gateways=(_one("a", 1.0), _one("b", 1.0)), bus=after)
    load, memory = measure(fleet, Memory(began=0.0, bus=before), TARGET, 1.0)
    assert (load.pressed, load.bus) == (pressed, after is not None)
    assert memory.bus == (after or before)


def test_since_when_somebody_is_not_ready() -> None:
    waits = (_one("a", None, ready=False), _one("b", 10.0))
    _, memory = _looked((10.0, waits), (30.0, waits))
    assert memory.unready == {"a": 10.0}
    _, memory = _looked((10.0, waits), (30.0, (_one("a", 30.0), _one("b", 30.0))))
    assert memory.unready == {}


def test_who_is_gone_is_forgotten() -> None:
    _, memory = _looked((10.0, (_one("a", 10.0), _one("b", 10.0))), (20.0, (_one("a", 20.0),)))
    assert set(memory.samples) == {"a"}
    assert set(memory.busy) == {"a"}
    assert memory.samples["a"].at == 20.0


@given(st.lists(st.tuples(st.floats(0.1, 100), st.integers(0, 50)), min_size=1, max_size=40))
def test_the_largest_of_the_window_is_always_the_first(values: list[tuple[float, int]]) -> None:
    peaks: tuple[Peak, ...] = ()
    seen: list[Peak] = []
    now = 0.0
    for pause, value in values:
        now += pause
        peaks = with_value(peaks, now, value, 120.0)
        seen.append(Peak(now, value))
        assert peaks[0].value == max(one.value for one in seen if one.at > now - 120.0)
    assert [one.at for one in peaks] == sorted({one.at for one in peaks})


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 200), st.integers(0, 5000), st.booleans(), st.booleans()), max_size=9)
)
def test_whatever_is_missing_sums_are_on_the_safe_side(rows: list[tuple[float | None, int, bool, bool]]) -> None:
    gateways = tuple(
        _one(f"g{number}", at, ready=ready, mark=mark, connections=held)
        for number, (at, held, ready, mark) in enumerate(rows)
    )
    load = _load(200.0, *gateways)
    silent = sum(at is None or at < 180 for at, *_ in rows)
    assert load.silent == silent >= load.ready - load.fresh
    assert load.feared >= load.known >= 0
    assert load.feared >= TARGET * silent
    assert load.complete is (silent == 0)
