"""The real operator as a process, against a real API server: what a user does, and what happens then."""

from __future__ import annotations

import base64
import signal
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.kubernetes.conftest import StartOperator
from tests.support.kube import ApiServer
from tests.support.namespace import Namespace
from tests.support.operator import OperatorProcess
from tests.support.servers import free_port
from tests.support.verdicts import manifest
from tests.support.waiting import within

EXAMPLE = Path(__file__).parents[3] / "examples" / "quickstart.yaml"
CHILDREN = (
    ("/api/v1", ("services", "serviceaccounts", "configmaps", "persistentvolumeclaims", "secrets")),
    ("/apis/apps/v1", ("deployments", "statefulsets")),
    ("/apis/policy/v1", ("poddisruptionbudgets",)),
    ("/apis/networking.k8s.io/v1", ("networkpolicies", "ingresses")),
)
OURS = "?labelSelector=app.kubernetes.io/managed-by%3Dpush-operator"


def _children(place: Namespace) -> dict[str, dict[str, Any]]:
    """Everything the operator made, by `plural/name`."""
    return {
        f"{plural}/{one['metadata']['name']}": one
        for api, plurals in CHILDREN
        for plural in plurals
        for one in place.items(place.path(plural, api=api) + OURS)
    }


def _ready(place: Namespace) -> bool:
    return place.condition("Ready") == ("True", "AllReady")


def _ready_as_asked(place: Namespace) -> bool:
    """Ready, and not still so from before the last change."""
    body = place.server.get(place.push())
    return _ready(place) and body["status"]["observedGeneration"] == body["metadata"]["generation"]


def _gateways(place: Namespace) -> list[dict[str, Any]]:
    return [one for one in place.items(place.apps("deployments")) if "-gateway-" in one["metadata"]["name"]]


def test_a_manifest_becomes_a_ready_platform(namespace: Namespace, operator: OperatorProcess) -> None:
    kubectl = namespace.server.kubectl
    kubectl("apply", "-n", namespace.name, "-f", str(EXAMPLE))
    namespace.until(lambda: _ready(namespace))
    kubectl("wait", "-n", namespace.name, "pcl/chat", "--for=condition=Ready", "--timeout=5s")
    (gateway,) = _gateways(namespace)
    assert gateway["spec"]["replicas"] == 2
    assert "pushcluster.io/serving" not in gateway["spec"]["selector"]["matchLabels"]
    assert {name for name in _children(namespace) if name.startswith("services/")} == {
        f"services/chat-{one}" for one in ("nats", "valkey", "gateway", "auth", "message", "presence", "push")
    }
    row = kubectl("get", "pcl", "-n", namespace.name).splitlines()[1].split()
    assert row[:6] == ["chat", "True", "2/2", "0", "AllReady", "0.1.0"]
    scale = namespace.server.get(namespace.push(subresource="scale"))
    assert scale["status"]["replicas"] == 2
    assert "pushcluster.io/serving=true" in scale["status"]["selector"]
    body = namespace.server.get(namespace.push())
    assert not body["metadata"].get("finalizers")
    assert set(body["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert "Ready" in kubectl("get", "events.events.k8s.io", "-n", namespace.name)
    assert operator.end(signal.SIGTERM) == 0


def test_at_rest_nothing_is_written(namespace: Namespace, start_operator: StartOperator) -> None:
    operator = start_operator(RESYNC_SECONDS="1")
    operator.until_ready()
    namespace.create(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")))
    namespace.until(lambda: _ready(namespace))

    def writes() -> dict[str, float]:
        lines = operator.answer("/metrics")[1].splitlines()
        told = [line for line in lines if line.startswith("push_operator_api_requests_total")]
        return {line: float(line.rsplit(" ", 1)[1]) for line in told if 'verb="patch"' in line or "create" in line}

    def reconciles() -> float:
        lines = operator.answer("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("push_operator_reconciles_total"))

    def versions() -> dict[str, str]:
        return {name: one["metadata"]["resourceVersion"] for name, one in _children(namespace).items()}

    def rests() -> bool:
        """Not one write in three reconciles; the event that tells of Ready comes just after Ready itself."""
        before, written, begun = versions(), writes(), reconciles()
        within(20, lambda: reconciles() >= begun + 3)
        return (versions(), writes()) == (before, written)

    within(30, rests)


def test_what_is_changed_or_deleted_comes_back(namespace: Namespace, operator: OperatorProcess) -> None:
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    auth = namespace.apps("deployments", "chat-auth")
    namespace.server.merge(auth, {"spec": {"replicas": 0}, "metadata": {"labels": {"mine": "stays"}}})
    service = namespace.path("services", "chat-gateway")
    namespace.server.must("DELETE", service)
    stateful = namespace.apps("statefulsets", "chat-nats")
    uid = namespace.server.get(stateful)["metadata"]["uid"]
    namespace.server.must("DELETE", stateful)
    namespace.until(lambda: namespace.server.get(auth)["spec"]["replicas"] == 1)
    namespace.until(lambda: namespace.server.get(service))
    namespace.until(
        lambda: (namespace.server.get(stateful) or {"metadata": {}})["metadata"].get("uid") not in (None, uid)
    )
    namespace.until(lambda: _ready(namespace))
    assert namespace.server.get(auth)["metadata"]["labels"]["mine"] == "stays"


def test_a_child_deleted_while_nobody_watched_comes_back(namespace: Namespace, start_operator: StartOperator) -> None:
    operator = start_operator()
    operator.until_ready()
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    operator.end(signal.SIGKILL)
    auth = namespace.apps("deployments", "chat-auth")
    namespace.server.must("DELETE", auth)
    within(10, lambda: namespace.server.get(auth) is None)
    start_operator(POD_NAME="operator-0").until_ready()  # the same pod name: the lease is its own at once
    namespace.until(lambda: namespace.server.get(auth))
    namespace.until(lambda: _ready(namespace))


@pytest.mark.parametrize("made", ["secrets/chat-credentials", "services/chat-nats", "statefulsets/chat-nats"])
def test_killed_in_the_middle_of_its_work_it_goes_on(
    namespace: Namespace, start_operator: StartOperator, made: str
) -> None:
    operator = start_operator()
    within(30, operator.leads)
    namespace.create(manifest())
    plural, name = made.split("/")
    path = namespace.apps(plural, name) if plural == "statefulsets" else namespace.path(plural, name)
    within(10, lambda: namespace.server.get(path))
    operator.end(signal.SIGKILL)
    last = namespace.apps("deployments", "chat-push")
    assert namespace.server.get(last) is None, "it was done already: the test has to be quicker"
    secret = namespace.server.get(namespace.path("secrets", "chat-credentials"))["data"]
    start_operator(POD_NAME="operator-0").until_ready()
    namespace.until(lambda: _ready(namespace))
    assert namespace.server.get(namespace.path("secrets", "chat-credentials"))["data"] == secret


def test_scaling_and_a_new_version(namespace: Namespace, operator: OperatorProcess) -> None:
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    budget = namespace.path("poddisruptionbudgets", "chat-gateway", "/apis/policy/v1")
    assert namespace.server.get(budget)["spec"]["minAvailable"] == 1
    namespace.server.kubectl("scale", "pcl/chat", "-n", namespace.name, "--replicas=1")
    namespace.until(lambda: _gateways(namespace)[0]["spec"]["replicas"] == 1)
    namespace.until(lambda: namespace.server.get(budget) is None)
    (old,) = _gateways(namespace)
    namespace.server.merge(namespace.push(), {"spec": {"version": "0.2.0"}})
    within(15, lambda: len(_gateways(namespace)) == 2)  # the old ones hold sockets until the new ones are ready
    names = {one["metadata"]["name"] for one in _gateways(namespace)}
    namespace.until(lambda: len(_gateways(namespace)) == 1)
    assert {one["metadata"]["name"] for one in _gateways(namespace)} == names - {old["metadata"]["name"]}
    namespace.until(lambda: _ready(namespace))
    assert namespace.server.get(namespace.push())["status"]["version"] == "0.2.0"


def test_what_is_no_longer_wanted_goes_and_what_is_not_ours_stays(
    namespace: Namespace, operator: OperatorProcess, elsewhere: str
) -> None:
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    mine = {"metadata": {"name": "chat-mine"}, "data": {"key": "value"}}
    namespace.server.must("POST", namespace.path("configmaps"), mine)
    namespace.server.merge(namespace.push(), {"spec": {"nats": {"url": f"nats://{elsewhere}"}}})
    namespace.until(lambda: not [name for name in _children(namespace) if "nats" in name])
    assert namespace.server.get(namespace.path("configmaps", "chat-mine"))
    namespace.until(lambda: _ready(namespace))


def test_a_managed_cassandra_in_place_of_files_comes_with_passwords_and_goes_again(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    before = namespace.server.get(namespace.path("secrets", "chat-credentials"))["data"]
    namespace.server.merge(namespace.push(), {"spec": {"size": "medium", "cassandra": {"managed": {}}}})
    namespace.until(lambda: _ready_as_asked(namespace))
    assert namespace.server.get(namespace.apps("statefulsets", "chat-cassandra"))
    assert "persistentvolumeclaims/chat-auth-data" in _children(namespace)
    auth = namespace.server.get(namespace.apps("deployments", "chat-auth"))["spec"]
    assert (auth["replicas"], auth["strategy"]["type"]) == (2, "RollingUpdate")
    after = namespace.server.get(namespace.path("secrets", "chat-credentials"))["data"]
    assert after.keys() - before.keys() == {"CASSANDRA_PASSWORD", "CASSANDRA_ADMIN_PASSWORD"}
    assert {key: after[key] for key in before} == before
    components = namespace.server.get(namespace.push())["status"]["components"]
    endpoints = {one["name"]: one["endpoint"] for one in components}
    assert endpoints["cassandra"] == f"chat-cassandra.{namespace.name}.svc:9042"
    namespace.server.merge(namespace.push(), {"spec": {"size": "small", "cassandra": None}})
    namespace.until(lambda: not [name for name in _children(namespace) if "cassandra" in name])
    namespace.until(lambda: _ready_as_asked(namespace))


def test_what_only_the_operator_can_know_is_told_and_mends_itself(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    namespace.create(manifest(tokens={"signingKeysSecret": "keys"}))
    within(15, lambda: namespace.condition("Stalled") == ("True", "Rejected"))
    told = namespace.server.get(namespace.push())["status"]["conditions"]
    assert "Secret keys is not there: make one with the key JWT_SECRET" in {one["message"] for one in told}
    assert not _children(namespace)
    value = base64.b64encode(b"x" * 32).decode()
    namespace.server.must(
        "POST", namespace.path("secrets"), {"metadata": {"name": "keys"}, "data": {"JWT_SECRET": value}}
    )
    namespace.until(lambda: _ready(namespace), seconds=40)
    assert namespace.condition("Stalled") == ("False", "Valid")


def test_a_server_that_is_not_there_is_told_and_waited_for_but_freezes_nothing_that_runs(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    port = free_port()
    url = f"nats://127.0.0.1:{port}"
    cassandra = {
        "contactPoints": ["no-such-host.invalid", f"127.0.0.1:{port}"],
        "keyspace": "k",
        "localDatacenter": "d",
    }
    namespace.create(manifest(nats={"url": url}, cassandra=cassandra))
    within(15, lambda: namespace.condition("Stalled") == ("True", "Unreachable"))
    (told,) = {one["message"] for one in namespace.server.get(namespace.push())["status"]["conditions"]}
    first, second = told.split("; spec.")
    assert first.startswith(f"spec.nats.url: 127.0.0.1:{port} (refused) accepts no connection: start it or correct")
    assert second.startswith("cassandra.contactPoints: none of no-such-host.invalid:9042 (")
    assert "CHECK_REACHABILITY" in told
    assert not _children(namespace)
    with closing(socket.create_server(("127.0.0.1", port))):
        namespace.until(lambda: _ready(namespace))
        assert namespace.condition("Stalled") == ("False", "Valid")
    running = [one["metadata"]["name"] for one in _gateways(namespace)]
    auth = namespace.apps("deployments", "chat-auth")
    namespace.server.must("DELETE", auth)  # an outage now: what runs is kept as it should be
    namespace.until(lambda: namespace.server.get(auth) and _ready(namespace))
    namespace.server.merge(namespace.push(), {"spec": {"version": "0.2.0"}})
    within(15, lambda: namespace.condition("Stalled") == ("True", "Unreachable"))
    assert [one["metadata"]["name"] for one in _gateways(namespace)] == running


def test_an_operator_that_may_not_look_goes_on(namespace: Namespace, start_operator: StartOperator) -> None:
    start_operator(CHECK_REACHABILITY="false").until_ready()
    namespace.create(manifest(nats={"url": "nats://no-such-host.invalid:4222"}))
    namespace.until(lambda: _ready(namespace))


def test_a_rotated_secret_is_noticed_though_nobody_watches_it(
    namespace: Namespace, start_operator: StartOperator
) -> None:
    start_operator(RESYNC_SECONDS="2").until_ready()
    secret = {"metadata": {"name": "keys"}, "stringData": {"JWT_SECRET": "k" * 32}}
    namespace.server.must("POST", namespace.path("secrets"), secret)
    namespace.create(manifest(tokens={"signingKeysSecret": "keys"}))
    namespace.until(lambda: _ready(namespace))
    (old,) = _gateways(namespace)
    namespace.server.merge(namespace.path("secrets", "keys"), {"stringData": {"JWT_SECRET": "j" * 32}})
    namespace.until(lambda: [one["metadata"]["name"] for one in _gateways(namespace)] != [old["metadata"]["name"]])
    namespace.until(lambda: len(_gateways(namespace)) == 1 and _ready(namespace))
    assert _gateways(namespace)[0]["metadata"]["name"] != old["metadata"]["name"]


def test_a_gateway_api_that_comes_later_is_used_within_seconds(
    namespace: Namespace, without_gateway_api: ApiServer, start_operator: StartOperator
) -> None:
    operator = start_operator(RESYNC_SECONDS="1")
    operator.until_ready()
    expose = {"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["chat.example.com"]}}
    namespace.create(manifest(expose=expose))
    within(15, lambda: namespace.condition("Stalled") == ("True", "Rejected"))
    assert not _children(namespace)
    without_gateway_api.install("gateway-api")
    namespace.until(lambda: _ready(namespace))
    told = namespace.server.kubectl("get", "pcl", "-n", namespace.name, "-o", "wide")
    assert "wss://chat.example.com/ws" in told
    # Whoever takes the CRDs away ends neither the operator nor, but for the route, the platform.
    namespace.server.merge(namespace.push(), {"spec": {"expose": None}})
    within(15, lambda: "url" not in namespace.server.get(namespace.push())["status"])
    without_gateway_api.remove("gateway-api")
    namespace.server.merge(namespace.push(), {"spec": {"version": "0.2.0"}})
    within(15, lambda: namespace.server.get(namespace.push())["status"]["version"] == "0.2.0")
    assert not _loud(operator)


def _loud(operator: OperatorProcess) -> list[str]:
    """But for the broker, which no kubelet runs here."""
    lines = operator.log.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if "push_operator.admin.nats" not in line]
    return [line for line in told if '"level":"warning"' in line.replace(" ", "") or '"error"' in line]


def test_deleted_means_gone_but_for_what_is_retained(namespace: Namespace, operator: OperatorProcess) -> None:
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    secret = namespace.server.get(namespace.path("secrets", "chat-credentials"))["data"]
    namespace.server.must("DELETE", namespace.push())
    kept = {f"persistentvolumeclaims/chat-{one}-data" for one in ("auth", "message", "push")}
    within(30, lambda: set(_children(namespace)) == kept | {"secrets/chat-credentials"})
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    assert namespace.server.get(namespace.path("secrets", "chat-credentials"))["data"] == secret


def test_deleted_means_gone_where_nothing_is_retained(namespace: Namespace, operator: OperatorProcess) -> None:
    forget = {"managed": {"retain": False}}
    namespace.create(manifest(nats=forget, redis=forget, cassandra={"embedded": {"retain": False}}))
    namespace.until(lambda: _ready(namespace))
    namespace.server.must("DELETE", namespace.push())
    within(30, lambda: not _children(namespace))


def test_a_quota_in_the_way_is_told_and_mends_itself(namespace: Namespace, operator: OperatorProcess) -> None:
    for name, hard in (("few", {"pods": "3"}), ("none", {"persistentvolumeclaims": "0"})):
        quota = {"metadata": {"name": name}, "spec": {"hard": hard}}
        namespace.server.must("POST", namespace.path("resourcequotas"), quota)
        # A controller's part, which does not run here.
        status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
        namespace.server.merge(namespace.path("resourcequotas", f"{name}/status"), {"status": status})
    namespace.create(manifest())
    namespace.until(lambda: namespace.condition("Stalled") == ("True", "Forbidden"))

    def told() -> str:
        return " ".join(one["message"] for one in namespace.server.get(namespace.push())["status"]["conditions"])

    assert "persistentvolumeclaims" in told()
    namespace.server.must("DELETE", namespace.path("resourcequotas", "none"))
    namespace.until(lambda: "FailedCreate: " in told())
    assert "exceeded quota: few" in told()
    namespace.server.must("DELETE", namespace.path("resourcequotas", "few"))
    namespace.until(lambda: _ready(namespace), seconds=90)  # the controllers try again in their own time


def test_somebody_elses_object_of_the_name_is_told_and_mends_itself(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    mine = {"metadata": {"name": "chat-auth"}, "spec": {"ports": [{"port": 1}]}}
    namespace.server.must("POST", namespace.path("services"), mine)
    namespace.create(manifest())
    within(15, lambda: namespace.condition("Stalled") == ("True", "Rejected"))
    namespace.server.must("DELETE", namespace.path("services", "chat-auth"))
    namespace.until(lambda: _ready(namespace))


def test_a_label_more_in_a_selector_or_less_on_our_object_is_mended(
    namespace: Namespace, operator: OperatorProcess
) -> None:
    namespace.create(manifest())
    namespace.until(lambda: _ready(namespace))
    service = namespace.path("services", "chat-gateway")
    wanted = namespace.server.get(service)
    namespace.server.merge(service, {"spec": {"selector": {"foo": "bar"}}})
    within(15, lambda: namespace.server.get(service)["spec"]["selector"] == wanted["spec"]["selector"])
    namespace.server.merge(service, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    within(15, lambda: namespace.server.get(service)["metadata"]["labels"] == wanted["metadata"]["labels"])
    assert namespace.server.get(service)["metadata"]["uid"] == wanted["metadata"]["uid"]
    namespace.until(lambda: _ready(namespace))
