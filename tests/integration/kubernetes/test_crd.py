"""What the API server makes of the CRD: the verdicts of the model, its defaults, kubectl's view."""

from __future__ import annotations

import json

import pytest
from tests.support import overlays, verdicts
from tests.support.kube import ApiServer
from tests.support.namespace import Namespace
from tests.support.overlays import STALLED
from tests.support.verdicts import Manifest, manifest

from push_operator.model import parse

ACCEPTED, REFUSED = verdicts.ACCEPTED | overlays.ACCEPTED, verdicts.REFUSED | overlays.REFUSED
STRICT = "?fieldValidation=Strict&dryRun=All"


@pytest.fixture(scope="module")
def place(server: ApiServer) -> Namespace:
    return Namespace(server, "test-crd")


@pytest.mark.parametrize("body", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_the_model_accepts_is_accepted_and_means_the_same_with_the_defaults(
    place: Namespace, body: Manifest
) -> None:
    status, stored = place.server.ask("POST", place.push("") + STRICT, body)
    assert status == 201, stored
    here = {**body, "metadata": {**body["metadata"], "namespace": place.name}}
    assert parse({**stored, "metadata": here["metadata"]}) == parse(here)


@pytest.mark.parametrize(("body", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_model_refuses_is_refused_by_name(place: Namespace, body: Manifest, named: str) -> None:
    status, answer = place.server.ask("POST", place.push("") + STRICT, body)
    assert status in (400, 422), answer
    assert named in answer["message"]


@pytest.mark.parametrize("body", [body for body, _ in STALLED.values()], ids=STALLED.keys())
def test_what_stands_in_a_pod_template_is_the_operators_to_refuse(place: Namespace, body: Manifest) -> None:
    assert place.server.ask("POST", place.push("") + STRICT, body)[0] == 201


def test_kubectl_refuses_an_unknown_field(place: Namespace) -> None:
    with pytest.raises(AssertionError, match=r'unknown field "spec.gateway.replica"'):
        place.server.kubectl("apply", "-n", place.name, "-f", "-",
                             text=json.dumps(manifest(gateway={"replicas": 1, "replica": 1})))  # fmt: skip


def test_a_managed_storage_stays(namespace: Namespace) -> None:
    namespace.create(manifest(nats={"managed": {"storage": "1Gi"}}))

    def change(spec: object) -> tuple[int, str]:
        status, answer = namespace.server.ask("PATCH", namespace.push(), {"spec": spec}, "application/merge-patch+json")
        return status, answer.get("message", "")

    assert change({"nats": {"managed": {"storage": "1Gi"}}, "redis": {"managed": {"storage": "1Gi"}}})[0] == 200
    status, message = change({"nats": {"managed": {"storage": "2Gi"}}})
    assert (status, "spec.nats.managed.storage" in message) == (422, True)
    assert change({"nats": None})[0] == 422
    assert change({"redis": {"managed": {"storage": "3Gi"}}})[0] == 422
    assert change({"nats": {"managed": None, "url": "nats://elsewhere:4222"}})[0] == 200
    assert change({"cassandra": {"managed": {"storage": "1Gi"}}})[0] == 200
    status, message = change({"cassandra": {"managed": {"storage": "2Gi"}}})
    assert (status, "spec.cassandra.managed.storage" in message) == (422, True)
    assert change({"cassandra": None})[0] == 200
    assert change({"cassandra": {"managed": {"storage": "2Gi"}}})[0] == 200


def test_kubectl_shows_ours_and_scales_gateways(namespace: Namespace) -> None:
    namespace.create(manifest())
    kubectl, within = namespace.server.kubectl, ("-n", namespace.name)
    heads, row = kubectl("get", "pcl", *within).splitlines()
    assert heads.split() == ["NAME", "READY", "GATEWAYS", "CONNECTIONS", "REASON", "VERSION", "AGE"]
    assert row.split()[0] == "chat"
    assert "pushcluster.pushcluster.io/chat" in kubectl("get", "push", *within, "-o", "name")
    kubectl("scale", "pcl/chat", *within, "--replicas=7")
    assert namespace.server.get(namespace.push())["spec"]["gateway"]["replicas"] == 7
    assert namespace.server.get(namespace.push(subresource="scale"))["spec"]["replicas"] == 7
