"""The operator is killed at each of its writes, before and after it takes effect, and gateways die at them: it always
goes on to the end, and no set ends a gateway that has clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fleet import BACK_SECONDS, Simulation, steady
from tests.support.world import Strike, World, kill
from tests.unit.operator.manifests import manifest

CLIENTS: Final = 600
SETTLE_SECONDS: Final = 1500
NEW: Final = "0.2.0"


def _body(gateway: Mapping[str, Any], version: str = "0.1.0") -> dict[str, Any]:
    drain = {"timeoutSeconds": 60, "reconnectsPerSecond": 40}
    return manifest(gateway={**gateway, "drain": drain}, version=version)


def _fixed(replicas: int, version: str = "0.1.0") -> dict[str, Any]:
    return _body({"replicas": replicas}, version)


AUTOMATIC: Final = _body(
    {
        "scaling": {"mode": "Operator"},
        "autoscaling": {
            "minReplicas": 1, "maxReplicas": 6, "targetConnections": 200, "scaleDown": {"stabilizationSeconds": 60},
        },
    }
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """From one manifest to the next, or to another number of clients. `undo`: the rollout is taken back on the way."""

    first: dict[str, Any]
    then: dict[str, Any]
    replicas: int
    clients: int = CLIENTS
    undo: bool = False


SCENES: Final = {
    "scale down": Scene(_fixed(5), _fixed(2), 2),
    "scale up": Scene(_fixed(2), _fixed(5), 5),
    "rollout": Scene(_fixed(3), _fixed(3, NEW), 3),
    "rollout and scale down": Scene(_fixed(4), _fixed(2, NEW), 2),
    "undo": Scene(_fixed(3), _fixed(3, NEW), 3, undo=True),
    "autoscaled down": Scene(AUTOMATIC, AUTOMATIC, 2, clients=200),
}


async def _world(scene: Scene) -> tuple[World, str]:
    """As it is when the change comes, and the revision that it should end with, if not the manifest's. Writes are
    counted from the change on."""
    world = World(scene.first, CLIENTS)
    await world.run(60)
    revision = ""
    world.body = {**scene.then, "status": world.body["status"]}
    world.fleet.demand = steady(scene.clients)
    if scene.undo:
        revision = world.revision
        await world.run(12)
        asked = {"pushcluster.io/rollout": f"undo:{world.revision}"}
        world.body = {**world.body, "metadata": {**world.body["metadata"], "annotations": asked}}
    world.writes = 0
    return world, revision


async def _play(
    scene: Scene, early: Mapping[int, Strike] | None = None, late: Mapping[int, Strike] | None = None
) -> World:
    world, revision = await _world(scene)
    world.early, world.late = early or {}, late or {}
    for _ in range(SETTLE_SECONDS):
        await world.run(1)
        assert world.fleet.cut == 0
        if world.is_settled(scene.replicas, revision):
            break
    else:
        raise AssertionError(f"not settled: {world.fleet.sets} {world.fleet.pods}")
    await world.run(BACK_SECONDS + 2)  # those that were cut off by a death come back
    assert world.fleet.connections == scene.clients
    return world


async def _writes(scene: Scene) -> int:
    """How many there are when nothing happens."""
    return (await _play(scene)).writes


@pytest.mark.parametrize("scene", SCENES)
async def test_killed_at_any_write_it_goes_on_and_cuts_nobody(scene: str) -> None:
    writes = await _writes(SCENES[scene])
    assert writes > 3
    for number in range(1, writes + 1):
        assert (await _play(SCENES[scene], early={number: kill})).kills == 1, number
        assert (await _play(SCENES[scene], late={number: kill})).kills == 1, number


@settings(max_examples=40)
@given(st.sampled_from(sorted(SCENES)), st.dictionaries(st.integers(1, 40), st.booleans(), min_size=2, max_size=2))
def test_killed_twice_it_goes_on_and_cuts_nobody(scene: str, kills: dict[int, bool]) -> None:
    """Each before the write takes effect, or after."""
    early = {number: kill for number, is_early in kills.items() if is_early}
    late = {number: kill for number, is_early in kills.items() if not is_early}
    asyncio.run(_play(SCENES[scene], early, late))


def _strike(what: Callable[[Simulation, Any], None], *, marked: bool) -> Strike:
    """One gateway dies: of those that are being emptied, or of the others."""

    def strike(world: World) -> None:
        pods = [pod for _, pod in sorted(world.fleet.pods.items()) if not pod.leaving and bool(pod.mark) is marked]
        if pods:
            what(world.fleet, pods[0])

    return strike


DEATHS: Final = {
    "one that is emptied crashes": _strike(Simulation.crash, marked=True),
    "one that is emptied is evicted": _strike(Simulation.evict, marked=True),
    "one that is emptied is lost": _strike(Simulation.lose, marked=True),
    "one that serves crashes": _strike(Simulation.crash, marked=False),
    "one that serves is lost": _strike(Simulation.lose, marked=False),
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("scene", ["rollout and scale down", "undo", "autoscaled down"])
async def test_gateways_that_die_at_any_write_are_made_good(scene: str, death: str) -> None:
    for number in range(1, await _writes(SCENES[scene]) + 1):
        await _play(SCENES[scene], early={number: DEATHS[death]})
