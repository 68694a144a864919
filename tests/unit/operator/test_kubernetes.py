"""The pure parts of the Kubernetes adapter: comparing, pruning, snapshots, units, events, settings."""

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
from push_operator.cluster.kubernetes.prune import obsolete
from push_operator.cluster.kubernetes.snapshot import Snapshot
from push_operator.cluster.kubernetes.units import units_of
from push_operator.config import DEFAULT_IMAGES, ConfigError, read_config
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


def _gateway(name: str, ready: int, uid: str = "uid-1") -> dict[str, Any]:
    return _live(name, metadata={"ownerReferences": [{"uid": uid}]}, status={"readyReplicas": ready})


def _wanted(name: str, replicas: int) -> dict[str, Any]:
    return _live(name, spec={"replicas": replicas})


def _pruned(live: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> list[str]:
    return [one["metadata"]["name"] for _, one in obsolete(OWNER, [(DEPLOYMENTS, one) for one in live], wanted)]


def test_only_what_is_owned_and_not_wanted_goes() -> None:
    retained = _live("kept")
    others = _gateway("others", 1, uid="uid-2")
    going = _gateway("going", 1)
    going["metadata"]["deletionTimestamp"] = "now"
    assert _pruned([_gateway("new", 1), _gateway("old", 1), retained, others, going], [_wanted("new", 1)]) == ["old"]


def test_an_edit_erases_no_data() -> None:
    claim = _live("data", metadata={"ownerReferences": [OWNER.reference()]})
    assert obsolete(OWNER, [(VOLUME_CLAIMS, claim)], []) == []


def test_a_volume_that_has_grown_stays_so() -> None:
    def claim(size: str) -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return {"kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}

    assert frozen(claim("5Gi"), claim("8Gi")) == claim("8Gi")
    assert frozen(claim("5Gi"), None) == claim("5Gi")


def test_old_gateways_stay_until_the_new_ones_are_ready() -> None:
    assert _pruned([_gateway("new", 1), _gateway("old", 2)], [_wanted("new", 2)]) == []
    assert _pruned([_gateway("old", 2)], [_wanted("new", 2)]) == []
    assert _pruned([_gateway("new", 2), _gateway("old", 2)], [_wanted("new", 2)]) == ["old"]


# Units ----------------------------------------------------------------------------------------------------------------


def _pod(name: str, **status: Any) -> dict[str, Any]:
    return _live(name, status=status)


def test_pods_are_units_with_a_reason() -> None:
    ready = _pod("a", conditions=[{"type": "Ready", "status": "True"}], containerStatuses=[{"restartCount": 2}])
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pulling = _pod("b", phase="Pending", containerStatuses=[{"restartCount": 0, "state": waiting}])
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    lonely = _pod("c", phase="Pending", conditions=[unscheduled])
    ended, going = _pod("d", phase="Failed"), _pod("e")
    going["metadata"]["deletionTimestamp"] = "now"
    units = units_of([lonely, pulling, ready, ended, going, _pod("f", phase="Pending"), _pod("g", phase="Running")])
    assert [(unit.name, unit.ready, unit.restarts, unit.note) for unit in units] == [
        ("a", True, 2, ""),
        ("b", False, 0, "ImagePullBackOff: no such image"),
        ("c", False, 0, "Unschedulable: 0/1 nodes"),
        ("f", False, 0, "starting"),
        ("g", False, 0, "not ready"),
    ]


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
