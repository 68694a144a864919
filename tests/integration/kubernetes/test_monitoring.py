"""Every query of every dashboard and every rule, asked of a real Prometheus that has read a real run: a platform on
this machine with clients, and an operator that looks after a PushCluster of the same name."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from aiohttp import ClientSession
from tests.e2e.running import MANIFEST, ROOT, Account, Running, running_platform
from tests.integration.kubernetes.conftest import StartOperator
from tests.support.chat import Client
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.prometheus import Json, Prometheus, prometheus
from websockets.asyncio.client import connect

from push_operator.model import parse
from push_operator.plan.build import build
from push_operator.render.alerts import groups
from push_operator.render.build import render
from push_operator.render.dashboards import dashboards
from push_operator.render.objects import COMPONENT, Images, Object, Owner
from push_operator.render.panels import RATE

NAME: Final = "chat"  # of the platform's manifest
PAUSE_SECONDS: Final = 0.05  # between two messages
HAPPENS_NOT: Final = 'status="5xx"'  # nothing fails here, and what never was has no series
SUFFIX: Final = re.compile(r"_(total|bucket|count|sum)$")
PAGE: Final = ROOT / "docs" / "monitoring.md"
PAYLOAD: Final = {"text": "Hello!"}


@pytest.fixture(scope="module")
def platform() -> Iterator[Running]:
    # Not pytest's own folder: its long names leave no room for a socket's path (108 bytes).
    with tempfile.TemporaryDirectory(prefix="push-") as folder, running_platform(Path(folder)) as running:
        yield running


@pytest.fixture
def operator(namespace: Namespace, start_operator: StartOperator) -> OperatorProcess:
    """One that leads, and has told of its PushCluster."""
    started = start_operator()
    started.until_ready()
    namespace.create(yaml.safe_load(MANIFEST.read_text(encoding="utf-8")))
    namespace.until(lambda: "push_cluster_condition{" in started.answer("/metrics")[1])
    return started


# What there is to read ------------------------------------------------------------------------------------------------


def _objects(owner: Owner) -> tuple[Object, ...]:
    body = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    body["spec"]["monitoring"] = {"serviceMonitor": True, "rules": True, "dashboards": True}
    return render(owner, build(parse(body)), Images("w", "n", "v", "c"))


def _pods(owner: Owner) -> dict[str, dict[str, str]]:
    """The labels of each component's pods, as Prometheus' discovery names them."""
    found = {}
    for one in _objects(owner):
        if one["kind"] in ("Deployment", "StatefulSet"):
            labels = one["spec"]["template"]["metadata"]["labels"]
            found[labels[COMPONENT]] = {
                f"__meta_kubernetes_pod_label_{re.sub('[^a-zA-Z0-9]', '_', name)}": value
                for name, value in labels.items()
            }
    return found


async def _jobs(owner: Owner, platform: Running, operator: OperatorProcess) -> list[Json]:
    """The platform's processes as pods that the PodMonitor finds, and the operator."""
    (monitor,) = (one for one in _objects(owner) if one["kind"] == "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    pods = _pods(owner)
    targets = [
        {"targets": [admin], "labels": {**pods[component], "namespace": owner.namespace, "pod": name}}
        for name, (component, admin) in (await platform.ports()).items()
    ]
    relabelings = [
        {"action": one["action"], "source_labels": one["sourceLabels"], "target_label": one["targetLabel"]}
        for one in endpoint["relabelings"]
    ]
    own = [{"targets": [operator.address], "labels": {"namespace": "push-system", "pod": "push-operator-1"}}]
    return [
        {"job_name": "chat", "metrics_path": endpoint["path"], "static_configs": targets,
         "relabel_configs": relabelings},
        {"job_name": "push-operator", "static_configs": own},
    ]  # fmt: skip


# What happens meanwhile -----------------------------------------------------------------------------------------------


class Crowd:
    """Three users: ann writes to bob, who listens, and to dora, who is away; all of them ask this and that."""

    def __init__(self, platform: Running, http: ClientSession) -> None:
        self._platform, self._http = platform, http

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        ann, bob, dora = [await self._platform.register(self._http) for _ in range(3)]
        async with self._socket(ann) as writer, self._socket(bob) as reader:
            tasks = [
                asyncio.create_task(self._write(writer, (bob, dora))),
                asyncio.create_task(self._read(reader)),
                asyncio.create_task(self._ask(ann)),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(one) for one in ended] == [asyncio.CancelledError] * 3

    @asynccontextmanager
    async def _socket(self, account: Account) -> AsyncIterator[Client]:
        async with connect(f"{self._platform.socket}?token={account.token}") as socket:
            client = Client(socket)
            await client.expect("welcome")
            yield client

    async def _write(self, client: Client, to: tuple[Account, ...]) -> None:
        number = 0
        while True:
            number += 1
            await client.send(
                type="send_message", id=str(number), recipient_id=to[number % len(to)].user_id, content=PAYLOAD
            )
            await client.answer(str(number))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, client: Client) -> None:
        while True:
            await client.expect("message", within=30)

    async def _ask(self, account: Account) -> None:
        """What each service answers, what it refuses, and a socket that comes and goes."""
        routes = (("auth", "/auth/me"), ("message", "/conversations"), ("presence", "/presence"), ("push", "/devices"))
        headers = {"Authorization": f"Bearer {account.token}"}
        while True:
            for service, path in routes:
                for given in (headers, {}):
                    async with self._http.get(self._platform.url(service, path), headers=given) as answer:
                        await answer.read()
            async with self._socket(account):
                await asyncio.sleep(PAUSE_SECONDS)


# What is asked --------------------------------------------------------------------------------------------------------


def _queries(owner: Owner) -> dict[str, str]:
    """Every query, by the panel that has it."""
    return {
        f"{name}: {panel['title']} {target['refId']}": target["expr"].replace(RATE, "15s")
        for name, board in dashboards(owner).items()
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }


def _rules(owner: Owner) -> list[Object]:
    return [rule for group in groups(owner, 330) for rule in group["rules"]]


def _often(owner: Owner) -> list[Object]:
    """The groups as they are, but computed as often as is read here."""
    return [{**group, "interval": "1s"} for group in groups(owner, 330)]


def _empty(asked: Prometheus, queries: dict[str, str]) -> list[str]:
    return [panel for panel, query in queries.items() if HAPPENS_NOT not in query and not asked.query(query)]


def _unhealthy(asked: Prometheus) -> list[Any]:
    rules = [rule for group in asked.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 30
    return [(rule["name"], rule["health"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"]


def _named(text: str) -> set[str]:
    """The metrics that an expression reads."""
    return set(re.findall(r"\b(?:push|process)_[a-z0-9_]+(?=\{|\[|\)|$)", text)) - {"push_operator"}


def _known(asked: Prometheus) -> set[str]:
    """What was read, and the families that were told without a number, as there was nothing to count."""
    return asked.names() | set(asked.ask("metadata"))


def _undocumented(known: set[str]) -> list[str]:
    """Families that the page about them does not name; there `…_x` stands for one that begins as the one before."""
    text = PAGE.read_text(encoding="utf-8")
    told = set(re.findall(r"push_[a-z0-9_]+", text))
    for line in text.splitlines():
        named = re.findall(r"`(push_[a-z]+_|…_)([a-z0-9_]*)", line)
        began = ""
        for head, rest in named:
            began = head if head != "…_" else began
            told.add(began + rest)
    told = {SUFFIX.sub("", name) for name in told}
    return sorted({SUFFIX.sub("", name) for name in known if name.startswith("push_") and not _is_made(name)} - told)


def _is_made(name: str) -> bool:
    """By the client library itself: when a counter began."""
    return name.endswith("_created")


async def _until(holds: Any, seconds: float = 90.0) -> Any:
    """The first falsy answer, asked in a thread: what is still wrong at the end is shown."""
    deadline = asyncio.get_running_loop().time() + seconds
    while wrong := await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < deadline, wrong
        await asyncio.sleep(0.5)


async def test_every_query_and_every_rule_finds_what_it_asks_for(
    namespace: Namespace, operator: OperatorProcess, platform: Running, http: ClientSession, tmp_path: Path
) -> None:
    owner = Owner(namespace.name, NAME, "0000-1111")
    queries = _queries(owner)
    jobs = await _jobs(owner, platform, operator)
    async with Crowd(platform, http).busy():
        with prometheus(tmp_path / "prometheus", jobs, _often(owner)) as asked:
            await _until(lambda: _empty(asked, queries))
            await _until(lambda: _unhealthy(asked))
            for rule in _rules(owner):
                found = await asyncio.to_thread(asked.query, rule["expr"])
                assert found or "alert" in rule, rule
            known = await asyncio.to_thread(_known, asked)
            firing = await asyncio.to_thread(asked.query, 'ALERTS{alertstate="firing"}')
    used = {name for text in (*queries.values(), *(rule["expr"] for rule in _rules(owner))) for name in _named(text)}
    assert len(used) > 40
    assert not [name for name in used if name not in known and SUFFIX.sub("", name) not in known]
    assert not firing
    assert not _undocumented(known)


def test_a_query_of_a_metric_that_is_not_there_would_be_found_out(tmp_path: Path) -> None:
    """The check itself: against a Prometheus that reads nobody."""
    owner = Owner("apps", NAME, "0000-1111")
    with prometheus(tmp_path / "prometheus", [], []) as asked:
        assert len(_empty(asked, _queries(owner))) > 60
        with pytest.raises(AssertionError, match="parse error"):
            asked.query("sum(push_ready{")
        assert "push_ready" not in _known(asked)
