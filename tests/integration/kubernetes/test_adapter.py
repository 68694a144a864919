"""The Kubernetes adapter by itself, without watches: what it writes, and what it leaves alone."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from typing import Any

import pytest
from tests.support.kube import ApiServer
from tests.support.namespace import Namespace
from tests.support.overlays import full_overlay
from tests.support.verdicts import manifest
from tests.support.waiting import eventually

from push_operator.cluster.kubernetes.adapter import KubernetesCluster
from push_operator.cluster.kubernetes.api import Api, Count, connected
from push_operator.cluster.kubernetes.kinds import LISTED, PODS
from push_operator.cluster.kubernetes.nodes import KnownNodes
from push_operator.cluster.kubernetes.units import Node
from push_operator.config import DEFAULT_IMAGES
from push_operator.errors import ClusterError, Conflict, NotFound, NotLeading, Rejected
from push_operator.fleet.values import Mark, Why
from push_operator.model import SERVICES, parse
from push_operator.plan.build import build, with_secrets
from push_operator.plan.observed import Observed, Unit
from push_operator.plan.workload import Plan
from push_operator.render import workloads

KEY_NAME = "chat"
TRIES = 5


class Bench:
    """An adapter that is driven as the control loop drives it; `writes` are its requests that change something."""

    def __init__(self, make: Callable[[Callable[[], None], Count], Api], place: Namespace) -> None:
        self.writes: list[tuple[str, str]] = []
        self.secrets_read = 0
        self.leads = True
        self.place = place
        self.key = f"{place.name}/{KEY_NAME}"
        self.api = make(self._fence, self._count)
        self.cluster = KubernetesCluster(self.api, DEFAULT_IMAGES, (place.name,), 300)

    def _fence(self) -> None:
        if not self.leads:
            raise NotLeading("not the leader")

    def _count(self, verb: str, resource: str, status: str, seconds: float) -> None:
        self.secrets_read += (verb, resource) == ("get", "secrets")
        if verb not in ("get", "list", "discover") and status == "2xx":  # what was refused came to nothing
            self.writes.append((verb, resource))

    async def apply(
        self, *, relist: bool = True, changed: Callable[[Plan], Plan] = lambda plan: plan
    ) -> list[tuple[str, str]]:
        """Lists, observes and applies once, as the loop does: when a controller was quicker, again. Returns the writes
        of it."""
        self.writes.clear()
        for left in reversed(range(TRIES)):
            self.secrets_read = 0
            if relist or left < TRIES - 1:
                await self.cluster.feed.relist(LISTED)
            try:
                await self._apply(changed)
            except Conflict:
                if not left:
                    raise
            else:
                break
        return list(self.writes)

    async def _apply(self, changed: Callable[[Plan], Plan]) -> None:
        observed = await self.cluster.observe(self.key)
        assert observed.body is not None
        plan = build(parse(observed.body))
        plan = with_secrets(plan, await self.cluster.secrets(self.key, plan))
        await self.cluster.apply(self.key, changed(plan))

    async def settled(self) -> None:
        """Until the gateways' Deployments are as they stay: each is paused once its ReplicaSet is there."""
        path = self.place.apps("deployments")

        async def paused() -> bool:
            await self.apply()
            sets = [one for one in self.place.items(path) if "-gateway-" in one["metadata"]["name"]]
            return all(one["spec"].get("paused") for one in sets)

        await eventually(paused, within=20)

    async def observed(self) -> Observed:
        await self.cluster.feed.relist(LISTED)
        return await self.cluster.observe(self.key)

    async def serving(self, spec: dict[str, Any]) -> Observed:
        """A platform of which all that is asked for runs."""
        self.place.create(manifest(**spec))
        await self.settled()

        async def whole() -> Observed | None:
            self.place.settle()
            observed = await self.observed()
            asked = sum(one.replicas for one in observed.sets)
            return observed if sum(unit.ready for unit in gateways(observed)) == asked else None

        found: Observed = await eventually(whole)
        return found

    def change(self, spec: dict[str, Any]) -> None:
        self.place.server.merge(self.place.push(), {"spec": spec})

    def succeeded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By an operator that renders every pod otherwise, and knows nothing yet."""
        monkeypatch.setattr(workloads, "STOP_MARGIN_SECONDS", workloads.STOP_MARGIN_SECONDS + 1)
        self.cluster = KubernetesCluster(self.api, DEFAULT_IMAGES, (self.place.name,), 300)

    def gateway_sets(self) -> set[str]:
        return {name for name in self.place.names(self.place.apps("deployments")) if "-gateway-" in name}


def gateways(observed: Observed) -> tuple[Unit, ...]:
    return tuple(unit for unit in observed.units if unit.component == "gateway")


@pytest.fixture
async def bench(namespace: Namespace) -> AsyncIterator[Bench]:
    async with connected(str(namespace.server.kubeconfig)) as client:
        yield Bench(lambda fence, count: Api(client, fence, count), namespace)


async def test_a_second_apply_writes_nothing(bench: Bench) -> None:
    resources = {"requests": {"cpu": "1000m", "memory": "1024Mi"}, "limits": {"memory": 2147483648}}
    bench.place.create(manifest(presence={"replicas": 2, "resources": resources}, image={"pullSecrets": ["registry"]}))
    assert len(await bench.apply()) > 30
    await bench.settled()
    assert await bench.apply() == []


async def test_all_that_may_be_laid_over_pods_is_taken_and_stays_as_it_was_said(bench: Bench) -> None:
    """Otherwise every reconcile would write it anew."""
    spec: dict[str, Any] = {one: {"podTemplate": full_overlay(one)} for one in SERVICES}
    bench.place.create(manifest(**spec | {"gateway": {"replicas": 2, **spec["gateway"]}}))
    await bench.apply()
    await bench.settled()
    assert await bench.apply() == []
    pod = bench.place.server.get(bench.place.apps("deployments", "chat-auth"))["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["auth", "logs"]


async def test_what_is_laid_over_pods_passes_the_strictest_standard(bench: Bench) -> None:
    place = bench.place
    label = "pod-security.kubernetes.io/enforce"
    place.server.merge(f"/api/v1/namespaces/{place.name}", {"metadata": {"labels": {label: "restricted"}}})
    place.create(manifest(auth={"podTemplate": full_overlay("auth")}))
    await bench.apply()
    template = place.server.get(place.apps("deployments", "chat-auth"))["spec"]["template"]
    # Classes that this cluster lacks are another matter.
    others = ("priorityClassName", "runtimeClassName")
    pod = {name: value for name, value in template["spec"].items() if name not in others}
    body = {"metadata": {"name": "tried", "labels": template["metadata"]["labels"]}, "spec": pod}
    status, answer = place.server.ask("POST", place.path("pods") + "?dryRun=All", body)
    assert status == 201, answer
    pod["containers"][1]["securityContext"].pop("capabilities")
    assert place.server.ask("POST", place.path("pods") + "?dryRun=All", body)[0] == 403


async def test_an_edit_of_what_is_laid_over_is_taken_back_and_rolls_that_service_alone(bench: Bench) -> None:
    bench.place.create(manifest(push={"podTemplate": {"spec": {"nodeSelector": {"disk": "ssd"}}}}))
    await bench.settled()
    before = _templates(bench.place)
    bench.change({"push": None})
    assert Counter(await bench.apply()) == _rolled(1, bench.place, before)
    after = _templates(bench.place)
    assert {one for one, template in after.items() if before[one] != template} == {"chat-push"}
    assert "disk" not in after["chat-push"]


async def test_only_what_differs_is_written(bench: Bench) -> None:
    bench.place.create(manifest())
    await bench.settled()
    place, merge = bench.place, bench.place.server.merge
    merge(place.path("configmaps", "chat-nats-config"), {"data": {"nats.conf": "changed", "other": "stays"}})
    merge(
        place.apps("deployments", "chat-auth"), {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}
    )
    assert sorted(await bench.apply()) == [("patch", "configmaps"), ("patch", "deployments")]
    data = place.server.get(place.path("configmaps", "chat-nats-config"))["data"]
    assert (data["other"], "jetstream" in data["nats.conf"]) == ("stays", True)
    assert await bench.apply() == []


async def test_what_is_no_longer_said_is_taken_back(bench: Bench) -> None:
    bench.place.create(manifest(image={"pullSecrets": ["registry"]}, presence={"resources": {"limits": {"cpu": 2}}}))
    await bench.apply()
    bench.change({"image": None, "presence": None})
    await bench.apply()
    pod = bench.place.server.get(bench.place.apps("deployments", "chat-presence"))["spec"]["template"]["spec"]
    assert "imagePullSecrets" not in pod
    assert "cpu" not in pod["containers"][0]["resources"]["limits"]


async def test_generated_values_are_never_made_anew(bench: Bench) -> None:
    bench.place.create(manifest())
    await bench.apply()
    path = bench.place.path("secrets", "chat-credentials")
    before = bench.place.server.get(path)
    bench.change({"version": "0.2.0", "tokens": {"accessTokenTtlSeconds": 60}})
    await bench.apply()
    after = bench.place.server.get(path)
    assert after["data"] == before["data"]
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert len(set(after["data"].values())) == 10
    # As an operator left it that knew no service credential: that one is added, and nothing else changes.
    bench.place.server.merge(path, {"data": {"SERVICE_KEY": None}})
    await bench.apply()
    upgraded = bench.place.server.get(path)["data"]
    assert upgraded["SERVICE_KEY"] != after["data"]["SERVICE_KEY"]
    assert {**after["data"], "SERVICE_KEY": upgraded["SERVICE_KEY"]} == upgraded


def _secret(place: Namespace, name: str, **values: str) -> None:
    place.server.must("POST", place.path("secrets"), {"metadata": {"name": name}, "stringData": values})


async def test_a_rotated_secret_rolls_those_that_use_it_and_nothing_else(bench: Bench) -> None:
    place = bench.place
    _secret(place, "bus", password="one")
    _secret(place, "keys", JWT_SECRET="k" * 32, other="one")
    bus = {"url": "nats://elsewhere:4222", "credentialsSecret": "bus"}
    place.create(manifest(nats=bus, tokens={"signingKeysSecret": "keys"}))
    await bench.settled()
    assert await bench.apply() == []
    assert bench.secrets_read == 4  # the user's once each; our own to plan with, and again before it might be written

    def rolled(before: dict[str, str]) -> set[str]:
        return {one for one, template in _templates(place).items() if before.get(one) != template}

    before = _templates(place)
    place.server.merge(place.path("secrets", "keys"), {"stringData": {"other": "two"}})
    assert await bench.apply() == []
    place.server.merge(place.path("secrets", "bus"), {"stringData": {"password": "two"}})
    assert Counter(await bench.apply()) == _rolled(4, place, before)
    (gateway,) = rolled(before) - {"chat-message", "chat-presence", "chat-push"}
    assert gateway.startswith("chat-gateway-")
    assert before.keys() <= _templates(place).keys()  # the old gateways go when they have been emptied
    await bench.settled()
    assert await bench.apply() == []

    before = _templates(place)
    place.server.merge(place.path("secrets", "bus"), {"stringData": {"username": "optional, and now there"}})
    # The gateways in between were never asked for any: they go at once. Of each a way back is kept, and no two.
    removed = {("delete", "deployments"): 1, ("delete", "controllerrevisions"): 3}
    assert Counter(await bench.apply()) == _rolled(4, place, before) + Counter(removed)
    before = _templates(place)
    place.server.merge(place.path("secrets", "keys"), {"stringData": {"JWT_SECRET": "j" * 32}})
    removed = {("delete", "deployments"): 1, ("delete", "controllerrevisions"): 4}
    assert Counter(await bench.apply()) == _rolled(5, place, before) + Counter(removed)


def _rolled(number: int, place: Namespace, before: Collection[str]) -> Counter[tuple[str, str]]:
    """The writes that roll so many. One more for a set of gateways that is new and paused by now: something was changed
    between two of the writes, so they were gone through again, and by then its ReplicaSet was there."""
    new = [one for one in place.items(place.apps("deployments")) if one["metadata"]["name"] not in before]
    paused = sum(bool(one["spec"].get("paused")) for one in new)
    return Counter({("patch", "deployments"): number + paused, ("patch", "controllerrevisions"): number})


async def test_the_key_of_the_digests_is_kept_with_the_generated_values(bench: Bench) -> None:
    """Also where there is nothing else to generate; and a Secret that is not there yet changes nothing by coming."""
    _secret(bench.place, "keys", JWT_SECRET="k" * 32, SERVICE_KEY="s" * 32)
    external: dict[str, Any] = {
        "serviceKeySecret": "keys",
        "nats": {"url": "nats://elsewhere:4222"},
        "redis": {"url": "redis://elsewhere:6379"},
    }
    bench.place.create(manifest(tokens={"signingKeysSecret": "keys"}, **external))
    await bench.apply()
    kept = bench.place.server.get(bench.place.path("secrets", "chat-credentials"))["data"]
    assert set(kept) == {"ADMIN_TOKEN", "REFRESH_SECRET", "REVISION_KEY", "VAPID_SEED"}
    before = _templates(bench.place)
    await bench.settled()
    assert _templates(bench.place) == before
    assert bench.place.server.get(bench.place.path("secrets", "chat-credentials"))["data"] == kept


def _templates(place: Namespace) -> dict[str, str]:
    return {
        one["metadata"]["name"]: json.dumps(one["spec"]["template"], sort_keys=True)
        for one in place.items(place.apps("deployments"))
    }


async def test_another_operator_alone_changes_no_pod(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would render every pod otherwise; until something else is asked for, each stays what it is."""
    await bench.serving({})
    await bench.apply()
    await eventually(lambda: len(bench.place.names(bench.place.path("pods"))) == 8)
    before, pods = _all_templates(bench.place), bench.place.names(bench.place.path("pods"))
    assert (await bench.observed()).outdated == ()
    bench.succeeded(monkeypatch)
    assert await bench.apply() == []
    assert _all_templates(bench.place) == before
    assert bench.place.names(bench.place.path("pods")) == pods
    everything = ("nats", "valkey", "gateway", "auth", "message", "presence", "push")
    assert (await bench.observed()).outdated == everything

    # Another version of the services is another revision of those; and back again it is what it was.
    bench.change({"version": "0.2.0"})
    await bench.apply()
    assert (await bench.observed()).outdated == ("nats", "valkey")
    grace = {name: template["spec"]["terminationGracePeriodSeconds"] for name, template in
             _all_templates(bench.place).items()}  # fmt: skip
    assert grace["chat-auth"] == before["chat-auth"]["spec"]["terminationGracePeriodSeconds"] + 1
    assert grace["chat-nats"] == before["chat-nats"]["spec"]["terminationGracePeriodSeconds"]
    assert len([one for one in grace if "-gateway-" in one]) == 2
    bench.change({"version": "0.1.0"})
    await bench.apply()
    assert _all_templates(bench.place) == before
    assert (await bench.observed()).outdated == everything


async def test_a_template_that_nobody_kept_is_taken_from_its_pods(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an operator left them that kept none."""
    bench.place.create(manifest())
    await bench.settled()
    before, path = _all_templates(bench.place), bench.place.apps("controllerrevisions")
    for name in (bench.gateway_sets() | {"chat-auth", "chat-nats"}) & before.keys():
        (kept,) = (one for one in _kept(bench.place) if one.startswith(name))
        bench.place.server.must("DELETE", f"{path}/{kept}")
    bench.succeeded(monkeypatch)
    await bench.apply()
    assert _all_templates(bench.place) == before
    assert len(_kept(bench.place)) == 7
    assert await bench.apply() == []


async def test_a_template_that_is_refused_is_not_kept(bench: Bench) -> None:
    """Whoever renders it better later must not find it."""
    bench.place.create(manifest())

    def overdrawn(plan: Plan) -> Plan:
        resources = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
        return replace(plan, workloads=tuple(replace(one, resources=resources) for one in plan.workloads))

    with pytest.raises(Rejected):
        await bench.apply(changed=overdrawn)
    assert not _kept(bench.place)


def _kept(place: Namespace) -> list[str]:
    """A StatefulSet's own are its own."""
    kept = place.items(place.apps("controllerrevisions"))
    return [one["metadata"]["name"] for one in kept if one["metadata"]["ownerReferences"][0]["kind"] == "PushCluster"]


def _all_templates(place: Namespace) -> dict[str, dict[str, Any]]:
    sets = place.items(place.apps("deployments")) + place.items(place.apps("statefulsets"))
    return {one["metadata"]["name"]: one["spec"]["template"] for one in sets}


async def test_what_stops_being_retained_becomes_owned(bench: Bench) -> None:
    bench.place.create(manifest())
    await bench.apply()
    forget = {"managed": {"retain": False}}
    bench.change({"nats": forget, "redis": forget, "cassandra": {"embedded": {"retain": False}}})
    await bench.apply()
    for path in ("secrets/chat-credentials", "persistentvolumeclaims/chat-auth-data"):
        plural, name = path.split("/")
        owners = bench.place.server.get(bench.place.path(plural, name))["metadata"]["ownerReferences"]
        assert [one["kind"] for one in owners] == ["PushCluster"]


@pytest.mark.parametrize(
    ("plural", "body"),
    [
        ("services", {"metadata": {"name": "chat-auth"}, "spec": {"ports": [{"port": 1}]}}),
        ("secrets", {"metadata": {"name": "chat-credentials"}, "data": {}}),
    ],
)
async def test_what_is_somebody_elses_is_not_taken_over(bench: Bench, plural: str, body: dict[str, Any]) -> None:
    made = bench.place.server.must("POST", bench.place.path(plural), body)
    bench.place.create(manifest())
    with pytest.raises(Rejected, match="is not this PushCluster's"):
        await bench.apply()
    path = bench.place.path(plural, body["metadata"]["name"])
    assert bench.place.server.get(path)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert bench.writes == []


async def test_a_stray_image_replaces_no_gateway(bench: Bench) -> None:
    before = await bench.serving({})
    place, (name,) = bench.place, bench.gateway_sets()
    place.server.kubectl("set", "image", "-n", place.name, f"deployment/{name}", "gateway=stray:1")
    assert set(await bench.apply()) == {("patch", "deployments")}
    image = place.server.get(place.apps("deployments", name))["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "pushcluster/workload:0.1.0"
    assert gateways(await bench.observed()) == gateways(before)


async def test_a_mark_is_one_write_and_stands_on_the_pod(bench: Bench) -> None:
    one, other = gateways(await bench.serving({}))
    bench.writes.clear()
    mark = Mark(Why.ROLLOUT, 1700000000.5)
    await bench.cluster.mark(bench.key, one, mark)
    assert bench.writes == [("patch", "pods")]
    seen = {unit.name: unit.mark for unit in gateways(await bench.cluster.observe(bench.key))}
    assert seen == {one.name: mark, other.name: None}  # before any watch tells
    pod = bench.place.server.get(bench.place.path("pods", one.name))["metadata"]
    assert "pushcluster.io/serving" not in pod["labels"]
    assert pod["annotations"]["controller.kubernetes.io/pod-deletion-cost"] == "-100"
    await bench.cluster.mark(bench.key, one, None)
    assert {unit.mark for unit in gateways(await bench.observed())} == {None}
    pod = bench.place.server.get(bench.place.path("pods", one.name))["metadata"]
    assert pod["labels"]["pushcluster.io/serving"] == "true"
    assert "pushcluster.io/drain" not in pod.get("annotations", {})


async def test_a_mark_is_for_that_pod_and_for_no_other(bench: Bench) -> None:
    one, other = gateways(await bench.serving({}))
    with pytest.raises(Conflict, match="another"):
        await bench.cluster.mark(bench.key, replace(one, uid=other.uid), Mark(Why.ROLLOUT, 1))
    assert {unit.mark for unit in gateways(await bench.observed())} == {None}
    with pytest.raises(NotFound):
        await bench.cluster.mark(bench.key, replace(one, name="chat-gateway-none"), Mark(Why.ROLLOUT, 1))


async def test_a_smaller_set_loses_whom_it_should_or_nobody(bench: Bench) -> None:
    before = await bench.serving({"gateway": {"replicas": 4}})
    (four,) = before.sets
    _, marked, also, _ = gateways(before)
    with pytest.raises(Conflict, match="might lose"):  # nobody is marked: it could be any of them
        await bench.cluster.resize(bench.key, four, 3, frozenset({marked.name}))
    for unit in (marked, also):
        await bench.cluster.mark(bench.key, unit, Mark(Why.SCALE_DOWN, 1))
    with pytest.raises(Conflict, match="might lose"):
        await bench.cluster.resize(bench.key, four, 1, frozenset({marked.name, also.name}))
    assert len(gateways(await bench.observed())) == 4
    await bench.cluster.resize(bench.key, four, 2, frozenset({marked.name, also.name}))
    assert [one.replicas for one in (await bench.cluster.observe(bench.key)).sets] == [2]  # before any watch tells

    async def left() -> set[str]:
        return {unit.name for unit in gateways(await bench.observed())}

    async def fewer() -> bool:
        return len(await left()) == 2

    await eventually(fewer)
    assert await left() == {unit.name for unit in gateways(before)} - {marked.name, also.name}
    bench.writes.clear()
    await bench.apply()
    assert [one.replicas for one in (await bench.observed()).sets] == [2]  # the manifest still says 4
    assert ("patch", "deployments") not in bench.writes


async def test_one_that_is_not_ready_goes_before_those_that_are_marked(bench: Bench) -> None:
    """The ReplicaSet takes it first, whatever our mark says: nothing may be taken then."""
    before = await bench.serving({"gateway": {"replicas": 3}})
    marked, sick, _ = gateways(before)
    await bench.cluster.mark(bench.key, marked, Mark(Why.SCALE_DOWN, 1))
    bench.place.server.merge(
        bench.place.path("pods", f"{sick.name}/status"),
        {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
    )
    with pytest.raises(Conflict, match=f"might lose {sick.name}"):
        await bench.cluster.resize(bench.key, before.sets[0], 2, frozenset({marked.name}))
    gone = frozenset({sick.name})
    await bench.cluster.resize(bench.key, (await bench.observed()).sets[0], 2, gone)

    async def taken() -> bool:
        return sick.name not in {unit.name for unit in gateways(await bench.observed())}

    await eventually(taken)
    assert marked.name in {unit.name for unit in gateways(await bench.observed())}


async def test_a_set_that_is_another_by_now_keeps_its_size(bench: Bench) -> None:
    before = await bench.serving({})
    (name,), (two,) = bench.gateway_sets(), before.sets
    bench.place.server.kubectl("scale", "-n", bench.place.name, f"deployment/{name}", "--replicas=5")
    with pytest.raises(Conflict, match="have changed"):
        await bench.cluster.resize(bench.key, two, 3, frozenset())
    (five,) = (await bench.cluster.observe(bench.key)).sets
    assert five.replicas == 5
    await bench.cluster.resize(bench.key, five, 7, frozenset())
    assert bench.place.server.get(bench.place.apps("deployments", name))["spec"]["replicas"] == 7
    bench.place.server.must("DELETE", bench.place.apps("deployments", name))
    with pytest.raises(Conflict, match="are gone"):
        await bench.cluster.resize(bench.key, (await bench.cluster.observe(bench.key)).sets[0], 3, frozenset())


async def test_an_apply_that_knows_an_old_size_brings_it_not_back(bench: Bench) -> None:
    await bench.serving({})
    (name,) = bench.gateway_sets()
    path, server = bench.place.apps("deployments", name), bench.place.server
    server.merge(path, {"metadata": {"labels": {"pushcluster.io/revision": None}}})
    await bench.observed()
    server.kubectl("scale", "-n", bench.place.name, f"deployment/{name}", "--replicas=5")
    # Once more when it meets a word of the Deployment's status.
    assert set(await bench.apply(relist=False)) == {("patch", "deployments")}
    live = server.get(path)
    assert live["spec"]["replicas"] == 5
    assert "pushcluster.io/revision" in live["metadata"]["labels"]


async def test_another_revision_begins_empty_and_the_old_one_goes_when_it_is(bench: Bench) -> None:
    await bench.serving({})
    (old,), place = bench.gateway_sets(), bench.place
    bench.change({"version": "0.2.0", "gateway": {"replicas": 3}})
    await bench.apply()
    sizes = {one.revision: one for one in (await bench.observed()).sets}
    (new,) = sizes.keys() - {old.rpartition("-")[2]}
    before = sizes[old.rpartition("-")[2]]
    assert (sizes[new].replicas, before.replicas) == (0, 2)
    held = gateways(await bench.observed())
    for unit in held:  # on a node, which has no kubelet here: they stay as long as they say goodbye
        binding = {"metadata": {"name": unit.name}, "target": {"kind": "Node", "name": "n"}}
        place.server.must("POST", place.path("pods", f"{unit.name}/binding"), binding)
    await bench.cluster.resize(bench.key, before, 0, frozenset(unit.name for unit in held))

    async def leaving() -> bool:
        return len((await bench.observed()).leaving) == 2

    await eventually(leaving)
    assert gateways(await bench.observed()) == ()
    await bench.apply()
    assert old in bench.gateway_sets()
    for unit in held[1:]:
        place.server.must("DELETE", place.path("pods", unit.name), {"gracePeriodSeconds": 0})
    await bench.apply()
    assert old in bench.gateway_sets()
    # One that the snapshot knows nothing of yet holds it, too.
    await bench.observed()
    bench.cluster.feed.see(PODS, place.server.get(place.path("pods", held[0].name)), gone=True)
    await bench.apply(relist=False)
    assert old in bench.gateway_sets()
    place.server.must("DELETE", place.path("pods", held[0].name), {"gracePeriodSeconds": 0})
    assert ("delete", "deployments") in await bench.apply()
    assert bench.gateway_sets() == {f"chat-gateway-{new}"}


async def test_orders_to_gateways_are_good_by_a_generated_token(bench: Bench) -> None:
    bench.place.create(manifest())
    await bench.observed()
    assert await bench.cluster.admin_token(bench.key) == ""
    await bench.apply()
    kept = bench.place.server.get(bench.place.path("secrets", "chat-credentials"))["data"]["ADMIN_TOKEN"]
    assert await bench.cluster.admin_token(bench.key) == base64.b64decode(kept).decode()
    assert await bench.cluster.admin_token("elsewhere/chat") == ""


async def test_where_the_broker_is_watched(bench: Bench) -> None:
    bench.place.create(manifest())
    await bench.apply()
    assert (await bench.observed()).bus == f"http://chat-nats.{bench.place.name}.svc:8222"


async def test_nodes_are_known_where_they_may_be_asked_for(bench: Bench) -> None:
    server, name = bench.place.server, f"node-of-{bench.place.name}"
    server.must("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": "z"}},
                                          "spec": {"unschedulable": True}})  # fmt: skip
    try:
        asked = KnownNodes(bench.api, 300, allowed=True)
        assert (await asked.known(busy=False))[name] == Node(cordoned=True, zone="z")
        server.merge(f"/api/v1/nodes/{name}", {"spec": {"unschedulable": None}})
        assert (await asked.known(busy=True))[name].cordoned  # it has just been asked
        assert not (await KnownNodes(bench.api, 300, allowed=True).known(busy=True))[name].cordoned
        assert await KnownNodes(bench.api, 300, allowed=False).known(busy=True) == {}
    finally:
        server.must("DELETE", f"/api/v1/nodes/{name}")


async def test_who_may_not_ask_for_nodes_does_without(bench: Bench) -> None:
    server = bench.place.server
    token = server.kubectl("create", "token", "default", "-n", bench.place.name).strip()
    asked: list[str] = []
    async with connected(str(server.kubeconfig_for(token, "nobody"))) as client:
        api = Api(client, lambda: None, lambda verb, resource, *_: asked.append(f"{verb} {resource}"))
        nodes = KnownNodes(api, 0, allowed=True)
        assert await nodes.known(busy=True) == {}
        assert await nodes.known(busy=False) == {}
    assert asked == ["list nodes"]


async def test_what_belonged_to_an_earlier_one_is_waited_for(bench: Bench) -> None:
    """The garbage collector has not come by yet: its objects must not be adopted, they are about to go."""
    labels = {"app.kubernetes.io/managed-by": "push-operator", "app.kubernetes.io/instance": "chat"}
    earlier = bench.place.create(manifest("earlier"))
    owner = {"apiVersion": "pushcluster.io/v1alpha1", "kind": "PushCluster", "name": "earlier",
             "uid": earlier["metadata"]["uid"]}  # fmt: skip
    meta = {"name": "chat-auth", "labels": labels, "ownerReferences": [owner]}
    bench.place.server.must("POST", bench.place.path("serviceaccounts"), {"metadata": meta})
    bench.place.create(manifest())
    with pytest.raises(ClusterError, match="of the deleted chat is still there"):
        await bench.apply()


async def test_a_deployment_that_the_api_server_refuses_is_told_in_its_words(bench: Bench) -> None:
    """What neither the model nor the CRD sees: here a plan that no manifest gives."""
    bench.place.create(manifest())

    def overdrawn(plan: Plan) -> Plan:
        resources = {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}
        return replace(plan, workloads=tuple(replace(one, resources=resources) for one in plan.workloads))

    with pytest.raises(Rejected, match="must be less than or equal to cpu limit"):
        await bench.apply(changed=overdrawn)


INGRESS: dict[str, Any] = {"ingress": {"host": "chat.example.com", "tlsSecret": "cert", "annotations": {"mine": "x"}}}
PARENTS = [{"name": "public", "sectionName": "https"}, {"name": "public", "sectionName": "http"}]
GATEWAY: dict[str, Any] = {"gateway": {"parentRefs": PARENTS, "hostnames": ["chat.example.com"]}}
INGRESSES = "/apis/networking.k8s.io/v1", "ingresses"
HTTP_ROUTES = "/apis/gateway.networking.k8s.io/v1", "httproutes"


# Where nothing is exposed, no proxy is believed: another revision of auth.
NOT_EXPOSED = [("patch", "deployments"), ("patch", "controllerrevisions")]


def _exposing(place: Namespace, kind: tuple[str, str]) -> str:
    return place.path(kind[1], "chat-public", kind[0])


async def test_an_ingress_is_made_kept_and_taken_away(bench: Bench) -> None:
    bench.place.create(manifest(expose=INGRESS))
    await bench.settled()
    assert await bench.apply() == []
    path, server = _exposing(bench.place, INGRESSES), bench.place.server
    assert server.get(path)["spec"]["tls"] == [{"hosts": ["chat.example.com"], "secretName": "cert"}]
    assert (await bench.cluster.observe(bench.key)).url == "wss://chat.example.com/ws"
    bench.change({"expose": {"ingress": {"annotations": None, "tlsSecret": None}}})
    assert await bench.apply() == [("patch", "ingresses")]
    assert "mine" not in server.get(path)["metadata"]["annotations"]
    assert "tls" not in server.get(path)["spec"]
    bench.change({"expose": None})
    assert await bench.apply() == [*NOT_EXPOSED, ("delete", "ingresses")]
    assert await bench.apply() == []
    assert (await bench.cluster.observe(bench.key)).url == ""


async def test_a_route_is_made_kept_and_taken_away(bench: Bench, gateway_api: ApiServer) -> None:
    bench.place.create(manifest(expose=GATEWAY))
    await bench.settled()
    assert await bench.apply() == []
    path = _exposing(bench.place, HTTP_ROUTES)
    made = gateway_api.get(path)
    assert [one["sectionName"] for one in made["spec"]["parentRefs"]] == ["https", "http"]
    assert [rule["timeouts"] for rule in made["spec"]["rules"] if "timeouts" in rule] == [{"request": "0s"}] * 2
    gateway_api.merge(path, {"spec": {"hostnames": ["other.example.com"]}})
    assert await bench.apply() == [("patch", "httproutes")]
    assert gateway_api.get(path)["spec"]["hostnames"] == ["chat.example.com"]
    bench.change({"expose": {"gateway": None, **INGRESS}})
    assert await bench.apply() == [("patch", "ingresses"), ("delete", "httproutes")]


async def test_a_route_that_others_have_changed_since_is_read_again(bench: Bench, gateway_api: ApiServer) -> None:
    """Nobody watches it: the Gateway's controller writes its status, and a user may change or remove it."""
    bench.place.create(manifest(expose=GATEWAY))
    await bench.settled()
    path = _exposing(bench.place, HTTP_ROUTES)
    gateway_api.must("DELETE", path)
    assert await bench.apply(relist=False) == [("patch", "httproutes")]
    gateway_api.merge(path, {"metadata": {"annotations": {"a-controller": "was here"}}})
    assert await bench.apply(relist=False) == []
    gateway_api.merge(path, {"metadata": {"annotations": {"a-controller": "was here again"}}})
    bench.change({"expose": None})
    assert await bench.apply(relist=False) == [*NOT_EXPOSED, ("delete", "httproutes")]
    assert gateway_api.get(path) is None
    assert (await bench.cluster.observe(bench.key)).url == ""


async def test_without_the_gateway_api_nothing_is_written(bench: Bench, without_gateway_api: ApiServer) -> None:
    bench.place.create(manifest(expose=GATEWAY))
    with pytest.raises(Rejected, match=r"no HTTPRoute .*: install the CRDs of the Gateway API"):
        await bench.apply()
    assert bench.writes == []
    without_gateway_api.install("gateway-api")
    assert ("patch", "httproutes") in await bench.apply()
    without_gateway_api.remove("gateway-api")
    with pytest.raises(Rejected, match="install the CRDs"):
        await bench.apply(relist=False)
    bench.change({"expose": None})
    await bench.apply()


async def test_nothing_is_applied_once_the_object_is_being_deleted(bench: Bench) -> None:
    body = manifest()
    body["metadata"]["finalizers"] = ["test/held"]
    bench.place.create(body)
    bench.place.server.must("DELETE", bench.place.push())
    assert (await bench.cluster.observe(bench.key)).body is None
    await bench.cluster.apply(bench.key, build(parse(manifest())))
    assert bench.writes == []
    bench.place.server.merge(bench.place.push(), {"metadata": {"finalizers": None}})


async def test_who_does_not_lead_writes_nothing(bench: Bench) -> None:
    bench.place.create(manifest())
    bench.leads = False
    with pytest.raises(NotLeading):
        await bench.apply()
    assert bench.writes == []
    assert not bench.place.names(bench.place.apps("deployments"))


MONITORING = {"serviceMonitor": True, "rules": True, "dashboards": True, "labels": {"release": "prometheus"}}


async def test_what_prometheus_and_grafana_are_given_is_made_kept_and_taken_away(
    bench: Bench, monitoring: ApiServer
) -> None:
    bench.place.create(manifest(monitoring=MONITORING))
    await bench.settled()
    assert await bench.apply() == []
    api = "/apis/monitoring.coreos.com/v1"
    monitor, rules = (bench.place.path(kind, "chat", api=api) for kind in ("podmonitors", "prometheusrules"))
    assert monitoring.get(monitor)["metadata"]["labels"]["release"] == "prometheus"
    assert len(monitoring.get(rules)["spec"]["groups"]) == 4
    boards = [
        one for one in bench.place.items(bench.place.path("configmaps")) if "-dashboard-" in one["metadata"]["name"]
    ]
    assert len(boards) == 4
    monitoring.merge(monitor, {"spec": {"podMetricsEndpoints": []}})
    assert await bench.apply() == [("patch", "podmonitors")]
    bench.change({"monitoring": {"rules": False, "labels": None}})
    assert ("delete", "prometheusrules") in await bench.apply()
    bench.change({"monitoring": None})
    written = await bench.apply()
    assert written.count(("delete", "configmaps")) == 4
    assert ("delete", "podmonitors") in written
    assert await bench.apply() == []


@pytest.mark.parametrize(("field", "kind"), [("serviceMonitor", "PodMonitor"), ("rules", "PrometheusRule")])
async def test_without_the_prometheus_operator_nothing_is_written(
    bench: Bench, server: ApiServer, field: str, kind: str
) -> None:
    server.remove("monitoring")
    bench.place.create(manifest(monitoring={field: True}))
    with pytest.raises(Rejected, match=rf"no {kind} .*: install the CRDs of the Prometheus operator, or leave it out"):
        await bench.apply()
    assert bench.writes == []


async def test_dashboards_need_nothing_that_a_cluster_lacks(bench: Bench, server: ApiServer) -> None:
    server.remove("monitoring")
    bench.place.create(manifest(monitoring={"dashboards": True}))
    await bench.settled()
    assert await bench.apply() == []
