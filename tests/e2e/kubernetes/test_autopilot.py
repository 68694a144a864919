"""Three thousand sockets on a real cluster, while the operator scales, rolls, drains, dies, and the broker goes away.

Nothing that was acknowledged may be lost, nobody may be left without a connection, and the clients that are sent
elsewhere may not come faster than the budget allows.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.e2e.kubernetes.place import READY_SECONDS, Operator, Place, small
from tests.support.cluster.images import NEXT_VERSION
from tests.support.waiting import within

CROWD: Final = 3000
BUDGET: Final = 50  # reconnects a second
STRETCH: Final = 1.5  # of a second's count over a rate: clients spread their return by chance
SCENE_SECONDS: Final = 300.0
_COLUMNS: Final = (
    ("clients", "clients"), ("reconnects", "came back"), ("p50", "p50 s"), ("p95", "p95 s"), ("longest", "max s"),
    ("highest", "most/s"), ("acked", "acked"), ("lost", "lost"), ("twice", "twice"), ("disorder", "disorder"),
)  # fmt: skip
Figures = dict[str, Any]


class Crowd:
    """The process of the clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.table: list[tuple[str, Figures]] = []

    def do(self, what: str, **more: Any) -> Figures:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        answer: Figures = json.loads(self._process.stdout.readline())
        return answer

    def judged(self, scene: str) -> Figures:
        """The figures since the last `begin`, with what must hold in every scene."""
        figures = self.do("figures")
        self.table.append((scene, figures))
        assert figures["connected"] == figures["clients"], (scene, figures)
        assert (figures["lost"], figures["twice"], figures["disorder"]) == (0, 0, 0), (scene, figures)
        self.do("begin")
        return figures

    def shown(self) -> str:
        head = f"{'':34}" + "".join(f"{title:>11}" for _, title in _COLUMNS)
        rows = [f"{scene:34}" + "".join(f"{told[key]:>11}" for key, _ in _COLUMNS) for scene, told in self.table]
        return "\n".join(["", head, *rows])


@contextmanager
def crowd_at(place: Place) -> Iterator[Crowd]:
    secret = place.get("secret", "chat-credentials")["data"]["JWT_SECRET"]
    environ = place.cluster.environ | {"JWT_SECRET": base64.b64decode(secret).decode()}
    url = f"ws://{place.outside('gateway')}/ws"
    with subprocess.Popen([sys.executable, "-m", "tests.support.crowd", url], env=environ, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # fmt: skip
        crowd = Crowd(process)
        try:
            yield crowd
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


def _manifest() -> dict[str, Any]:
    gateway = {
        "resources": {"requests": {"cpu": "10m"}},
        "scaling": {"mode": "Operator"},
        "autoscaling": {
            "minReplicas": 1, "maxReplicas": 4, "targetConnections": 1500, "acceptRatePerPod": 200,
            "scaleDown": {"stabilizationSeconds": 30},
        },
        "drain": {"timeoutSeconds": 60, "reconnectsPerSecond": BUDGET},
    }  # fmt: skip
    return small(gateway=gateway)


def _scaling(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = (place.get("pcl", "chat").get("status") or {}).get("scaling") or {}
    return found


def _rests_at(place: Place, number: int) -> bool:
    """So many gateways, all of them serving, and nothing under way."""
    pods = place.pods("gateway").values()
    serving = [one for one in pods if "pushcluster.io/serving" in one["metadata"]["labels"]]
    return len(pods) == len(serving) == number and place.is_ready() and _scaling(place)["desired"] == number


def _bounds(place: Place, **bounds: int) -> None:
    place.change({"gateway": {"autoscaling": bounds}})


def test_three_thousand_sockets_through_all_that_happens(
    place: Place, operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    place.apply(_manifest())
    place.until_ready()
    with crowd_at(place) as crowd:
        try:
            _comes_and_goes(place, crowd)
            _a_new_version(place, crowd)
            _an_eviction(place, crowd)
            _the_leader_dies(place, operator, crowd)
            _the_broker_begins_anew(place, crowd)
        finally:
            with capsys.disabled():
                print(crowd.shown())  # noqa: T201 - what a machine makes of it is to be read


def _comes_and_goes(place: Place, crowd: Crowd) -> None:
    crowd.do("come", number=CROWD)
    within(SCENE_SECONDS, lambda: _rests_at(place, 3))
    crowd.judged("3,000 come: 1 → 3 gateways")
    crowd.do("leave", number=CROWD // 2)
    within(SCENE_SECONDS, lambda: _rests_at(place, 2))
    down = crowd.judged("half of them leave: 3 → 2")
    assert down["reconnects"] > 0
    assert down["highest"] <= STRETCH * BUDGET
    crowd.do("come", number=CROWD)
    within(SCENE_SECONDS, lambda: _rests_at(place, 3))
    crowd.do("begin")


def _a_new_version(place: Place, crowd: Crowd) -> None:
    before = set(place.pods("gateway"))
    place.change({"version": NEXT_VERSION})
    within(SCENE_SECONDS, lambda: not before & set(place.pods("gateway")) and place.is_ready())
    told = crowd.judged("a new version")
    assert told["highest"] <= STRETCH * BUDGET


def _an_eviction(place: Place, crowd: Crowd) -> None:
    victim = min(place.pods("gateway"))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim, "namespace": place.name}}
    path = f"/api/v1/namespaces/{place.name}/pods/{victim}/eviction"
    place.cluster.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
    within(SCENE_SECONDS, lambda: place.get("pod", victim) is None and place.is_ready())
    assert crowd.judged("a gateway is evicted")["reconnects"] > 0


def _the_leader_dies(place: Place, operator: Operator, crowd: Crowd) -> None:
    _bounds(place, maxReplicas=2)
    within(READY_SECONDS, lambda: [one for one in _scaling(place)["drains"] if one.get("left")])
    leader = operator.leader()
    place.cluster.kubectl("delete", "pod", leader, "-n", "push-system", "--grace-period=0", "--force")
    within(SCENE_SECONDS, lambda: _rests_at(place, 2))
    told = crowd.judged("the leader dies in a drain: 3 → 2")
    assert operator.leader() != leader
    assert told["highest"] <= STRETCH * BUDGET


def _the_broker_begins_anew(place: Place, crowd: Crowd) -> None:
    before = {name: pod["metadata"]["uid"] for name, pod in place.pods("gateway").items()}
    place.kubectl("delete", "pod", "chat-nats-0", "--wait=true")
    within(READY_SECONDS, place.is_ready)
    crowd.judged("the broker begins anew")
    assert {name: pod["metadata"]["uid"] for name, pod in place.pods("gateway").items()} == before
