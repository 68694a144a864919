"""Three thousand sockets on a real cluster, while the operator scales, rolls, drains, dies, and the broker goes away.

Nothing that was acknowledged may be lost, nobody may be left without a connection, and the clients that are sent
elsewhere may not come faster than the budget allows. Each scene begins with everybody there and three gateways at rest.
What came out is printed as a table.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest

from push_operator.model import DEFAULT_VERSION
from tests.e2e.kubernetes.gateways import Gateways, Seen, watched_gateways
from tests.e2e.kubernetes.place import SYSTEM, Object, Operator, Place, small
from tests.support.cluster.images import NEXT_VERSION
from tests.support.cluster.running import Cluster
from tests.support.waiting import within

CROWD: Final = 3000
FULL: Final = 3  # gateways for them: 1,500 each, less a fifth of headroom
HALF: Final = 2
BUDGET: Final = 60  # reconnects a second, of the manifest
STRETCH: Final = 1.2  # of ten seconds' rate over the budget; and what was held up in these comes on top of them
RATE_SECONDS: Final = 10.0
SCENE_SECONDS: Final = 300.0
DISORDER: Final = "disorder"
NEVER: Final = ("stranded", "lost", "twice", "unsent")
_COLUMNS: Final = (
    ("clients", "clients"), ("reconnects", "came back"), ("p50", "p50 s"), ("p95", "p95 s"), ("longest", "max s"),
    ("asked", "asked/s"), ("back", "back/s"), ("highest", "in 1 s"), ("budget", "budget/s"), ("late", "late s"),
    ("fewest", "serving"), ("acked", "acked"), ("lost", "lost"), ("twice", "twice"), ("disorder", "disorder"),
    ("untold", "untold"), ("stranded", "stranded"),
)  # fmt: skip
Figures = dict[str, Any]


class Crowd:
    """The process of the clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, what: str, **more: Any) -> Figures:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the crowd ended when it was told to {what}"
        answer: Figures = json.loads(line)
        return answer


class Stage:
    """The platform, its gateways, its clients, and what came of each scene."""

    def __init__(self, place: Place, gateways: Gateways, crowd: Crowd) -> None:
        self.place, self.gateways, self.crowd = place, gateways, crowd
        self.table: list[tuple[str, Figures]] = []

    def full(self) -> None:
        """Everybody is there, nothing moves; a scene begins."""
        self.crowd.do("come", number=CROWD)
        self.until(lambda: self.gateways.rests_at(FULL))
        self.begin()

    def another_version(self) -> None:
        """Of all services, with the same content."""
        running = self.gateways.platform["spec"]["version"]
        self.place.change({"version": NEXT_VERSION if running == DEFAULT_VERSION else DEFAULT_VERSION})

    def begin(self) -> None:
        self.crowd.do("begin")
        self.gateways.begin()

    def until(self, holds: Callable[[], object]) -> None:
        try:
            within(SCENE_SECONDS, holds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.place.told()}") from error

    def judged(self, scene: str, *also: str) -> tuple[Figures, Seen]:
        """What came of a scene, with what must hold in every one of them, and `also`."""
        seen, figures = self.gateways.seen, self.crowd.do("figures")
        figures["stranded"] = figures["clients"] - figures["connected"]
        figures["budget"], figures["fewest"] = min(seen.budgets, default=BUDGET), seen.fewest
        self.table.append((scene, figures))
        wrong = {name: figures[name] for name in (*NEVER, *also) if figures[name]}
        assert not wrong, (scene, figures)
        return figures, seen

    def shown(self) -> str:
        head = f"\n{'':36}" + "".join(f"{title:>10}" for _, title in _COLUMNS)
        rows = [f"{scene:36}" + "".join(f"{told[key]:>10}" for key, _ in _COLUMNS) for scene, told in self.table]
        why = [f"{scene}: {told['reasons']}" for scene, told in self.table if told["reasons"]]
        return "\n".join([head, *rows, *why, ""])


@contextmanager
def crowd_at(place: Place) -> Iterator[Crowd]:
    secret = place.get("secret", "chat-credentials")["data"]["SIGNING_KEY_0"]
    environ = place.cluster.environ | {"SIGNING_KEY_0": base64.b64decode(secret).decode()}
    url = f"ws://{place.outside('gateway')}/ws"
    with subprocess.Popen([sys.executable, "-m", "tests.support.crowd", url], env=environ, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # fmt: skip
        try:
            yield Crowd(process)
        finally:
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # what a crowd that died was told, and never read
                process.stdin.close()
            process.wait(60)


@pytest.fixture(scope="module")
def stage(cluster: Cluster, operator: Operator, request: pytest.FixtureRequest) -> Iterator[Stage]:
    place = Place(cluster, "autopilot")
    try:
        place.apply(_manifest())
        place.until_ready()
        with watched_gateways(place) as gateways, crowd_at(place) as crowd:
            made = Stage(place, gateways, crowd)
            yield made
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(made.shown())  # noqa: T201 - what a machine makes of it is to be read
    finally:
        place.remove()  # or its pods keep their share of the machine from the tests that follow


def _manifest() -> Object:
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


def _paced(figures: Figures) -> None:
    """Everybody who went was asked to, and no faster than may be."""
    assert figures["reconnects"] > 0, figures
    assert figures["untold"] == 0, figures
    assert max(figures["asked"], figures["back"]) <= BUDGET * (STRETCH + figures["late"] / RATE_SECONDS), figures


def test_gateways_come_with_the_crowd(stage: Stage) -> None:
    stage.begin()
    stage.crowd.do("come", number=CROWD)
    stage.until(lambda: stage.gateways.rests_at(FULL))
    figures, _ = stage.judged("3,000 come: 1 → 3 gateways", DISORDER)
    assert figures["reconnects"] == 0  # those who are there stay where they are


def test_a_new_version_comes_one_gateway_after_the_other(stage: Stage) -> None:
    stage.full()
    before = stage.gateways.staying
    stage.another_version()
    stage.until(lambda: not before & stage.gateways.pods.keys() and stage.gateways.rests_at(FULL))
    figures, seen = stage.judged("a new version", DISORDER)
    _paced(figures)
    assert figures["reconnects"] >= CROWD
    assert seen.fewest >= FULL


def test_gateways_go_when_half_of_the_crowd_has_left(stage: Stage) -> None:
    stage.full()
    stage.crowd.do("leave", number=CROWD // 2)
    stage.until(lambda: stage.gateways.rests_at(HALF))
    figures, seen = stage.judged("half of them leave: 3 → 2", DISORDER)
    _paced(figures)
    assert len(seen.gone) == 1


def test_an_evicted_gateway_says_goodbye_first(stage: Stage) -> None:
    stage.full()
    victim = stage.gateways.oldest
    meta = {"name": victim, "namespace": stage.place.name}
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta})
    path = f"/api/v1/namespaces/{stage.place.name}/pods/{victim}/eviction"
    stage.place.cluster.kubectl("create", "--raw", path, "-f", "-", text=eviction)
    stage.until(lambda: victim not in stage.gateways.pods and stage.gateways.rests_at(FULL))
    figures, seen = stage.judged("a gateway is evicted", DISORDER)
    _paced(figures)
    assert seen.fewest >= FULL - 1
    assert len(seen.gone) == 1


def test_a_drain_goes_on_when_the_leader_dies(stage: Stage, operator: Operator) -> None:
    stage.full()
    before = stage.gateways.staying
    within(60, lambda: operator.leader() in operator.pods())
    leader = operator.leader()
    stage.another_version()
    stage.until(lambda: stage.gateways.drains)
    stage.place.cluster.kubectl("-n", SYSTEM, "delete", "pod", leader, "--grace-period=0", "--force")
    stage.until(lambda: not before & stage.gateways.pods.keys() and stage.gateways.rests_at(FULL))
    figures, seen = stage.judged("the leader dies in a rollout's drain", DISORDER)
    assert operator.leader() not in ("", leader)
    _paced(figures)
    assert seen.fewest >= FULL


def test_a_broker_that_begins_anew_costs_no_gateway(stage: Stage) -> None:
    stage.full()
    stage.place.kubectl("delete", "pod", "chat-nats-0", "--wait=false")
    stage.until(lambda: not stage.gateways.is_ready())
    stage.until(lambda: stage.gateways.rests_at(FULL))
    acked = stage.crowd.do("figures")["acked"]
    stage.until(lambda: stage.crowd.do("figures")["acked"] > acked + 100)
    # Who was refused for that moment sends again, behind what was taken meanwhile.
    _, seen = stage.judged("the broker begins anew")
    assert not seen.gone
