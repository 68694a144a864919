"""The operator's rights: enough for a whole life of a PushCluster, and not one more than it uses, in both modes.

Who gives it another right writes one line into the chart, and one into `life` below: what makes the operator use it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from tests.integration.kubernetes.conftest import StartOperator
from tests.support.chart import SYSTEM, Object, environment, objects, rendered, the
from tests.support.kube import ApiServer
from tests.support.namespace import Namespace
from tests.support.verdicts import manifest
from tests.support.waiting import within

from push_operator.cluster.kubernetes.kinds import CHILDREN

APPLIED = {(kind.group, kind.plural) for kind in CHILDREN}
EVERYWHERE = "*"
Right = tuple[str, str, str, str]  # namespace, group, resource, verb
Done = Callable[[Namespace], object]

# The life of a PushCluster --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What somebody does, and how it shows that the operator has answered."""

    does: Callable[[Namespace], object]
    done: Done


def _ready(place: Namespace) -> bool:
    body = place.server.get(place.push())
    seen = (body.get("status") or {}).get("observedGeneration") == body["metadata"]["generation"]
    return seen and place.condition("Ready") == ("True", "AllReady")


def _change(*done: Done, **spec: Any) -> Step:
    return Step(lambda place: place.server.merge(place.push(), {"spec": spec}), lambda p: all(is_(p) for is_ in done))


def _none_of(kind: str, api: str) -> Done:
    return lambda place: not place.items(place.path(kind, api=api))


def _secret(place: Namespace) -> dict[str, str]:
    data: dict[str, str] = place.server.get(place.path("secrets", "chat-credentials"))["data"]
    return data


def _lose_a_key(place: Namespace) -> None:
    place.server.merge(place.path("secrets", "chat-credentials"), {"data": {"REFRESH_SECRET": None}})


def life(elsewhere: str) -> tuple[Step, ...]:
    """Each kind of object has a reason to come and, unless it holds data, a reason to go. `elsewhere`: servers that are
    not the operator's."""
    no_sets = _none_of("statefulsets", "/apis/apps/v1")
    no_ingress = _none_of("ingresses", "/apis/networking.k8s.io/v1")
    no_monitors = _none_of("podmonitors", "/apis/monitoring.coreos.com/v1")
    by_route = {"gateway": {"parentRefs": [{"name": "public"}]}}
    by_ingress = {"gateway": None, "ingress": {"host": "chat.example.com"}}
    return (
        Step(lambda place: place.create(manifest(expose=by_route)), _ready),
        _change(_ready, version="0.2.0", gateway={"replicas": 1}, expose=by_ingress),
        _change(no_sets, _ready, nats={"url": f"nats://{elsewhere}"}, redis={"url": f"redis://{elsewhere}"}),
        _change(no_ingress, _ready, expose=None),
        _change(_ready, monitoring={"serviceMonitor": True, "rules": True, "dashboards": True}),
        _change(no_monitors, _ready, monitoring=None),
        Step(_lose_a_key, lambda place: "REFRESH_SECRET" in _secret(place)),
    )


# What is granted, what is used ----------------------------------------------------------------------------------------


def _granted(made: list[Object]) -> Iterator[Right]:
    """`EVERYWHERE` stands for the namespace of a ClusterRole."""
    for one in made:
        place = one["metadata"].get("namespace", EVERYWHERE)
        for rule in one.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from ((place, group, resource, verb) for verb in rule["verbs"])


def _used(server: ApiServer, user: str, places: set[str]) -> Iterator[Right]:
    """What the API server was asked for in this name; it refused nothing. Other namespaces than `places` are told as
    `EVERYWHERE`."""
    for line in server.audit.read_text().splitlines():
        event = json.loads(line)
        ref = event.get("objectRef") or {}
        if event["user"]["username"] != user or "resource" not in ref:
            continue  # others; discovery
        assert event["annotations"]["authorization.k8s.io/decision"] == "allow", event
        place = str(ref.get("namespace"))
        place = place if place in places else EVERYWHERE
        group, resource = ref.get("apiGroup", ""), "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
        yield place, group, resource, event["verb"]
        if event["verb"] == "patch" and (group, resource) in APPLIED:
            # The API server asks for "create" inside a patch that makes an object, and logs the patch.
            yield place, group, resource, "create"


@pytest.mark.parametrize("named", [False, True], ids=["every namespace", "one namespace"])
def test_what_is_granted_is_what_is_used(
    server: ApiServer, gateway_api: ApiServer, monitoring: ApiServer, namespace: Namespace,
    start_operator: StartOperator, elsewhere: str, named: bool,
) -> None:  # fmt: skip
    release = "tenant" if named else "push-operator"
    options = ("--set", "resyncSeconds=2", *(("--set", f"watchNamespaces={{{namespace.name}}}") if named else ()))
    rights = rendered(server.programs, *options, template="rbac", release=release)
    made = objects(rights)
    account = the(made, "ServiceAccount")["metadata"]["name"]
    server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
    server.kubectl("apply", "-f", "-", text=rights)
    token = server.kubectl("create", "token", account, "-n", SYSTEM).strip()
    deployment = the(objects(rendered(server.programs, *options, template="deployment", release=release)), "Deployment")
    operator = start_operator(
        **environment(deployment), KUBECONFIG=str(server.kubeconfig_for(token, account)), POD_NAMESPACE=SYSTEM
    )
    within(30, operator.leads)

    for step in life(elsewhere):
        step.does(namespace)
        namespace.until(partial(step.done, namespace), seconds=60)

    granted = set(_granted(made))
    places = {place for place, *_ in granted}

    def used() -> set[Right]:
        return set(_used(server, f"system:serviceaccount:{SYSTEM}:{account}", places))

    try:
        within(20, lambda: used() >= granted)
    finally:
        assert used() == granted


def test_a_key_that_is_made_again_leaves_the_others_as_they_are(
    server: ApiServer, namespace: Namespace, start_operator: StartOperator
) -> None:
    start_operator(RESYNC_SECONDS="2").until_ready()
    namespace.create(manifest())
    within(30, lambda: server.get(namespace.path("secrets", "chat-credentials")))
    kept = _secret(namespace)
    _lose_a_key(namespace)
    within(20, lambda: "REFRESH_SECRET" in _secret(namespace))
    now = _secret(namespace)
    assert now.keys() == kept.keys()
    assert {name for name in kept if now[name] != kept[name]} == {"REFRESH_SECRET"}


# What no test run could show ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [False, True], ids=["every namespace", "one namespace"])
def test_no_right_is_more_than_it_says(server: ApiServer, named: bool) -> None:
    made = objects(rendered(server.programs, *(("--set", "watchNamespaces={chat}") if named else ())))
    granted = set(_granted(made))
    assert not [right for right in granted if EVERYWHERE in right[1:]]
    secrets = {verb for _, _, resource, verb in granted if resource.startswith("secrets")}
    assert secrets == {"get", "create", "patch"}  # by name: whoever lists or watches them reads them all
    escalating = {"escalate", "bind", "impersonate"}
    assert not [right for right in granted if right[3] in escalating or right[1] == "rbac.authorization.k8s.io"]


def test_with_namespaces_named_nothing_of_the_operators_is_of_the_whole_cluster(server: ApiServer) -> None:
    """So that who has these namespaces, and no more, can install it."""
    options = ("--set", "watchNamespaces={chat,office},aggregateRoles=false,crd.install=false")
    made = objects(rendered(server.programs, *options))
    assert {one["metadata"].get("namespace") for one in made} == {SYSTEM, "chat", "office"}
    roles = {one["metadata"]["namespace"]: one["rules"] for one in made if one["kind"] == "Role"
             and one["metadata"]["name"] == "push-operator"}  # fmt: skip
    assert roles.keys() == {"chat", "office"}
    assert roles["chat"] == roles["office"]
