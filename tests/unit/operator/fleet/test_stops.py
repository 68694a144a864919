"""What stops a new revision, and who ends that, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from push_operator.fleet.rollout import (
    RESTARTS,
    START_SECONDS,
    TRIES,
    Rollout,
    Services,
    State,
    follow,
    previous,
    target,
)
from push_operator.fleet.values import Draining, Fleet, Gateway, GatewaySet, Mark, Sample, Stats, Why


def _one(name: str, *, ready: bool = True, restarts: int = 0, **stats: int) -> Gateway:
    return Gateway(name, name, name[0], ready, restarts=restarts, sample=Sample(0.0, Stats(name, **stats)))  # type: ignore[arg-type]  # counters


def _fleet(*new: Gateway, old: tuple[Gateway, ...] = (_one("a1"), _one("a2"))) -> Fleet:
    return Fleet("b", (GatewaySet("a", 2), GatewaySet("b", len(new))), (*old, *new))


def _follow(
    fleet: Fleet, *, before: Rollout | None = None, ask: str = "", waits: dict[str, float] | None = None
) -> tuple[State, str]:
    made = follow(fleet, before, ask, waits or {}, Services())
    assert made.revision == fleet.wanted
    return made.state, made.reason


GOES_ON = (State.PROGRESSING, "Progressing")
STOPPED = Rollout("b", State.STOPPED, "NotReady", "b1 is not ready")


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        (Fleet("a"), (State.DONE, "")),
        (Fleet("a", (GatewaySet("a", 2),), (_one("a1"),)), (State.DONE, "")),
        (Fleet("b", (GatewaySet("a", 0), GatewaySet("b", 1)), (_one("b1"),)), (State.DONE, "")),
        (Fleet("b", (GatewaySet("a", 0), GatewaySet("b", 1)), (_one("a1"), _one("b1"))), GOES_ON),  # it still goes
        (Fleet("b", (GatewaySet("a", 1), GatewaySet("b", 1)), (_one("b1"),)), GOES_ON),
        (_fleet(_one("b1")), GOES_ON),
        (_fleet(), GOES_ON),
    ],
)
def test_it_is_under_way_as_long_as_there_is_another_revision(fleet: Fleet, said: tuple[State, str]) -> None:
    assert _follow(fleet) == said


@pytest.mark.parametrize(
    ("new", "seconds", "reason"),
    [
        (_one("b1", ready=False, restarts=RESTARTS), 0.0, "CrashLoop"),
        (_one("b1", ready=False, restarts=RESTARTS - 1), 0.0, "Progressing"),
        (_one("b1", restarts=RESTARTS), 0.0, "Progressing"),
        (_one("b1", ready=False), START_SECONDS, "Progressing"),
        (_one("b1", ready=False), START_SECONDS + 1, "NotReady"),
        (_one("b1"), START_SECONDS + 1, "Progressing"),
        (replace(_one("b1", ready=False), mark=Mark(Why.SCALE_DOWN, 0.0)), START_SECONDS + 1, "Progressing"),
        (replace(_one("b1", ready=False, restarts=9), mark=Mark(Why.SCALE_DOWN, 0.0)), 0.0, "Progressing"),
        (replace(_one("b1", ready=False, restarts=9), leaving=True), START_SECONDS + 1, "Progressing"),
        (_one("b1", accepted=TRIES * 4 // 5, refused=TRIES // 5), 0.0, "Progressing"),
        (_one("b1", accepted=TRIES * 4 // 5 - 1, refused=TRIES // 5 + 1), 0.0, "ConnectFailures"),
        (_one("b1", accepted=1, refused=TRIES - 2), 0.0, "Progressing"),  # too few to say anything
        (_one("b1", accepted=TRIES // 2, refused=TRIES // 2, auth_failures=TRIES // 2), 0.0, "Progressing"),
        (_one("b1", accepted=9, refused=11, auth_failures=11), 0.0, "AuthFailures"),
        (replace(_one("b1"), sample=None), 0.0, "Progressing"),
    ],
)
def test_what_stops_it(new: Gateway, seconds: float, reason: str) -> None:
    state, said = _follow(_fleet(new), waits={"b1": seconds} if not new.ready else {})
    assert said == reason
    assert state is (State.PROGRESSING if reason == "Progressing" else State.STOPPED)


def test_what_the_earlier_revision_suffers_too_is_not_the_new_ones_fault() -> None:
    new = _one("b1", accepted=70, refused=30)
    assert _follow(_fleet(new))[1] == "ConnectFailures"
    assert _follow(_fleet(new, old=(_one("a1", accepted=80, refused=20),)))[1] == "Progressing"
    unknown = _one("b1", accepted=40, refused=60, auth_failures=60)
    assert _follow(_fleet(unknown))[1] == "AuthFailures"
    assert _follow(_fleet(unknown, old=(_one("a1", accepted=80, refused=20, auth_failures=20),)))[1] == "Progressing"
    awful = _one("b1", accepted=10, refused=90)  # but the only one who ever tried an old one was refused as well
    assert _follow(_fleet(awful, old=(_one("a1", refused=1),)))[1] == "Progressing"
    strange = _one("b1", accepted=10, refused=90, auth_failures=90)
    assert _follow(_fleet(strange, old=(_one("a1", refused=1, auth_failures=1),)))[1] == "Progressing"
    half = _fleet(_one("b1", ready=False), old=(_one("a1", ready=False), _one("a2")))
    assert _follow(half, waits={"b1": 10 * START_SECONDS})[1] == "NotReady"
    asleep = _fleet(_one("b1", ready=False), old=(_one("a1", ready=False),))
    assert _follow(asleep, waits={"b1": 10 * START_SECONDS})[1] == "Progressing"


def test_one_that_is_emptied_refuses_because_it_was_told_to() -> None:
    emptied = Stats("b1", accepted=10, refused=90, draining=Draining(1.0, 5))
    assert _follow(_fleet(replace(_one("b1"), sample=Sample(0.0, emptied))))[1] == "Progressing"


def test_a_stop_is_for_a_person_to_end() -> None:
    fleet = _fleet(_one("b1"))
    assert follow(fleet, STOPPED, "", {}, Services()) is STOPPED
    assert _follow(fleet, before=STOPPED, ask="resume:b") == (State.PROGRESSING, "Resumed")
    assert _follow(fleet, before=STOPPED, ask="undo:b") == (State.UNDONE, "Undone")
    assert _follow(fleet, before=STOPPED, ask="resume:c") == (State.STOPPED, "NotReady")  # of another rollout
    assert _follow(fleet, before=replace(STOPPED, revision="c")) == GOES_ON
    assert _follow(fleet, before=Rollout("b", State.UNDONE)) == GOES_ON
    sick = _fleet(_one("b1", ready=False, restarts=9))
    assert _follow(sick, ask="resume:b") == (State.PROGRESSING, "Resumed")  # whatever is seen


def test_where_the_fleet_grows_into() -> None:
    fleet = Fleet("b", (GatewaySet("a", 2), GatewaySet("b", 9), GatewaySet("c", 3)))
    assert previous(fleet) == "c"
    assert previous(Fleet("b", (GatewaySet("b", 9),))) == "b"
    assert previous(Fleet("d", (GatewaySet("a", 3), GatewaySet("c", 3)))) == "c"
    for state, into in ((State.PROGRESSING, "b"), (State.DONE, "b"), (State.STOPPED, "c"), (State.UNDONE, "c")):
        assert target(fleet, Rollout("b", state)) == into


def test_it_is_told_in_words() -> None:
    said = [
        follow(_fleet(_one("b1")), None, "", {}, Services()).message,
        follow(_fleet(_one("b1")), None, "undo:b", {}, Services()).message,
        follow(_fleet(_one("b1", ready=False, restarts=3)), None, "", {}, Services()).message,
        follow(_fleet(_one("b1", accepted=70, refused=30)), None, "", {}, Services()).message,
    ]
    assert said == [
        "b replaces a",
        "back to a, as asked",
        "b1 was started 4 times and is not ready",
        "the new gateways refused 30 of 100 connections",
    ]
