"""What `push` asks of a platform that runs here, through its control socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.local.conftest import KEY, ORIGINS, Bench, fake_programs, workload
from tests.support.platform import free_offset
from tests.support.verdicts import manifest

from push_operator.cli.gateways import rollout_status
from push_operator.cli.local import LocalTarget
from push_operator.cluster.local.adapter import LocalCluster, Settings
from push_operator.cluster.local.control import Control, control_socket
from push_operator.cluster.local.manifest import read_manifest
from push_operator.cluster.local.state import StateFolder
from push_operator.errors import ClusterError
from push_operator.fleet.values import Mark, Why
from push_operator.plan.steering import ROLLOUT
from push_operator.plan.workload import Plan

PAGE = "http://localhost:1"


def _body(**spec: Any) -> dict[str, Any]:
    return manifest("test", nats={"url": "nats://127.0.0.1:1"}, redis={"url": "redis://127.0.0.1:1"}, **spec)


def _order(cluster: LocalCluster) -> object:
    return (cluster.body["metadata"].get("annotations") or {}).get(ROLLOUT)


@pytest.fixture
async def target(bench: Bench) -> AsyncIterator[LocalTarget]:
    bench.cluster.put(read_manifest([_body()]))
    async with control_socket(bench.state, Control(bench.cluster, PAGE, down=lambda: None)):
        yield LocalTarget(bench.state)


async def _rolls_out(bench: Bench) -> None:
    status = {"rollout": {"revision": "bbbbbbbb", "state": "Halted"}}
    await bench.cluster.publish(KEY, status, ())


async def test_a_rollout_is_resumed_and_undone_by_an_annotation(bench: Bench, target: LocalTarget) -> None:
    with pytest.raises(ClusterError, match="there is no rollout to resume"):
        await asyncio.to_thread(target.steer, "resume")
    await _rolls_out(bench)
    changes = bench.cluster.changes()
    assert [await anext(changes), await anext(changes)] == [KEY, KEY]  # the beginning, and what was until now
    for action in ("undo", "resume"):
        told = await asyncio.to_thread(target.steer, action)
        assert told == f"{action} of the rollout of bbbbbbbb is asked for"
        assert _order(bench.cluster) == f"{action}:bbbbbbbb"
        assert await asyncio.wait_for(anext(changes), 10) == KEY
    assert bench.cluster.body["metadata"]["generation"] == 1
    with pytest.raises(ClusterError, match="what can be done with a rollout: resume, undo"):
        await asyncio.to_thread(target.steer, "pause")


async def test_an_order_outlives_a_manifest_and_not_the_platform(bench: Bench, target: LocalTarget) -> None:
    await _rolls_out(bench)
    await asyncio.to_thread(target.steer, "undo")
    changed = _body(paused=True)
    changed["metadata"]["annotations"] = {"mine": "too"}
    assert bench.cluster.put(read_manifest([changed])) == 2
    assert bench.cluster.body["metadata"]["annotations"] == {"mine": "too", ROLLOUT: "undo:bbbbbbbb"}
    again = StateFolder(bench.state.root)
    assert again.load_object() == bench.cluster.body
    settings = Settings("127.0.0.1", free_offset(), ORIGINS)
    async with LocalCluster.running(again, settings, fake_programs()) as other:
        other.put(read_manifest([_body()]))
        assert _order(other) is None


async def test_a_number_that_the_operator_finds_is_not_set(bench: Bench, target: LocalTarget) -> None:
    await asyncio.to_thread(target.scale, "gateway", 1)
    assert bench.cluster.body["spec"]["gateway"]["replicas"] == 1
    bench.cluster.put(read_manifest([{**_body(), "spec": {**_body()["spec"], "gateway": {
        "scaling": {"mode": "Operator"}}}}]))  # fmt: skip
    before = bench.cluster.body
    with pytest.raises(ClusterError, match="how many of gateway there are is the operator's to find"):
        await asyncio.to_thread(target.scale, "gateway", 2)
    assert bench.cluster.body == before


async def test_units_are_told_with_their_marks(bench: Bench, target: LocalTarget) -> None:
    await bench.until(Plan((workload(),)), lambda: bench.ready() == 1)
    await bench.cluster.mark(KEY, bench.units()[0], Mark(Why.QUARANTINE, 1.5))
    (platform,) = await asyncio.to_thread(target.platforms)
    assert (platform.page, platform.body) == (PAGE, bench.cluster.body)
    assert [unit["mark"] for unit in platform.units] == [{"why": "quarantine", "since": 1.5}]
    assert rollout_status(platform).splitlines()[-1].split() == ["aaaaaaaa", "1", "1", "1"]
