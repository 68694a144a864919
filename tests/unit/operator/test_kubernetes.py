"""The pure parts of the Kubernetes adapter: comparing, snapshots, pruning, sets, marks, units, events, settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_operator.cluster.kubernetes.compare import APPLIED, holds, stamped
from push_operator.cluster.kubernetes.events import event_object
from push_operator.cluster.kubernetes.freeze import frozen
from push_operator.cluster.kubernetes.kinds import DEPLOYMENTS, PODS, SERVICES, VOLUME_CLAIMS
from push_operator.cluster.kubernetes.marks import DELETION_COST, mark_of, mark_patch
from push_operator.cluster.kubernetes.prune import obsolete
from push_operator.cluster.kubernetes.sets import sets_of
from push_operator.cluster.kubernetes.snapshot import Snapshot
from push_operator.cluster.kubernetes.templates import needed, settled
from push_operator.cluster.kubernetes.units import Node, leaving_of, units_of
from push_operator.cluster.kubernetes.victims import may_go
from push_operator.config import DEFAULT_IMAGES, ConfigError, read_config
from push_operator.fleet.values import GatewaySet, Mark, Why
from push_operator.plan.events import Event, events
from push_operator.render.objects import Owner

OWNER = Owner("apps", "chat", "uid-1")


def _live(name: str = "one", version: int = 1, instance: str = "chat", **more: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": instance, "app.kubernetes.io/component": "gateway"}
    meta = {"namespace": "apps", "name": name, "resourceVersion": str(version), "labels": labels}
    return {"kind": "Deployment", "metadata": meta | more.pop("metadata", {}), **more}


# Comparing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "wanted", "same"),
    [
        ({"a": 1, "default": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"selector": {"a": "1", "b": "2"}}, {"selector": {"a": "1"}}, False),
        ({"podSelector": {"matchLabels": {"a": "1", "b": "2"}}}, {"podSelector": {"matchLabels": {"a": "1"}}}, False),
        ({"selector": {"a": "1"}, "more": 2}, {"selector": {"a": "1"}}, True),
        ({}, {"a": 1}, False),
        ({}, {"a": {}, "b": [], "c": ""}, True),
        ({"a": [1]}, {"a": []}, False),
        ([{"name": "x", "v": 1}, {"name": "other"}], [{"name": "x", "v": 1}], True),
        ([{"name": "other"}], [{"name": "x"}], False),
        ([{"port": 1}, {"port": 2}], [{"port": 1}], False),
        ([{"name": "x", "v": 1}, {"name": "x", "v": 2}], [{"name": "x", "v": 1}, {"name": "x", "v": 2}], True),
        ([{"name": "x", "v": 1}, {"name": "x", "v": 2}], [{"name": "x", "v": 1}, {"name": "x", "v": 3}], False),
        ("1", "1000m", True),
        ("1Gi", "1024Mi", True),
        ("500m", "0.5", True),
        ("2", "3", False),
        ("1", "text", False),
        ("1kk", "1", False),
        (None, "1", False),
    ],
)
def test_what_is_there_may_be_more_than_what_is_wanted(live: Any, wanted: Any, same: bool) -> None:
    assert holds(live, wanted) is same


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=15,
)


@given(_json)
def test_everything_is_what_it_is(value: Any) -> None:
    assert holds(value, value)


def test_another_wish_is_another_stamp() -> None:
    one, other = stamped(_live(spec={"a": 1})), stamped(_live(spec={"a": 1, "b": 1}))
    assert one["metadata"]["annotations"][APPLIED] != other["metadata"]["annotations"][APPLIED]
    assert stamped(_live(spec={"a": 1})) == one
    one, other = stamped(_live(spec={"a": 1, "b": 1}), "b"), stamped(_live(spec={"a": 1, "b": 2}), "b")
    assert one["metadata"] == other["metadata"]
    assert one["spec"] == {"a": 1, "b": 1}


# Snapshots ------------------------------------------------------------------------------------------------------------


def test_a_list_replaces_and_tells_whose_objects_are_others() -> None:
    snapshot = Snapshot()
    assert snapshot.replace(SERVICES, [_live("one"), _live("two", instance="talk")]) == {"apps/chat", "apps/talk"}
    assert snapshot.replace(SERVICES, [_live("one"), _live("two", instance="talk")]) == set()
    assert snapshot.replace(SERVICES, [_live("one", 2)]) == {"apps/chat", "apps/talk"}
    assert [one["metadata"]["name"] for _, one in snapshot.of("apps/chat", (SERVICES, PODS))] == ["one"]


def test_an_event_that_comes_late_changes_nothing() -> None:
    snapshot = Snapshot()
    snapshot.see(SERVICES, _live("one", 5))
    snapshot.see(SERVICES, _live("one", 4), gone=True)
    assert snapshot.get(SERVICES, ("apps", "one")) is not None
    snapshot.see(SERVICES, _live("one", 6), gone=True)
    assert snapshot.get(SERVICES, ("apps", "one")) is None


def test_a_deletion_that_overtakes_an_answer_stays_true() -> None:
    snapshot = Snapshot()
    snapshot.see(SERVICES, _live("one", 5))
    snapshot.see(SERVICES, _live("one", 6), gone=True)
    snapshot.see(SERVICES, _live("one", 5))
    assert snapshot.get(SERVICES, ("apps", "one")) is None
    snapshot.see(SERVICES, _live("one", 7))
    assert snapshot.get(SERVICES, ("apps", "one")) is not None


def test_what_happens_during_a_list_is_not_lost_to_its_answer() -> None:
    snapshot = Snapshot()
    snapshot.replace(SERVICES, [_live("gone", 1), _live("changed", 2)])
    snapshot.begin(SERVICES)
    snapshot.see(SERVICES, _live("gone", 5), gone=True)
    snapshot.see(SERVICES, _live("changed", 6))
    snapshot.see(SERVICES, _live("made", 7))
    snapshot.replace(SERVICES, [_live("gone", 1), _live("changed", 2)])
    found = {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"] for _, one in snapshot.of("apps/chat", (SERVICES,))
    }
    assert found == {"changed": "6", "made": "7"}


# Pruning --------------------------------------------------------------------------------------------------------------


def _gateway(name: str, replicas: int = 0, uid: str = "uid-1", **meta: Any) -> dict[str, Any]:
    """The Deployment of the revision of that name."""
    own = {"uid": f"u-{name}", "generation": 3, "ownerReferences": [{"uid": uid}], **meta}
    selector = {"matchLabels": {"app.kubernetes.io/component": "gateway", "pushcluster.io/revision": name}}
    return _live(name, metadata=own, spec={"replicas": replicas, "selector": selector, "template": {"by": name}})


def _pruned(live: list[dict[str, Any]], wanted: list[dict[str, Any]], *pods: dict[str, Any]) -> list[str]:
    found = obsolete(OWNER, [(DEPLOYMENTS, one) for one in live], pods, wanted)
    return [one["metadata"]["name"] for _, one in found]


def test_only_what_is_owned_and_not_wanted_goes() -> None:
    others, going = _gateway("others", uid="uid-2"), _gateway("going", deletionTimestamp="now")
    live = [_gateway("new"), _gateway("old"), _live("kept"), others, going]
    assert _pruned(live, [_gateway("new")]) == ["old"]


def test_an_edit_erases_no_data() -> None:
    claim = _live("data", metadata={"ownerReferences": [OWNER.reference()]})
    assert obsolete(OWNER, [(VOLUME_CLAIMS, claim)], [], []) == []


def test_a_volume_that_has_grown_stays_so() -> None:
    def claim(size: str) -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return {"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}

    assert frozen(claim("5Gi"), claim("8Gi")) == claim("8Gi")
    assert frozen(claim("5Gi"), None) == claim("5Gi")


def test_gateways_of_another_revision_go_once_they_have_been_emptied() -> None:
    new, ended = _gateway("new", 2), _of_set("old", "ended", phase="Failed")
    going = _of_set("old", "going", phase="Running")
    going["metadata"]["deletionTimestamp"] = "now"
    assert _pruned([new, _gateway("old", 1)], [new]) == []
    assert _pruned([new, _gateway("old", 0)], [new], going) == []
    assert _pruned([new, _gateway("old", 0)], [new], ended, _of_set("new", "mine")) == ["old"]
    assert _pruned([_gateway("old", 2)], []) == ["old"]  # no gateways are wanted at all


# Sets -----------------------------------------------------------------------------------------------------------------


def _of_set(revision: str, name: str, node: str = "n1", cost: str = "", uid: str = "", **status: Any) -> dict[str, Any]:
    """A pod of a gateway's Deployment."""
    pod = _live(name, spec={"nodeName": node} if node else {}, status=status)
    pod["metadata"]["labels"]["pushcluster.io/revision"] = revision
    pod["metadata"].update(uid=uid, annotations={DELETION_COST: cost} if cost else {})
    return pod


def test_each_deployment_of_gateways_is_a_set() -> None:
    going, others = _gateway("c", 1, deletionTimestamp="now"), _gateway("d", 1, uid="uid-2")
    auth = _gateway("e", 1)
    auth["metadata"]["labels"]["app.kubernetes.io/component"] = "auth"
    assert sets_of(OWNER, [_gateway("b", 4), _gateway("a", 0), going, others, auth]) == (
        GatewaySet("a", 0, "u-a/3"), GatewaySet("b", 4, "u-b/3"),
    )  # fmt: skip


def test_what_apply_leaves_to_resize() -> None:
    wanted = _gateway("new", 5)
    assert frozen(wanted, None) == wanted
    assert frozen(wanted, None, alone=False)["spec"] == {**wanted["spec"], "replicas": 0}
    live = _gateway("new", 2)
    assert frozen(wanted, live) == live
    live["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    assert frozen(wanted, live, alone=False)["spec"] == {**live["spec"], "paused": True}


READY: dict[str, Any] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
STARTING: dict[str, Any] = {"phase": "Pending"}
SICK: dict[str, Any] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}


def _restarted(times: int, **status: Any) -> dict[str, Any]:
    return {**status, "containerStatuses": [{"restartCount": 0}, {"restartCount": times}]}


def _pods(*pods: tuple[str, str, str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [_of_set("r", name, node, cost, **status) for name, node, cost, status in pods]


@pytest.mark.parametrize(
    ("pods", "size", "gone"),
    [
        ([("a", "1", "", READY), ("b", "2", "", READY)], 2, ""),
        ([("a", "1", "", READY), ("b", "2", "", READY)], 3, ""),
        ([("a", "1", "", READY), ("b", "2", "", READY)], 0, "ab"),
        # What goes first, from the last word to the first.
        ([("a", "1", "", READY), ("b", "2", "", _restarted(9, **READY))], 1, "ab"),  # the age decides, unforeseeable
        ([("a", "1", "", SICK), ("b", "2", "", _restarted(9, **SICK))], 1, "b"),
        ([("a", "1", "", _restarted(9, **SICK)), ("b", "2", "", SICK), ("c", "2", "", SICK)], 2, "bc"),
        ([("a", "1", "", READY), ("b", "2", "", READY), ("c", "2", "", SICK)], 1, "bc"),
        ([("a", "1", "-100", READY), ("b", "2", "", READY), ("c", "2", "", READY)], 2, "a"),
        ([("a", "1", "-100", READY), ("b", "2", "-100", READY), ("c", "2", "", READY)], 2, "b"),
        ([("a", "1", "-100", READY), ("b", "2", "none", READY), ("c", "3", "", READY)], 1, "abc"),
        ([("a", "1", "-100", READY), ("b", "2", "", SICK)], 1, "b"),
        ([("a", "1", "-100", SICK), ("b", "2", "", {"phase": "Unknown"})], 1, "b"),
        ([("a", "1", "-100", {"phase": "Unknown"}), ("b", "2", "", STARTING)], 1, "b"),
        ([("a", "1", "-100", STARTING), ("b", "", "", STARTING)], 1, "b"),
        ([("a", "", "-100", STARTING), ("b", "", "", STARTING), ("c", "1", "", READY)], 1, "ab"),
        # What is over is not counted.
        ([("a", "1", "", READY), ("b", "2", "", {"phase": "Failed"}), ("c", "2", "", {"phase": "Succeeded"})], 1, ""),
    ],
)  # fmt: skip
def test_which_pods_a_smaller_set_may_lose(pods: Any, size: int, gone: str) -> None:
    assert may_go(_pods(*pods), size) == set(gone)
    assert may_go(reversed(_pods(*pods)), size) == set(gone)


def test_one_that_is_going_leaves_one_less_to_take() -> None:
    pods = _pods(("a", "1", "-100", READY), ("b", "1", "", READY), ("c", "1", "", READY))
    pods[0]["metadata"]["deletionTimestamp"] = "now"
    assert may_go(pods, 2) == frozenset()
    assert may_go(pods, 1) == {"b", "c"}


_statuses = st.sampled_from([READY, SICK, STARTING, {"phase": "Unknown"}, _restarted(2, **SICK)])
_fleets = st.lists(
    st.tuples(st.sampled_from(["", "1", "2"]), st.sampled_from(["", "-100", "5"]), _statuses), max_size=8
).map(lambda told: _pods(*((f"p{number}", node, cost, status) for number, (node, cost, status) in enumerate(told))))


@given(_fleets, st.integers(0, 8), st.integers(0, 8))
def test_a_smaller_set_may_lose_as_many_as_it_must_and_no_fewer_than_a_larger_one(
    pods: list[dict[str, Any]], size: int, more: int
) -> None:
    gone = may_go(pods, size)
    assert len(gone) >= len(pods) - size
    assert may_go(pods, size + more) <= gone


# Templates ------------------------------------------------------------------------------------------------------------


def _rendered(component: str, revision: str, by: int, uid: str = "uid-1") -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component, "pushcluster.io/revision": revision}
    name = f"chat-{component}-{revision}" if component == "gateway" else f"chat-{component}"
    meta = {"name": name, "labels": labels, "ownerReferences": [{"uid": uid}]}
    template = {"metadata": {"labels": labels}, "spec": {"by": by}}
    return {"kind": "Deployment", "metadata": meta, "spec": {"template": template, "replicas": 1}}


def _written(*live: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The ControllerRevision that goes with what is wanted."""
    _, kept = settled(OWNER, [wanted], live).objects
    assert kept["kind"] == "ControllerRevision"
    return kept


def test_a_template_is_written_once_and_then_it_is_the_one() -> None:
    first = settled(OWNER, [{"kind": "Service"}, _rendered("auth", "a", 1)], [])
    service, auth, kept = first.objects
    assert (service, auth, first.outdated) == ({"kind": "Service"}, _rendered("auth", "a", 1), ())
    assert (kept["metadata"]["name"], kept["data"]) == ("chat-auth-a", auth["spec"]["template"])
    assert settled(OWNER, [_rendered("auth", "a", 1)], [auth, kept]).objects == (auth, kept)
    later = settled(OWNER, [_rendered("auth", "a", 2)], [kept])
    assert (later.objects, later.outdated) == ((auth, kept), ("auth",))
    other = settled(OWNER, [_rendered("auth", "b", 2)], [auth, kept])
    assert (other.objects[0], other.outdated) == (_rendered("auth", "b", 2), ())


def test_a_template_is_taken_from_what_is_there_if_it_is_of_that_revision() -> None:
    live = _rendered("gateway", "a", 1)
    found = settled(OWNER, [_rendered("gateway", "a", 2)], [live])
    assert (found.objects[0], found.outdated) == (live, ("gateway",))
    assert found.objects[1]["metadata"]["name"] == "chat-gateway-a"
    assert settled(OWNER, [_rendered("auth", "b", 2)], [_rendered("auth", "a", 1)]).outdated == ()


def test_anothers_template_is_none_of_ours() -> None:
    kept = _written(wanted=_rendered("nats", "a", 1))
    kept["metadata"]["ownerReferences"] = [{"uid": "the StatefulSet's"}]
    assert settled(OWNER, [_rendered("nats", "a", 2)], [kept]).objects[0] == _rendered("nats", "a", 2)
    assert needed(OWNER, [kept, _rendered("nats", "a", 1)]) == frozenset()


def test_the_wanted_template_has_the_highest_number() -> None:
    first = _written(wanted=_rendered("auth", "a", 1))
    second = _written(first, wanted=_rendered("auth", "b", 1))
    again = _written(first, second, wanted=_rendered("auth", "a", 1))
    assert [one["revision"] for one in (first, second, again)] == [1, 2, 3]
    assert _written(second, again, wanted=_rendered("auth", "a", 1)) == again


def test_templates_go_when_nothing_runs_by_them_but_for_a_way_back() -> None:
    def kept(component: str, *revisions: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for revision in revisions:
            found.append(_written(*found, wanted=_rendered(component, revision, 1)))
        return found

    auth = kept("auth", "a", "b", "c")
    assert needed(OWNER, [*auth, _rendered("auth", "c", 1)]) == {"chat-auth-b", "chat-auth-c"}
    assert needed(OWNER, [*auth, _rendered("auth", "a", 1)]) == {"chat-auth-a", "chat-auth-c"}
    assert needed(OWNER, [auth[0], _rendered("auth", "a", 1)]) == {"chat-auth-a"}
    assert needed(OWNER, auth) == frozenset()
    running = [_rendered("gateway", one, 1) for one in "ade"]
    names = {"chat-gateway-a", "chat-gateway-d", "chat-gateway-e"}
    assert needed(OWNER, [*kept("gateway", *"abcde"), *running, *auth]) == names
    others = _rendered("auth", "a", 1, uid="uid-2")
    assert needed(OWNER, [*auth, others]) == frozenset()


# Marks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [Mark(Why.SCALE_DOWN, 1700000000.25), Mark(Why.ROLLOUT, 0), Mark(Why.QUARANTINE, 5)])
def test_a_mark_stands_on_its_pod(mark: Mark) -> None:
    patch = mark_patch("apps", "one", "u-1", mark)
    meta = patch["metadata"]
    assert patch.keys() == {"metadata"}
    assert (meta["namespace"], meta["name"], meta["uid"]) == ("apps", "one", "u-1")
    assert meta["labels"] == {"pushcluster.io/serving": None}
    assert meta["annotations"][DELETION_COST] == "-100"
    assert mark_of({"metadata": meta}) == mark


def test_a_mark_is_taken_back_whole() -> None:
    meta = mark_patch("apps", "one", "u-1", None)["metadata"]
    assert meta["labels"] == {"pushcluster.io/serving": "true"}
    assert meta["annotations"] == {DELETION_COST: None, "pushcluster.io/drain": None}
    assert mark_of({"metadata": {}}) is None
    assert mark_of({"metadata": {"annotations": None}}) is None


@given(st.text() | st.sampled_from(
    ["{}", "[]", "null", "NaN", '"x"', '{"why": "rollout"}', '{"why": "rollout", "since": "soon"}',
     '{"why": "rollout", "since": 1e12}', '{"why": "rollout", "since": -1}', '{"why": "rollout", "since": NaN}',
     '{"why": "rollout", "since": 1e999}', '{"why": "rollout", "since": []}',
     '{"why": "rollout", "since": 1' + "0" * 400 + "}", '{"why": [], "since": 1}', "[" * 100_000],
))  # fmt: skip
def test_a_mark_that_cannot_be_read_is_a_mark(text: str) -> None:
    assert mark_of({"metadata": {"annotations": {"pushcluster.io/drain": text}}}) == Mark(Why.SCALE_DOWN, 0.0)


# Units ----------------------------------------------------------------------------------------------------------------


def _pod(name: str, **status: Any) -> dict[str, Any]:
    return _live(name, status=status)


def test_pods_are_units_with_a_reason() -> None:
    ready = _pod("a", **_restarted(2, **READY))
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pulling = _pod("b", phase="Pending", containerStatuses=[{"restartCount": 0, "state": waiting}])
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    lonely = _pod("c", phase="Pending", conditions=[unscheduled])
    ended, going = _pod("d", phase="Failed"), _pod("e")
    going["metadata"]["deletionTimestamp"] = "now"
    pods = [lonely, pulling, ready, ended, going, _pod("f", phase="Pending"), _pod("g", phase="Running")]
    assert [(unit.name, unit.ready, unit.restarts, unit.note, unit.pending) for unit in units_of(pods)] == [
        ("a", True, 2, "", False),
        ("b", False, 0, "ImagePullBackOff: no such image", True),
        ("c", False, 0, "Unschedulable: 0/1 nodes", True),
        ("f", False, 0, "starting", True),
        ("g", False, 0, "not ready", False),
    ]
    assert [unit.name for unit in leaving_of(pods)] == ["e"]


def test_a_unit_says_where_it_is_and_what_becomes_of_it() -> None:
    pod = _of_set("r", "a", "n1", uid="u-1", **{"podIP": "10.0.0.7", **READY})
    pod["spec"]["containers"] = [{"ports": [{"name": "public", "containerPort": 8080}]}, {}]
    assert units_of([pod])[0].address == ""
    pod["spec"]["containers"][0]["ports"].append({"name": "admin", "containerPort": 9091})
    pod["metadata"]["annotations"]["pushcluster.io/drain"] = '{"why": "quarantine", "since": 7}'
    (unit,) = units_of([pod], {"n1": Node(cordoned=True, zone="z"), "n2": Node()})
    assert (unit.uid, unit.address, unit.revision) == ("u-1", "http://10.0.0.7:9091", "r")
    assert (unit.mark, unit.cordoned, unit.zone) == (Mark(Why.QUARANTINE, 7), True, "z")
    pod["status"]["podIP"] = "fd00::7"
    assert units_of([pod])[0].address == "http://[fd00::7]:9091"
    assert (units_of([pod])[0].cordoned, units_of([pod])[0].zone) == (False, "")
    del pod["status"]["podIP"]
    assert units_of([pod])[0].address == ""


# Events ---------------------------------------------------------------------------------------------------------------


def _status(ready: str, stalled: str = "False", message: str = "m", gateways: int = 2) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": ready, "reason": "R", "message": message},
                  {"type": "Stalled", "status": stalled, "reason": "S", "message": message}]  # fmt: skip
    return {"conditions": conditions, "components": [{"name": "gateway", "desired": gateways}]}


def test_events_are_told_on_turns_only() -> None:
    assert events({}, _status("False")) == ()
    assert [one.reason for one in events({}, _status("True"))] == ["Ready"]
    assert events(_status("True"), _status("True", message="other")) == ()
    assert events(_status("True"), _status("False", "True")) == (Event("S", "m", "Refuse", warning=True),)
    assert events(_status("False", "True"), _status("False", "True")) == ()
    assert len(events(_status("False", "True"), _status("False", "True", message="other"))) == 1
    assert events(_status("True"), _status("True", gateways=3)) == (Event("Scaled", "gateway from 2 to 3", "Scale"),)


def test_an_event_as_an_object() -> None:
    body = {"apiVersion": "v", "kind": "k", "metadata": {"namespace": "n", "name": "chat", "uid": "u",
                                                         "resourceVersion": "9"}}  # fmt: skip
    made = event_object(body, Event("Ready", "x" * 2000, "Reconcile"), datetime(2030, 1, 1, tzinfo=UTC))
    assert (made["type"], len(made["note"]), made["regarding"]["uid"]) == ("Normal", 1024, "u")
    assert made["eventTime"] == "2030-01-01T00:00:00.000000Z"


# Settings -------------------------------------------------------------------------------------------------------------


def test_settings_have_defaults() -> None:
    config = read_config({}, "me", "here")
    assert (config.identity, config.namespace, config.images, config.namespaces) == ("me", "here", DEFAULT_IMAGES, ())
    images = {"NATS_IMAGE": "n:1", "CASSANDRA_IMAGE": "c:5"}
    config = read_config({"WATCH_NAMESPACES": "a, b,", "POD_NAME": "p", **images}, "me", "here")
    assert (config.identity, config.namespaces) == ("p", ("a", "b"))
    assert config.images == replace(DEFAULT_IMAGES, nats="n:1", cassandra="c:5")
    digest = f"sha256:{'0' * 64}"
    config = read_config(
        {"IMAGE_REGISTRY": "r.example/m", "WORKLOAD_DIGESTS": f"1={digest}", "WORKLOAD_PULL_SECRETS": "a, b"}, "", ""
    )
    assert config.images == replace(
        DEFAULT_IMAGES, registry="r.example/m", digests={"1": digest}, pull_secrets=("a", "b")
    )
    assert config.check_reachability
    assert not read_config({"CHECK_REACHABILITY": "false"}, "me", "here").check_reachability


def test_all_wrong_settings_are_told_at_once() -> None:
    wrong = {"WATCH_NAMESPACES": "A B", "LOG_LEVEL": "loud", "ADMIN_PORT": "0", "RESYNC_SECONDS": "soon",
             "CHECK_REACHABILITY": "maybe", "WORKLOAD_IMAGE": "push:1", "NATS_IMAGE": "nats:", "VALKEY_IMAGE": "V",
             "CASSANDRA_IMAGE": "c@1", "IMAGE_REGISTRY": "mirror", "WORKLOAD_DIGESTS": "1=2",
             "WORKLOAD_PULL_SECRETS": "A"}  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        read_config(wrong, "me", "here")
    assert all(name in str(caught.value) for name in wrong)
