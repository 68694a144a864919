"""The reconcile and the loop over it, on the in-memory cluster."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from tests.support.pilot import Hands
from tests.support.waiting import eventually
from tests.unit.operator.manifests import manifest

from push_operator.autopilot import REST_SECONDS
from push_operator.cluster.memory import MemoryCluster
from push_operator.errors import ClusterError
from push_operator.loop import control
from push_operator.plan.secrets import Secrets, known
from push_operator.plan.status import condition
from push_operator.plan.workload import Plan
from push_operator.reconcile import REJECTED_SECONDS, RESYNC_SECONDS, UNSETTLED_SECONDS, reconcile

KEY = "default/chat"


def _now() -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC)


def _ready(cluster: MemoryCluster) -> str | None:
    found = condition(cluster.objects[KEY].get("status") or {}, "Ready")
    return found["status"] if found is not None else None


async def test_it_applies_the_plan_and_looks_again_soon_until_all_is_ready() -> None:
    cluster = MemoryCluster()
    cluster.put(KEY, manifest())
    assert await reconcile(KEY, cluster, Hands().pilot, _now) == UNSETTLED_SECONDS
    assert {one.component for one in cluster.plans[KEY].workloads} >= {"gateway", "nats"}
    assert _ready(cluster) == "False"
    cluster.ready = True
    assert await reconcile(KEY, cluster, Hands().pilot, _now) == REST_SECONDS
    assert _ready(cluster) == "True"


async def test_nothing_new_writes_nothing() -> None:
    cluster = MemoryCluster()
    cluster.ready = True
    cluster.put(KEY, manifest())
    pilot = Hands().pilot
    for _ in range(2):
        await reconcile(KEY, cluster, pilot, _now)
    writes = cluster.writes
    await reconcile(KEY, cluster, pilot, lambda: datetime(2031, 1, 1, tzinfo=UTC))
    assert cluster.writes == writes


async def test_a_bad_manifest_is_told_and_what_runs_stays() -> None:
    cluster = MemoryCluster()
    cluster.put(KEY, manifest())
    await reconcile(KEY, cluster, Hands().pilot, _now)
    running = cluster.plans[KEY]
    cluster.put(KEY, manifest(gateway={"replicas": 0}))
    assert await reconcile(KEY, cluster, Hands().pilot, _now) == RESYNC_SECONDS
    assert cluster.plans[KEY] is running
    stalled = condition(cluster.objects[KEY]["status"], "Stalled")
    assert stalled is not None
    assert (stalled["status"], stalled["message"]) == (
        "True",
        "spec.gateway.replicas: must be a whole number from 1 to 1000",
    )


async def test_a_pod_template_that_may_not_be_is_told_with_its_place_and_what_runs_stays() -> None:
    """The API server has stored it: what stands in there it does not look at."""
    cluster = MemoryCluster()
    cluster.put(KEY, manifest())
    await reconcile(KEY, cluster, Hands().pilot, _now)
    running = cluster.plans[KEY]
    cluster.put(KEY, manifest(auth={"podTemplate": {"spec": {"hostNetwork": True}}}))
    assert await reconcile(KEY, cluster, Hands().pilot, _now) == RESYNC_SECONDS
    assert cluster.plans[KEY] is running
    stalled = condition(cluster.objects[KEY]["status"], "Stalled")
    assert stalled is not None
    assert (stalled["reason"], stalled["message"]) == (
        "InvalidSpec",
        "spec.auth.podTemplate.spec.hostNetwork: must not be given: a pod shares nothing with its node",
    )


async def test_a_paused_object_is_only_reported() -> None:
    cluster = MemoryCluster()
    cluster.put(KEY, manifest(paused=True))
    await reconcile(KEY, cluster, Hands().pilot, _now)
    assert KEY not in cluster.plans
    assert _ready(cluster) == "False"


async def test_an_object_that_is_gone_is_pruned() -> None:
    cluster = MemoryCluster()
    cluster.put(KEY, manifest())
    await reconcile(KEY, cluster, Hands().pilot, _now)
    cluster.remove(KEY)
    await reconcile(KEY, cluster, Hands().pilot, _now)
    assert cluster.plans[KEY] == Plan()


class _Impatient(MemoryCluster):
    """Its user changes the object while it is applied."""

    async def apply(self, key: str, plan: Plan) -> None:
        await super().apply(key, plan)
        body = self.objects[key]
        if body["metadata"]["generation"] == 1:
            changed = manifest(presence={"replicas": 9})
            self.objects[key] = {**changed, "metadata": {**body["metadata"], "generation": 2}}


async def test_the_status_of_one_wish_is_never_told_of_the_next() -> None:
    """Ready, of a generation that nobody has applied, would end a `kubectl wait` too early."""
    cluster = _Impatient()
    cluster.ready = True
    body = manifest()
    cluster.put(KEY, {**body, "metadata": {**body["metadata"], "generation": 1}})
    assert await reconcile(KEY, cluster, Hands().pilot, _now) == 0
    assert "status" not in cluster.objects[KEY]
    await reconcile(KEY, cluster, Hands().pilot, _now)
    assert cluster.objects[KEY]["status"]["observedGeneration"] == 2
    assert cluster.plans[KEY].workload("presence").replicas == 9  # type: ignore[union-attr]


def _keys(value: str) -> Secrets:
    return {"keys": {"JWT_SECRET": known(value.encode(), b"own")}}


async def test_a_changed_secret_is_a_new_plan() -> None:
    cluster = MemoryCluster()
    cluster.given = _keys("1" * 32)
    cluster.put(KEY, manifest(tokens={"signingKeysSecret": "keys"}))
    await reconcile(KEY, cluster, Hands().pilot, _now)
    before = cluster.plans[KEY]
    await reconcile(KEY, cluster, Hands().pilot, _now)
    assert cluster.plans[KEY] == before
    cluster.given = _keys("2" * 32)
    await reconcile(KEY, cluster, Hands().pilot, _now)
    assert cluster.plans[KEY] != before


async def test_a_secret_that_is_not_there_is_told_and_what_runs_stays() -> None:
    cluster = MemoryCluster()
    cluster.put(KEY, manifest(tokens={"signingKeysSecret": "keys"}))
    assert await reconcile(KEY, cluster, Hands().pilot, _now) == REJECTED_SECONDS
    assert KEY not in cluster.plans
    stalled = condition(cluster.objects[KEY]["status"], "Stalled")
    assert stalled is not None
    assert (stalled["status"], stalled["reason"]) == ("True", "Rejected")
    cluster.given = _keys("1" * 32)
    await reconcile(KEY, cluster, Hands().pilot, _now)
    assert KEY in cluster.plans


async def test_a_new_generation_waits_for_its_servers_and_a_running_one_does_not() -> None:
    cluster, field = MemoryCluster(), "spec.nats.url"
    cluster.down = frozenset({field, "spec.redis.url"})
    body = manifest(nats={"url": "nats://bus"})
    body["metadata"]["generation"] = 1
    cluster.put(KEY, body)
    for _ in range(2):  # also when the status says that this generation was seen
        assert await reconcile(KEY, cluster, Hands().pilot, _now) == REJECTED_SECONDS
        assert KEY not in cluster.plans
        stalled = condition(cluster.objects[KEY]["status"], "Stalled")
        assert stalled is not None
        assert (stalled["reason"], stalled["message"]) == ("Unreachable", field)
    assert cluster.writes == 1
    cluster.down = frozenset()
    await reconcile(KEY, cluster, Hands().pilot, _now)
    running = cluster.plans.pop(KEY)
    cluster.down = frozenset({field})
    await reconcile(KEY, cluster, Hands().pilot, _now)
    assert cluster.plans[KEY] == running


class _Failing(MemoryCluster):
    """Refuses the first plan."""

    refusals = 1

    async def apply(self, key: str, plan: Plan) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ClusterError("no room")
        await super().apply(key, plan)


async def test_the_loop_goes_on_after_a_failure(caplog: Any) -> None:
    cluster = _Failing()
    cluster.put(KEY, manifest())
    loop = asyncio.create_task(control(cluster, Hands().pilot))
    await eventually(lambda: KEY in cluster.plans)
    assert f"{KEY}: no room; again in" in caplog.text
    cluster.put(KEY, manifest(gateway={"replicas": 4}))
    await eventually(lambda: cluster.plans[KEY].workloads[2].replicas == 4)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
