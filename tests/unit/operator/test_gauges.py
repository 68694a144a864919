"""What Prometheus is told of a PushCluster: by its status, whatever that holds, and no longer than it is there."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.pilot import Hands
from tests.support.waiting import eventually
from tests.unit.operator.manifests import manifest

from push_operator.cluster.memory import MemoryCluster
from push_operator.loop import control
from push_operator.plan.gauges import FAMILIES, gauges
from push_operator.telemetry import Telemetry

KEY = "default/chat"
OWN = {"pushcluster_namespace": "default", "pushcluster": "chat"}
STATUS: dict[str, Any] = {
    "connections": 1200,
    "gateways": 3,
    "components": [{"name": "nats", "total": 9}, {"name": "gateway", "desired": 4, "total": 5}],
    "scaling": {
        "desired": 6,
        "drains": [{"since": "2030-01-01T00:10:00Z"}, {"since": "2030-01-01T00:05:00Z"}, {"since": "soon"}],
    },
    "rollout": {"state": "Stopped"},
    "conditions": [
        {"type": "Ready", "status": "True"},
        {"type": "ScalingActive", "status": "False", "reason": "MetricsLost"},
    ],
}


def _of(status: Any) -> dict[tuple[str, ...], float]:
    made = gauges(status)
    found = {(one.family, *one.values): one.value for one in made}
    assert len(found) == len(made)
    return found


def test_a_status_comes_to_these_numbers() -> None:
    states = {"Progressing": 0, "Stopped": 1, "Undone": 0, "Done": 0}
    conditions = {
        (kind, each): float(each == now)
        for kind, now in (("Ready", "True"), ("ScalingActive", "False"))
        for each in ("True", "False", "Unknown")
    }
    expected: dict[tuple[str, ...], float] = {
        ("push_cluster_connections",): 1200,
        ("push_cluster_gateways", "ready"): 3,
        ("push_cluster_gateways", "draining"): 3,
        ("push_cluster_gateways", "starting"): 2,
        ("push_cluster_desired_gateways",): 6,
        ("push_cluster_drains",): 3,
        ("push_cluster_oldest_drain_timestamp_seconds",): 1893456300,
        ("push_cluster_autoscaler_held",): 1,
    }
    expected |= {("push_cluster_rollout", state): value for state, value in states.items()}
    expected |= {("push_cluster_condition", *labels): value for labels, value in conditions.items()}
    assert _of(STATUS) == expected


@pytest.mark.parametrize(("status", "reason", "held"), [
    ("False", "MetricsLost", 1), ("False", "Fixed", 0), ("False", "External", 0), ("True", "Connections", 0),
])  # fmt: skip
def test_who_does_not_scale_by_itself_is_not_held(status: str, reason: str, held: int) -> None:
    condition = {"type": "ScalingActive", "status": status, "reason": reason}
    assert _of({"conditions": [condition]})["push_cluster_autoscaler_held",] == held


def test_without_a_decision_the_component_says_what_is_desired() -> None:
    assert _of({"components": [{"name": "gateway", "desired": 4}]})["push_cluster_desired_gateways",] == 4


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
STATUSES = st.fixed_dictionaries({}, optional=dict.fromkeys(STATUS, ANYTHING)) | st.sampled_from([{}, STATUS])


@given(STATUSES, ANYTHING)
def test_a_damaged_status_has_fewer_numbers_and_is_no_fault(status: dict[str, Any], inner: Any) -> None:
    for damaged in (status, {**status, "scaling": {"desired": inner, "drains": [inner]}, "conditions": [inner]}):
        for one in gauges(damaged):
            assert len(one.values) == len(FAMILIES[one.family].labels)


def _value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, OWN | labels)


async def test_numbers_come_and_go_with_the_object_and_with_the_lead() -> None:
    cluster, telemetry = MemoryCluster(), Telemetry()
    cluster.put(KEY, manifest())
    running = asyncio.create_task(control(cluster, Hands().pilot, telemetry))
    not_ready = {"type": "Ready", "status": "False"}
    await eventually(lambda: _value(telemetry, "push_cluster_condition", **not_ready) == 1)
    assert _value(telemetry, "push_cluster_desired_gateways") == 2
    cluster.remove(KEY)
    await eventually(lambda: _value(telemetry, "push_cluster_desired_gateways") is None)
    cluster.put(KEY, manifest())
    await eventually(lambda: _value(telemetry, "push_cluster_desired_gateways") == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    telemetry.working(None)
    assert _value(telemetry, "push_cluster_desired_gateways") is None


async def test_an_object_whose_status_is_no_news_has_its_numbers_all_the_same() -> None:
    cluster, pilot = MemoryCluster(), Hands().pilot
    cluster.ready = True
    cluster.put(KEY, manifest())
    for telemetry in (Telemetry(), Telemetry()):  # the second operator finds everything as it should be
        running = asyncio.create_task(control(cluster, pilot, telemetry))
        await eventually(partial(_value, telemetry, "push_cluster_condition", type="Ready", status="True"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_manifest_that_is_refused_is_told_as_stalled() -> None:
    telemetry = Telemetry()
    telemetry.told(KEY, {"conditions": [{"type": "Stalled", "status": "True"}]})
    assert _value(telemetry, "push_cluster_condition", type="Stalled", status="True") == 1
    exposed = telemetry.metrics(leading=True).decode()
    assert (
        'push_cluster_condition{pushcluster="chat",pushcluster_namespace="default",status="True",type="Stalled"} 1.0'
        in exposed
    )
