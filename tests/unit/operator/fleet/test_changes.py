"""What a change of the manifest, of a Secret, or a pause comes to: the real reconcile over simulated gateways."""

from __future__ import annotations

from typing import Any

from tests.support.world import World
from tests.unit.operator.manifests import manifest

from push_operator.plan.secrets import Secrets, known
from push_operator.plan.status import condition

CLIENTS, SETTLE_SECONDS = 600, 900


def _body(replicas: int = 3, **spec: Any) -> dict[str, Any]:
    drain = {"timeoutSeconds": 60, "reconnectsPerSecond": 40}
    return manifest(gateway={"replicas": replicas, "drain": drain}, **spec)


async def _running(world: World) -> str:
    """Its revision, once all is there."""
    await world.run(60)
    (revision,) = world.fleet.sets
    return revision


async def _settle(world: World, replicas: int) -> None:
    for _ in range(SETTLE_SECONDS):
        await world.run(1)
        assert world.fleet.cut == 0
        if world.is_settled(replicas):
            return
    raise AssertionError(f"not settled: {world.fleet.sets} {world.body['status']}")


def _change(world: World, body: dict[str, Any]) -> None:
    world.body = {**body, "status": world.body["status"]}


def _annotate(world: World, ask: str) -> None:
    world.body = {**world.body, "metadata": {**world.body["metadata"], "annotations": {"pushcluster.io/rollout": ask}}}


def _new(world: World, before: str) -> int:
    """How many gateways there are of another revision than before."""
    return sum(pod.revision != before for pod in world.fleet.pods.values())


async def test_the_gateways_of_a_version_come_after_its_services() -> None:
    world = World(_body(), CLIENTS, roll_seconds=120)
    before = await _running(world)
    _change(world, _body(version="0.2.0"))
    await world.run(100)
    rollout = world.body["status"]["rollout"]
    assert (rollout["state"], rollout["reason"]) == ("Progressing", "WaitingForServices")
    assert rollout["message"].startswith("auth, message, presence, push first: then ")
    assert _new(world, before) == 0
    await _settle(world, 3)
    assert _new(world, before) == 3


async def test_while_it_waits_more_gateways_are_of_the_revision_before() -> None:
    world = World(_body(), CLIENTS, roll_seconds=120)
    before = await _running(world)
    _change(world, _body(5, version="0.2.0"))
    await world.run(60)
    assert (len(world.fleet.serving()), _new(world, before)) == (5, 0)
    await _settle(world, 5)


async def test_a_rollout_that_waits_for_ever_goes_on_when_a_person_says_so() -> None:
    world = World(_body(), CLIENTS, roll_seconds=float("inf"))
    before = await _running(world)
    _change(world, _body(version="0.2.0"))
    await world.run(600)
    assert _new(world, before) == 0
    _annotate(world, f"resume:{world.body['status']['rollout']['revision']}")
    await _settle(world, 3)


async def test_a_version_in_the_middle_of_another_one_waits_with_what_there_is() -> None:
    """To empty the fewer for the more of two old revisions would move everyone twice."""
    world = World(_body(4), CLIENTS, roll_seconds=60)
    before = await _running(world)
    _change(world, _body(4, version="0.2.0"))
    while not any(pod.mark is not None for pod in world.fleet.pods.values()):
        await world.run(1)
    _change(world, _body(4, version="0.3.0"))
    await world.run(3)
    marked = {name for name, pod in world.fleet.pods.items() if pod.mark is not None}
    await world.run(50)
    assert {pod.revision for pod in world.fleet.serving()} == {*list(world.fleet.sets)[:2]}
    assert {name for name, pod in world.fleet.pods.items() if pod.mark is not None} <= marked
    await _settle(world, 4)
    assert _new(world, before) == 4


async def test_what_is_of_the_gateways_alone_waits_for_nobody() -> None:
    world = World(_body(), CLIENTS, roll_seconds=float("inf"))
    before = await _running(world)
    changed = _body()
    changed["spec"]["gateway"]["drain"]["timeoutSeconds"] = 90
    _change(world, changed)
    await world.run(60)
    assert _new(world, before) > 0
    await _settle(world, 3)


def _keys(value: str) -> Secrets:
    return {"keys": {"JWT_SECRET": known(value.encode(), b"own")}}


async def test_another_value_in_a_secret_drains_every_gateway_that_had_the_one_before() -> None:
    world = World(_body(tokens={"signingKeysSecret": "keys"}), CLIENTS, given=_keys("1" * 32))
    before = await _running(world)
    old = {name: pod for name, pod in world.fleet.pods.items() if pod.revision == before}
    world.given = _keys("2" * 32)
    await world.run(2)
    assert len(world.fleet.sets) == 2
    await _settle(world, 3)
    assert not old.keys() & world.fleet.pods.keys()
    # All of them were asked to go, and none was cut.
    assert sum(pod.asked for pod in old.values()) >= CLIENTS
    assert world.fleet.connections > 0.9 * CLIENTS


async def test_a_pause_stops_every_hand_and_tells_on() -> None:
    world = World(_body(), CLIENTS)
    await _running(world)
    _change(world, _body(5, paused=True, version="0.2.0"))
    sets, applied = dict(world.fleet.sets), world.others
    world.fleet.demand = lambda _: 2 * CLIENTS
    await world.run(120)
    status = world.body["status"]
    assert (world.fleet.sets, world.others) == (sets, applied)
    assert all(pod.mark is None and pod.rate is None for pod in world.fleet.pods.values())
    assert status["connections"] == 2 * CLIENTS
    ready, reconciling = condition(status, "Ready"), condition(status, "Reconciling")
    assert ready is not None
    assert reconciling is not None
    assert (ready["reason"], reconciling["status"]) == ("Paused", "False")


async def test_a_pause_in_a_drain_leaves_it_as_it_is_and_the_end_of_it_goes_on() -> None:
    world = World(_body(5), CLIENTS)
    await _running(world)
    _change(world, _body(2))
    while not any(pod.mark is not None and pod.rate for pod in world.fleet.pods.values()):
        await world.run(1)
    marks = {name: pod.mark for name, pod in world.fleet.pods.items()}
    _change(world, _body(2, paused=True))
    await world.run(120)
    assert {name: pod.mark for name, pod in world.fleet.pods.items()} == marks
    drains = world.body["status"]["scaling"]["drains"]
    assert [one["name"] for one in drains] == [name for name, mark in marks.items() if mark is not None]
    _change(world, _body(2))
    await _settle(world, 2)
