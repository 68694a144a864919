"""What the status tells of scaling and rollouts, what an operator reads back, and when it is news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.fleet.memory import Memory, Moment
from push_operator.fleet.rollout import Rollout, State
from push_operator.fleet.tick import Told, View, tick
from push_operator.fleet.values import Draining, Fleet, Gateway, GatewaySet, Mark, Sample, Stats, Why
from push_operator.plan.events import Event, events
from push_operator.plan.scaling import (
    connections,
    desired_of,
    rollout_status,
    scaling_conditions,
    scaling_status,
    told_of,
)
from push_operator.plan.status import STAMP, VOLATILE_SECONDS, is_news
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, Mode, Window

NOW, WALL = 1000.0, datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()
AUTO = GatewayScaling(Mode.OPERATOR, None, Autoscaling(1, 20, 1000, stabilization_seconds=300), Drain(60, 100))
FIXED = GatewayScaling(Mode.FIXED, 2)


def _one(name: str, held: int = 10, *, mark: Mark | None = None, draining: Draining | None = None, at: float = NOW,
         ready: bool = True, leaving: bool = False) -> Gateway:  # fmt: skip
    sample = Sample(at, Stats(name, connections=held, draining=draining))
    return Gateway(name, name, name[0], ready, mark=mark, leaving=leaving, sample=sample)


def _view(*gateways: Gateway, scaling: GatewayScaling = FIXED, memory: Memory | None = None, told: Told | None = None,
          wanted: str = "a", **sizes: int) -> View:  # fmt: skip
    sets = sizes or {"a": len(gateways)}
    fleet = Fleet(wanted, tuple(GatewaySet(name, size) for name, size in sets.items()), gateways)
    moment = Moment(NOW, WALL)
    return View(fleet, tick(fleet, scaling, memory, told or Told(), moment), moment)


def _conditions(view: View) -> dict[str, tuple[bool, str, str]]:
    return {kind: (holds, reason, message) for kind, holds, reason, message in scaling_conditions(view)}


def test_a_decision_is_told_with_what_it_came_from() -> None:
    told = scaling_status(_view(_one("a1", 700), _one("a2", 700), _one("a3", 700), scaling=AUTO))
    assert {key: told[key] for key in ("current", "desired", "reason", "budget", "drains", "deaf")} == {
        "current": 3, "desired": 3, "reason": "Steady", "budget": 100, "drains": [], "deaf": []
    }  # fmt: skip
    assert told["signals"][0] == {"name": "Connections", "value": "2100", "wants": 3}
    assert "limitedBy" not in told
    assert "nextScaleDownAt" not in told


def test_what_holds_it_back_is_told_and_until_when() -> None:
    memory = Memory(began=NOW - 97, looked=NOW - 10, desired=3)
    told = scaling_status(_view(_one("a1"), _one("a2"), _one("a3"), scaling=AUTO, memory=memory))
    assert (told["limitedBy"], told["reason"]) == ("Restarted", "Restarted")
    assert told["nextScaleDownAt"] == "2030-01-01T12:05:00Z"  # in 300 s, in steps of ten


def test_a_drain_is_told_with_how_far_it_is() -> None:
    mark = Mark(Why.SCALE_DOWN, WALL - 61.5)
    drains = scaling_status(
        _view(
            _one("a1", 7, mark=mark, draining=Draining(30.0, 7), ready=False),
            _one("a2", mark=mark, ready=False),
            _one("a3", mark=mark, leaving=True),
            _one("a4"),
        )
    )["drains"]
    since = "2030-01-01T11:58:58Z"
    assert drains == [
        {"name": "a1", "why": "scale-down", "since": since, "left": 7, "rate": 30.0},
        {"name": "a2", "why": "scale-down", "since": since},
    ]


def test_a_rollout_is_told_with_how_many_there_are_of_each() -> None:
    view = _view(_one("a1"), _one("a2"), _one("b1"), _one("a3", leaving=True), wanted="b", a=2, b=1)
    assert rollout_status(view) == {
        "revision": "b", "state": "Progressing", "reason": "Progressing", "message": "b replaces a",
        "revisions": [{"revision": "a", "gateways": 2}, {"revision": "b", "gateways": 1}],
    }  # fmt: skip
    done = rollout_status(_view(_one("a1"), _one("a2")))
    assert done == {"revision": "a", "state": "Done", "revisions": [{"revision": "a", "gateways": 2}]}


@pytest.mark.parametrize(
    ("view", "kind", "said"),
    [
        (_view(_one("a1"), _one("a2")), "ScalingActive", (False, "Fixed")),
        (_view(_one("a1"), scaling=GatewayScaling(Mode.EXTERNAL, 1)), "ScalingActive", (False, "External")),
        (_view(_one("a1", 700), scaling=AUTO), "ScalingActive", (True, "MinReplicas")),
        (_view(_one("a1", at=NOW - 21), scaling=AUTO), "ScalingActive", (False, "MetricsLost")),
        (_view(_one("a1"), _one("a2")), "MetricsAvailable", (True, "Heard")),
        (_view(_one("a1", at=NOW - 21), _one("a2")), "MetricsAvailable", (False, "Silent")),
        (_view(_one("a1", at=NOW - 21, ready=False), _one("a2")), "MetricsAvailable", (True, "Heard")),
        (_view(_one("a1"), _one("a2")), "Draining", (False, "Settled")),
        (_view(_one("a1", mark=Mark(Why.ROLLOUT, WALL)), _one("a2")), "Draining", (True, "Draining")),
        (
            _view(_one("a1", mark=Mark(Why.ROLLOUT, WALL), leaving=True), _one("a2"), a=1),
            "Draining",
            (False, "Settled"),
        ),
        (_view(_one("a1"), _one("a2")), "GatewaysHealthy", (True, "Healthy")),
    ],
)
def test_each_condition(view: View, kind: str, said: tuple[bool, str]) -> None:
    assert _conditions(view)[kind][:2] == said


def test_three_of_the_silent_are_named() -> None:
    silent = [_one(f"a{number}", at=NOW - 21) for number in range(1, 5)]
    assert _conditions(_view(*silent))["MetricsAvailable"][2] == "no answer from a1, a2, a3"


@pytest.mark.parametrize(
    ("exact", "told"), [(0, 0), (7, 7), (94, 94), (104, 100), (105, 100), (115, 120), (1234, 1200), (98_700, 99_000)]
)
def test_connections_are_told_with_two_digits(exact: int, told: int) -> None:
    assert connections(Fleet("a", gateways=(_one("a1", exact),))) == told


def test_what_was_told_is_read_back() -> None:
    view = _view(_one("a1"), _one("a2"), _one("b1", 0, ready=False), wanted="b", a=2, b=1,
                 told=Told(rollout=Rollout("b", State.STOPPED, "NotReady", "b1 is not ready")))  # fmt: skip
    body = {"status": {"scaling": scaling_status(view), "rollout": rollout_status(view)},
            "metadata": {"annotations": {"pushcluster.io/rollout": "resume:b"}}}  # fmt: skip
    assert told_of(body, FIXED, WALL) == Told(2, Rollout("b", State.STOPPED, "NotReady", "b1 is not ready"), "resume:b")


def test_the_schedule_is_read_by_the_walls_clock() -> None:
    scaling = GatewayScaling(Mode.OPERATOR, None, Autoscaling(windows=(Window("0 12 * * *", 30, 7),)))
    assert told_of({}, scaling, WALL).least == 7
    assert told_of({}, scaling, WALL - 1).least == 0
    assert told_of({}, scaling, WALL + 30 * 60).least == 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["status", "scaling", "desired", "rollout", "revision", "state", "metadata", "annotations",
                         "components", "name", "pushcluster.io/rollout"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["status", "metadata"]), JSON))
def test_a_damaged_object_tells_nothing(body: dict[str, Any]) -> None:
    told = told_of(body, AUTO, WALL)
    assert told.desired is None or told.desired > 0
    assert isinstance(told.ask, str)
    found = desired_of(body, "message")
    assert found is None or found > 0


@pytest.mark.parametrize("desired", [0, -1, True, "3", 2.5, None, [3]])
def test_what_is_no_number_of_gateways_is_none(desired: Any) -> None:
    assert told_of({"status": {"scaling": {"desired": desired}}}, AUTO, WALL).desired is None
    assert desired_of({"status": {"components": [{"name": "message", "desired": desired}]}}, "message") is None


@pytest.mark.parametrize(
    "said",
    [{}, {"revision": "b"}, {"revision": 3, "state": "Done"}, {"revision": "b", "state": "Odd"}, {"state": "Done"}],
)
def test_what_is_no_rollout_is_none(said: dict[str, Any]) -> None:
    assert told_of({"status": {"rollout": said}}, AUTO, WALL).rollout is None


_NAME = st.sampled_from(["gateway", "message", "a1"])
_STATUS = st.sampled_from(["True", "False", "Unknown"])
_WORD = st.text(max_size=4)
# As the CRD lets a status be: what it does not require may be missing.
DAMAGED = st.fixed_dictionaries(
    {},
    optional={
        "components": st.lists(st.fixed_dictionaries({"name": _NAME}, optional={"desired": st.integers(0, 5)})),
        "scaling": st.fixed_dictionaries(
            {},
            optional={
                "desired": st.integers(-1, 5),
                "drains": st.lists(st.fixed_dictionaries({"name": _NAME}, optional={"why": _WORD, "since": _WORD})),
                "deaf": JSON,
            },
        ),
        "rollout": st.fixed_dictionaries({}, optional={"revision": _WORD, "state": _WORD, "message": _WORD}),
        "conditions": st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["Ready", "Stalled"]), "status": _STATUS, "reason": _WORD,
                                   "message": _WORD, "lastTransitionTime": _WORD}), max_size=2),
        "updatedAt": _WORD,
    },
)  # fmt: skip


@given(DAMAGED)
def test_a_damaged_status_is_news_at_most(before: dict[str, Any]) -> None:
    after = _told(desired=4, connections=10)
    events(before, after)
    assert is_news(before, after, _at(0))


def _at(seconds: float) -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _told(*, desired: int = 3, reason: str = "Steady", connections: int = 100, drains: tuple[str, ...] = (),
          left: int = 9, message: str = "that many are right", wants: int = 3, metrics: str = "True",
          state: str = "Done", ready: str = "all", heard: str = "all") -> dict[str, Any]:  # fmt: skip
    return {
        "connections": connections,
        "components": [{"name": "gateway", "desired": desired}],
        "rollout": {"revision": "b", "state": state},
        "scaling": {
            "desired": desired, "reason": reason, "message": message,
            "signals": [{"name": "Connections", "wants": wants}],
            "drains": [{"name": name, "left": left, "why": "scale-down"} for name in drains],
        },
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "AllReady", "message": ready},
            {"type": "MetricsAvailable", "status": metrics, "reason": "Heard", "message": heard},
        ],
        "updatedAt": _at(0).strftime(STAMP),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "at_once"),
    [
        ({"connections": 120}, False),
        ({"wants": 4}, False),
        ({"message": "for 300 s no more were needed"}, False),
        ({"drains": ("a1",), "left": 5}, True),
        ({"desired": 4}, True),
        ({"reason": "Connections"}, True),
        ({"metrics": "False"}, True),
        ({"state": "Stopped"}, True),
        ({"ready": "gateway 2/3"}, True),
        ({"heard": "no answer from a1"}, False),
    ],
)
def test_numbers_that_move_all_the_time_wait_for_half_a_minute(change: dict[str, Any], at_once: bool) -> None:
    before, after = _told(), _told(**change)
    assert is_news(before, after, _at(VOLATILE_SECONDS - 1)) is at_once
    assert is_news(before, after, _at(VOLATILE_SECONDS))
    assert not is_news(before, {**before, "updatedAt": "later"}, _at(1000))


def test_how_far_a_drain_is_waits_for_half_a_minute() -> None:
    before, after = _told(drains=("a1",), left=9), _told(drains=("a1",), left=5)
    assert not is_news(before, after, _at(29))
    assert is_news(before, after, _at(30))
    assert is_news({**before, "updatedAt": None}, after, _at(1))


def _reasons(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.reason, one.message) for one in events(before, after)]


def test_a_change_of_the_number_is_told_with_its_reason() -> None:
    after = _told(desired=4, message="Connections 2900 ask for 4")
    assert _reasons(_told(), after) == [("Scaled", "gateway from 3 to 4: Connections 2900 ask for 4")]
    assert _reasons(_told(), _told()) == []
    assert _reasons({}, _told(desired=4)) == [("Ready", "all")]


def test_the_turns_of_a_rollout_are_told_and_not_its_steps() -> None:
    assert events(_told(), _told(state="Stopped")) == (
        Event("RolloutStopped", "every gateway is of b", "Rollout", warning=True),
    )
    goes = _told(state="Progressing")
    assert _reasons(goes, {**goes, "rollout": {**goes["rollout"], "message": "more of it"}}) == []
    assert _reasons(goes, _told()) == [("RolloutDone", "every gateway is of b")]
