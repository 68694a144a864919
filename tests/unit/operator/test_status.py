"""Status and conditions, from what is observed."""

from __future__ import annotations

from typing import Any

from tests.unit.operator.manifests import cluster, manifest

from push_operator.errors import Fault
from push_operator.fleet.memory import Moment
from push_operator.fleet.tick import Told, View, tick
from push_operator.fleet.values import Fleet
from push_operator.model import PushCluster
from push_operator.plan.build import build
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.status import condition, refused_status, running_status

NOW, LATER = "2030-01-01T00:00:00Z", "2030-01-01T00:05:00Z"


def _units(ready: bool = True, note: str = "") -> tuple[Unit, ...]:
    return tuple(
        Unit(f"{one.name}-{number}", one.component, one.revision, ready, note)
        for one in build(cluster()).workloads
        for number in range(one.replicas)
    )


def _status(
    units: tuple[Unit, ...], before: dict[str, Any] | None = None, now: str = NOW, **spec: Any
) -> dict[str, Any]:
    body = {**manifest(**spec), "metadata": {"name": "chat", "generation": 3}}
    if before is not None:
        body["status"] = before
    made = cluster(**spec)
    return running_status(made, build(made), Observed(body, units, {"gateway": "ws://here"}), _view(made), now)


def _view(made: PushCluster) -> View:
    """Of a fleet of which nothing is known yet."""
    fleet, moment = Fleet("a"), Moment(0.0, 1_900_000_000.0)
    return View(fleet, tick(fleet, made.scaling, None, Told(), moment), moment)


def _holds(status: dict[str, Any], kind: str) -> tuple[str, str]:
    found = condition(status, kind)
    assert found is not None
    return found["status"], found["reason"]


def test_ready_when_every_component_has_what_it_wants() -> None:
    status = _status(_units())
    assert _holds(status, "Ready") == ("True", "AllReady")
    assert _holds(status, "Reconciling") == ("False", "AllReady")
    assert _holds(status, "Stalled") == ("False", "Valid")
    assert (status["observedGeneration"], status["gateways"]) == (3, 2)
    gateway = status["components"][2]
    assert gateway == {"name": "gateway", "desired": 2, "ready": 2, "updated": 2, "total": 2, "endpoint": "ws://here"}


def test_what_lacks_is_told_with_its_reason() -> None:
    units = _units()
    late = Unit("chat-gateway-9", "gateway", units[2].revision, ready=False, note="not connected to NATS")
    status = _status(tuple(late if unit.name == "chat-gateway-1" else unit for unit in units))
    assert _holds(status, "Ready") == ("False", "Progressing")
    ready = condition(status, "Ready")
    assert ready is not None
    assert ready["message"] == "gateway 1/2 (not connected to NATS)"


def test_an_old_or_a_surplus_unit_is_not_yet_ready() -> None:
    old = Unit("chat-auth-old", "auth", "00000000", ready=True)
    assert _holds(_status((*_units(), old)), "Ready") == ("False", "Progressing")
    replaced = tuple(old if unit.component == "auth" else unit for unit in _units())
    assert _holds(_status(replaced), "Ready") == ("False", "Progressing")


def test_a_paused_cluster_is_not_reconciling() -> None:
    assert _holds(_status((), paused=True), "Reconciling") == ("False", "Paused")


def test_what_a_newer_operator_would_make_otherwise_is_told_with_what_brings_it() -> None:
    body, made = {**manifest(), "metadata": {"name": "chat", "generation": 3}}, cluster()

    def told(*outdated: str) -> dict[str, Any]:
        return running_status(made, build(made), Observed(body, _units(), outdated=outdated), _view(made), NOW)

    assert _holds(told(), "RolloutPending") == ("False", "UpToDate")
    status = told("nats", "gateway")
    assert _holds(status, "RolloutPending") == ("True", "NewerRendering")
    assert _holds(status, "Ready") == ("True", "AllReady")  # nothing is wrong with what runs
    pending = condition(status, "RolloutPending")
    assert pending is not None
    assert pending["message"].startswith("nats, gateway: ")
    assert "spec.version" in pending["message"]


def test_a_transition_time_changes_only_with_its_status() -> None:
    first = _status(_units(ready=False))
    same = _status(_units(ready=False, note="starting"), before=first, now=LATER)
    assert [one["lastTransitionTime"] for one in same["conditions"]] == [NOW] * len(first["conditions"])
    ready = _status(_units(), before=same, now=LATER)
    assert [one["lastTransitionTime"] for one in ready["conditions"]][:3] == [LATER, LATER, NOW]


def test_a_refused_object_keeps_what_was_known_of_its_components() -> None:
    before = _status(_units())
    body = {**manifest(), "metadata": {"name": "chat", "generation": 4}, "status": before}
    status = refused_status((Fault("spec.size", "must be one of small"),), Observed(body), LATER)
    assert _holds(status, "Stalled") == ("True", "InvalidSpec")
    assert _holds(status, "Ready") == ("False", "InvalidSpec")
    assert status["components"] == before["components"]
    assert status["observedGeneration"] == 4


def test_the_way_in_is_told_while_there_is_one() -> None:
    body = {**manifest(), "metadata": {"name": "chat", "generation": 3}}
    made = cluster()
    seen = Observed(body, url="wss://chat.example.com/ws")
    assert running_status(made, build(made), seen, _view(made), NOW)["url"] == "wss://chat.example.com/ws"
    assert "url" not in running_status(made, build(made), Observed(body), _view(made), NOW)
