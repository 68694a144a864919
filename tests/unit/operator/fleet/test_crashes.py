"""The operator is killed after each of its writes in turn: it always goes on to the end, and nobody is cut off."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.world import World
from tests.unit.operator.manifests import manifest

CLIENTS = 600
SETTLE_SECONDS = 900


def _body(replicas: int, version: str = "0.1.0") -> dict[str, Any]:
    drain = {"timeoutSeconds": 60, "reconnectsPerSecond": 40}
    return manifest(gateway={"replicas": replicas, "drain": drain}, version=version)


async def _world(kill_at: int, first: dict[str, Any], then: dict[str, Any]) -> World:
    """Runs from one manifest to the next; writes are counted from the change on."""
    world = World(first, CLIENTS)
    await world.run(60)
    world.writes, world.kill_at = 0, kill_at
    world.body = {**then, "status": world.body["status"]}
    return world


async def _settle(world: World, replicas: int) -> None:
    for _ in range(SETTLE_SECONDS):
        await world.run(1)
        assert world.fleet.cut == 0
        if world.is_settled(replicas):
            return
    raise AssertionError(f"not settled: {world.fleet.sets} {world.fleet.pods}")


SCENES = {
    "scale down": (_body(5), _body(2), 2),
    "scale up": (_body(2), _body(5), 5),
    "rollout": (_body(3), _body(3, "0.2.0"), 3),
    "rollout and scale down": (_body(4), _body(2, "0.2.0"), 2),
}


@pytest.mark.parametrize("scene", SCENES)
async def test_killed_after_any_write_it_goes_on_and_cuts_nobody(scene: str) -> None:
    first, then, replicas = SCENES[scene]
    quiet = await _world(0, first, then)
    await _settle(quiet, replicas)
    assert quiet.writes > 3
    for kill_at in range(1, quiet.writes + 1):
        world = await _world(kill_at, first, then)
        await _settle(world, replicas)
        assert world.kills == 1, kill_at
        assert world.fleet.connections > 0.9 * CLIENTS
