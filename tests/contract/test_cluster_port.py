"""The gateways' side of the Cluster port, on the in-memory cluster and on processes of this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.local.conftest import KEY, ORIGINS, fake_programs, workload
from tests.support.platform import free_offset
from tests.support.verdicts import manifest
from tests.support.waiting import eventually

from push_operator.cluster.local.adapter import LocalCluster, Settings
from push_operator.cluster.local.manifest import read_manifest
from push_operator.cluster.local.state import StateFolder
from push_operator.cluster.memory import MemoryCluster
from push_operator.cluster.port import Cluster
from push_operator.errors import Conflict, NotFound
from push_operator.fleet.values import GatewaySet, Mark, Why
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.workload import Plan

OLD, NEW = "aaaaaaaa", "bbbbbbbb"
MARK = Mark(Why.SCALE_DOWN, 1_900_000_000.5)
_BODY = manifest("test", nats={"url": "nats://127.0.0.1:1"}, redis={"url": "redis://127.0.0.1:1"})


@asynccontextmanager
async def _in_memory(_: Path) -> AsyncIterator[Cluster]:
    cluster = MemoryCluster()
    cluster.ready = True
    cluster.put(KEY, _BODY)
    yield cluster


@asynccontextmanager
async def _on_this_machine(folder: Path) -> AsyncIterator[Cluster]:
    state = StateFolder(folder / "state")
    settings = Settings("127.0.0.1", free_offset(), ORIGINS)
    with state.locked():
        async with LocalCluster.running(state, settings, fake_programs()) as cluster:
            cluster.put(read_manifest([_BODY]))
            yield cluster


Maker = Callable[[Path], AbstractAsyncContextManager[Cluster]]


@pytest.fixture(params=[_in_memory, _on_this_machine], ids=["memory", "local"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    make: Maker = request.param
    async with make(tmp_path) as made:
        yield made


def _plan(revision: str = OLD, replicas: int = 3) -> Plan:
    return Plan((workload(revision=revision, replicas=replicas),))


async def _seen(cluster: Cluster) -> Observed:
    return await cluster.observe(KEY)


async def _units(cluster: Cluster, revision: str = OLD) -> dict[str, Unit]:
    return {unit.uid: unit for unit in (await _seen(cluster)).units if unit.revision == revision}


async def _sizes(cluster: Cluster) -> dict[str, int]:
    return {one.revision: one.replicas for one in (await _seen(cluster)).sets}


async def _set(cluster: Cluster, revision: str = OLD) -> GatewaySet:
    return next(one for one in (await _seen(cluster)).sets if one.revision == revision)


async def _settled(cluster: Cluster, number: int, revision: str = OLD) -> dict[str, Unit]:
    """Once there are so many of a revision, all of them ready, and none that is leaving."""

    async def done() -> bool:
        units = await _units(cluster, revision)
        leaving = (await _seen(cluster)).leaving
        return len(units) == number and all(unit.ready for unit in units.values()) and not leaving

    await eventually(done)
    return await _units(cluster, revision)


async def test_the_first_set_is_whole_and_a_further_one_empty(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan())
    units = await _settled(cluster, 3)
    assert all(unit.address.startswith("http://") for unit in units.values())
    assert len({unit.address for unit in units.values()}) == 3
    await cluster.apply(KEY, _plan(NEW))
    await cluster.apply(KEY, _plan(NEW))
    assert await _sizes(cluster) == {OLD: 3, NEW: 0}
    assert (await _units(cluster)).keys() == units.keys()
    assert not await _units(cluster, NEW)


async def test_the_size_of_a_set_is_not_the_plans(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan())
    await cluster.apply(KEY, _plan(replicas=5))
    assert await _sizes(cluster) == {OLD: 3}
    await cluster.resize(KEY, await _set(cluster), 4, frozenset())
    await cluster.apply(KEY, _plan(replicas=2))
    assert await _sizes(cluster) == {OLD: 4}
    await _settled(cluster, 4)


async def test_a_set_that_was_emptied_goes_with_the_next_plan(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan(replicas=2))
    names = frozenset(unit.name for unit in (await _settled(cluster, 2)).values())
    await cluster.apply(KEY, _plan(NEW))
    await cluster.resize(KEY, await _set(cluster, NEW), 2, frozenset())
    await cluster.resize(KEY, await _set(cluster), 0, names)
    assert await _sizes(cluster) == {OLD: 0, NEW: 2}
    await cluster.apply(KEY, _plan(NEW))
    assert await _sizes(cluster) == {NEW: 2}
    await _settled(cluster, 0)
    await _settled(cluster, 2, NEW)


async def test_an_old_set_can_grow_again(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan(replicas=1))
    await cluster.apply(KEY, _plan(NEW))
    await cluster.resize(KEY, await _set(cluster), 2, frozenset())
    await cluster.apply(KEY, _plan(NEW))
    assert await _sizes(cluster) == {OLD: 2, NEW: 0}
    await _settled(cluster, 2)


async def test_a_set_that_has_changed_is_not_resized(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan(replicas=1))
    stale = await _set(cluster)
    await cluster.resize(KEY, stale, 2, frozenset())
    for size in (1, 3):
        with pytest.raises(Conflict):
            await cluster.resize(KEY, stale, size, frozenset(unit.name for unit in (await _units(cluster)).values()))
    with pytest.raises(Conflict):
        await cluster.resize(KEY, GatewaySet(NEW, 1, stale.version), 2, frozenset())
    assert await _sizes(cluster) == {OLD: 2}
    await _settled(cluster, 2)


async def test_a_smaller_set_takes_nobody_else(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan())
    before, one = await _settled(cluster, 3), await _set(cluster)
    first = next(iter(before.values()))
    for size, gone in ((2, frozenset[str]()), (1, frozenset({first.name})), (0, frozenset({"nobody"}))):
        with pytest.raises(Conflict):
            await cluster.resize(KEY, one, size, gone)
    assert await _set(cluster) == one
    assert (await _units(cluster)).keys() == before.keys()


async def test_the_marked_one_goes_first(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan())
    before = await _settled(cluster, 3)
    marked = sorted(before.values(), key=lambda unit: unit.name)[1]
    await cluster.mark(KEY, marked, MARK)
    await cluster.resize(KEY, await _set(cluster), 2, frozenset(unit.name for unit in before.values()))
    assert (await _settled(cluster, 2)).keys() == before.keys() - {marked.uid}


async def test_a_mark_stands_on_the_unit_until_it_is_taken_back(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan())
    first, *others = (await _settled(cluster, 3)).values()
    await cluster.mark(KEY, first, MARK)
    await cluster.apply(KEY, _plan())
    found = await _units(cluster)
    assert [found[unit.uid].mark for unit in (first, *others)] == [MARK, None, None]
    other = Mark(Why.QUARANTINE, MARK.since + 1)
    await cluster.mark(KEY, found[first.uid], other)
    assert (await _units(cluster))[first.uid].mark == other
    await cluster.mark(KEY, first, None)
    assert {unit.mark for unit in (await _settled(cluster, 3)).values()} == {None}


async def test_another_unit_is_not_marked(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan(replicas=1))
    ((uid, unit),) = (await _settled(cluster, 1)).items()
    with pytest.raises(Conflict):
        await cluster.mark(KEY, replace(unit, uid=f"{uid}0"), MARK)
    with pytest.raises(NotFound):
        await cluster.mark(KEY, replace(unit, name="nobody"), MARK)
    assert (await _units(cluster))[uid].mark is None


async def test_a_plan_without_gateways_has_no_sets(cluster: Cluster) -> None:
    await cluster.apply(KEY, _plan())
    await cluster.apply(KEY, Plan())
    assert await _sizes(cluster) == {}
    await _settled(cluster, 0)
    await cluster.apply(KEY, _plan(NEW, 1))
    await _settled(cluster, 1, NEW)
