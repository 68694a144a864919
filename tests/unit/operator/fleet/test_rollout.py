"""Whether a new revision goes on coming in, row by row."""

from __future__ import annotations

import pytest

from push_operator.fleet.rollout import WAITING, Rollout, Services, State, follow, target
from push_operator.fleet.values import Fleet, Gateway, GatewaySet, Sample, Stats

ROLLING = Services(rolling=("push",))
STARTING = Services(starting=("auth",))
BEGUN = Rollout("b", State.PROGRESSING, "Progressing")
WAITED = Rollout("b", State.PROGRESSING, WAITING)


def _old(*, ready: bool = True, connections: int = 5) -> Gateway:
    return Gateway("a1", "a1", "a", ready, sample=Sample(0.0, Stats("a1", connections=connections)))


def _fleet(*gateways: Gateway, new: int = 0) -> Fleet:
    return Fleet("b", (GatewaySet("a", 1), GatewaySet("b", new)), gateways or (_old(),))


@pytest.mark.parametrize(
    ("fleet", "before", "services", "waits"),
    [
        (_fleet(), None, ROLLING, "push"),
        (_fleet(), BEGUN, ROLLING, "push"),  # said to go on, but nothing was made of it yet
        (_fleet(), WAITED, ROLLING, "push"),
        (_fleet(), WAITED, Services(("push",), ("auth", "push")), "auth, push"),
        (_fleet(), WAITED, STARTING, "auth"),  # stopped before the next one was started: not there yet
        (_fleet(), WAITED, Services(), ""),
        (_fleet(), None, STARTING, ""),  # a service that fares badly and is not replaced
        (_fleet(), Rollout("c", State.PROGRESSING, WAITING), STARTING, ""),  # that was another rollout
        (_fleet(new=1), BEGUN, ROLLING, ""),  # it has begun: to halt it half-way helps nobody
        (_fleet(_old(ready=False)), None, ROLLING, "push"),  # deaf for a moment, but it has clients
        (_fleet(_old(ready=False, connections=0)), None, ROLLING, ""),
    ],
)
def test_the_other_services_go_first(fleet: Fleet, before: Rollout | None, services: Services, waits: str) -> None:
    rollout = follow(fleet, before, "", {}, services)
    assert rollout.state is State.PROGRESSING
    assert rollout.is_waiting == bool(waits)
    assert target(fleet, rollout) == ("a" if waits else "b")
    if waits:
        assert rollout.message == f"{waits} first: then b begins"


def test_what_a_person_says_goes_before_what_is_waited_for() -> None:
    assert follow(_fleet(), WAITED, "resume:b", {}, ROLLING).reason == "Resumed"
    assert follow(_fleet(), WAITED, "undo:b", {}, ROLLING).state is State.UNDONE
    assert follow(_fleet(), WAITED, "resume:a", {}, ROLLING).is_waiting


def test_without_gateways_of_another_revision_there_is_nothing_to_order() -> None:
    assert follow(Fleet("b", (GatewaySet("b", 0),)), WAITED, "", {}, ROLLING).state is State.DONE
