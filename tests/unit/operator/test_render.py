"""The plan as Kubernetes objects: what holds for every manifest, and the parts a reader would look up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.manifests import cluster

from push_operator.cluster.kubernetes.kinds import kind_of
from push_operator.model import SERVICES, PushCluster
from push_operator.plan.build import build
from push_operator.plan.expose import RULES
from push_operator.plan.workload import GeneratedSecret
from push_operator.render.build import render
from push_operator.render.expose import url_of
from push_operator.render.objects import COMPONENT, Images, Object, Owner, names_registry
from push_operator.render.services import endpoints_of
from push_operator.render.settings import generated_secret
from push_operator.stores import Embedded

OWNER = Owner("apps", "chat", "0000-1111")
IMAGES = Images("registry.example/push/workload", "nats:2", "valkey:9", "cassandra:5")

_SELECTORS: dict[str, Callable[[Object], dict[str, str]]] = {
    "Service": lambda spec: spec["selector"],
    "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
    "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
}


def _render(made: PushCluster) -> tuple[Object, ...]:
    return render(OWNER, build(made), IMAGES)


def _of(objects: tuple[Object, ...], kind: str, name: str = "") -> Iterator[Object]:
    return (one for one in objects if one["kind"] == kind and one["metadata"]["name"].startswith(name))


def _sets(objects: tuple[Object, ...]) -> list[Object]:
    return [one for one in objects if one["kind"] in ("Deployment", "StatefulSet")]


def _selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


INGRESS: dict[str, Any] = {"ingress": {"host": "chat.example.com"}}
GATEWAY: dict[str, Any] = {"gateway": {"parentRefs": [{"name": "public"}]}}
_backing = st.sampled_from(
    [{}, {"managed": {"retain": False}}, {"managed": {"storage": "1Gi"}}, {"url": "one of each own scheme"}]
)
_requests = st.fixed_dictionaries({}, optional={"cpu": st.sampled_from(["0.1", "250m"]), "memory": st.just("64Mi")})
_limits = st.fixed_dictionaries({}, optional={"cpu": st.sampled_from([1, "250m"]), "memory": st.just("64Mi")})
_resources = st.fixed_dictionaries({}, optional={"requests": _requests, "limits": _limits})


_stores = st.sampled_from(["embedded", "managed"])


def _made(
    gateways: int, presences: int, nats: Any, redis: Any, store: str, retain: bool, version: str, resources: Any,
    expose: Any,
) -> Any:  # fmt: skip
    return cluster(
        expose=expose,
        gateway={"replicas": gateways, "resources": resources},
        presence={"replicas": presences, "resources": resources},
        nats={"url": "nats://peer:1"} if "url" in nats else nats,
        redis={"url": "redis://peer:1"} if "url" in redis else redis,
        cassandra={store: {"retain": retain}},
        image={"pullSecrets": ["registry"]} if retain else {},
        version=version,
    )


_clusters = st.builds(
    _made, st.integers(1, 1000), st.integers(1, 50), _backing, _backing, _stores, st.booleans(),
    st.sampled_from(["0.1.0", "0.2.0"]), _resources, st.sampled_from([None, INGRESS, GATEWAY]),
)  # fmt: skip


@given(_clusters)
def test_every_object_is_labelled_and_owned_unless_it_is_retained(made: PushCluster) -> None:
    for one in _render(made):
        meta = one["metadata"]
        assert meta["namespace"] == "apps"
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "push-operator"
        assert meta["labels"]["app.kubernetes.io/instance"] == "chat"
        retained = one["kind"] == "PersistentVolumeClaim" and isinstance(made.store, Embedded) and made.store.retain
        assert [owner["uid"] for owner in meta.get("ownerReferences", [])] == ([] if retained else ["0000-1111"])


@given(_clusters)
def test_selectors_find_their_pods_and_no_others(made: PushCluster) -> None:
    objects = _render(made)
    pods = {one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] for one in _sets(objects)}
    for one in _sets(objects):
        found = [name for name, labels in pods.items() if _selects(one["spec"]["selector"]["matchLabels"], labels)]
        assert found == [one["metadata"]["name"]]
    for one in objects:
        if one["kind"] in _SELECTORS:
            selector = _SELECTORS[one["kind"]](one["spec"])
            components = [labels[COMPONENT] for labels in pods.values() if _selects(selector, labels)]
            assert components == [one["metadata"]["labels"][COMPONENT]]


@given(_clusters)
def test_references_lead_somewhere(made: PushCluster) -> None:
    objects = _render(made)
    names = {(one["kind"], one["metadata"]["name"]) for one in objects}
    assert len(names) == len(objects)
    for one in _sets(objects):
        pod = one["spec"]["template"]["spec"]
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        volumes |= {claim["metadata"]["name"]: claim for claim in one["spec"].get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                for check in container.get(probe, {}).values():
                    assert not isinstance(check, dict) or check["port"] in ports
    assert all(kind_of(one) for one in objects)


@given(_clusters)
def test_every_pod_is_without_privilege(made: PushCluster) -> None:
    """What the Pod Security Standard `restricted` asks for, and a read-only root besides."""
    for one in _sets(_render(made)):
        pod = one["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["livenessProbe"] != container["readinessProbe"]
            said = [values.keys() for values in container["resources"].values()]
            assert set().union(*said) == {"cpu", "memory"}


@given(_clusters)
def test_the_same_input_gives_the_same_bytes(made: PushCluster) -> None:
    assert json.dumps(_render(made)) == json.dumps(_render(made))


@given(_clusters)
def test_no_password_stands_in_an_object_but_the_secret(made: PushCluster) -> None:
    """Whatever is secret is a reference."""
    for one in _sets(_render(made)):
        for container in one["spec"]["template"]["spec"]["containers"]:
            for variable in container["env"]:
                if any(word in variable["name"] for word in ("PASSWORD", "SECRET")):
                    assert set(variable["valueFrom"]) == {"secretKeyRef"}


def test_the_secret_has_the_values_and_is_retained_with_the_data() -> None:
    secret = generated_secret(OWNER, GeneratedSecret("chat-credentials", ("KEY",), retain=True), {"KEY": "value"})
    assert secret["stringData"] == {"KEY": "value"}
    assert "ownerReferences" not in secret["metadata"]


def test_gateways_have_a_deployment_for_each_revision() -> None:
    before, after = _render(cluster()), _render(cluster(version="0.2.0"))
    (old,), (new,) = _of(before, "Deployment", "chat-gateway"), _of(after, "Deployment", "chat-gateway")
    revision = old["metadata"]["labels"]["pushcluster.io/revision"]
    assert old["metadata"]["name"] == f"chat-gateway-{revision}"
    assert old["metadata"]["name"] != new["metadata"]["name"]
    assert old["spec"]["selector"]["matchLabels"]["pushcluster.io/revision"] == revision
    assert "pushcluster.io/serving" not in old["spec"]["selector"]["matchLabels"]
    assert old["spec"]["template"]["metadata"]["labels"]["pushcluster.io/serving"] == "true"
    (service,) = _of(before, "Service", "chat-gateway")
    assert service["spec"]["selector"]["pushcluster.io/serving"] == "true"
    assert "pushcluster.io/revision" not in service["spec"]["selector"]
    assert [one["metadata"]["name"] for one in _of(before, "Deployment", "chat-auth")] == ["chat-auth"]


@given(_clusters)
def test_a_template_is_the_same_once_it_was_kept(made: PushCluster) -> None:
    templates = [one["spec"]["template"] for one in _sets(_render(made))]
    assert json.loads(json.dumps(templates)) == templates


def test_another_number_changes_no_pod() -> None:
    one, other = (_render(cluster(gateway={"replicas": count})) for count in (1, 7))
    assert [each["spec"]["template"] for each in _sets(one)] == [each["spec"]["template"] for each in _sets(other)]


def test_strategies_and_budgets() -> None:
    objects = _render(cluster(gateway={"replicas": 5}, presence={"replicas": 3}))
    strategies = {one["metadata"]["labels"][COMPONENT]: one["spec"]["strategy"]["type"]
                  for one in _of(objects, "Deployment")}  # fmt: skip
    assert strategies == {"gateway": "RollingUpdate", "auth": "Recreate", "message": "Recreate", "push": "Recreate",
                          "presence": "RollingUpdate"}  # fmt: skip
    budgets = {one["metadata"]["name"]: one["spec"] for one in _of(objects, "PodDisruptionBudget")}
    assert set(budgets) == {"chat-gateway", "chat-presence"}
    assert budgets["chat-gateway"]["minAvailable"] == 4
    assert budgets["chat-gateway"]["selector"]["matchLabels"]["pushcluster.io/serving"] == "true"


# As the chart labels it, wherever it is installed.
BY_THE_OPERATOR = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "push-operator"}}}


def test_a_gateway_is_reached_at_both_its_ports_and_at_the_admins_by_the_operator() -> None:
    objects = _render(cluster())
    (service,) = _of(objects, "Service", "chat-gateway")
    ports = [(one["name"], one["port"], one["appProtocol"]) for one in service["spec"]["ports"]]
    assert ports == [("public", 8080, "kubernetes.io/ws"), ("sse", 8085, "http")]
    (policy,) = _of(objects, "NetworkPolicy", "chat-gateway")
    public, orders = policy["spec"]["ingress"]
    assert [one["port"] for one in public["ports"]] == ["public", "sse"]
    assert (orders["from"], orders["ports"]) == ([BY_THE_OPERATOR], [{"port": "admin", "protocol": "TCP"}])
    assert endpoints_of([service]) == {"gateway": "ws://chat-gateway.apps.svc:8080/ws"}


def test_the_servers_are_reached_by_their_clients_alone() -> None:
    objects = _render(cluster())
    (policy,) = _of(objects, "NetworkPolicy", "chat-nats")
    rule, watched = policy["spec"]["ingress"]
    (allowed,) = rule["from"][0]["podSelector"]["matchExpressions"]
    assert (allowed["values"], rule["ports"]) == (
        ["gateway", "message", "presence", "push"], [{"port": "client", "protocol": "TCP"}],
    )  # fmt: skip
    assert (watched["from"], watched["ports"]) == ([BY_THE_OPERATOR], [{"port": "monitor", "protocol": "TCP"}])
    assert "egress" not in policy["spec"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_only_those_that_keep_something_reach_cassandra() -> None:
    (policy,) = _of(_render(cluster(cassandra={"managed": {}})), "NetworkPolicy", "chat-cassandra")
    (rule,) = policy["spec"]["ingress"]
    (allowed,) = rule["from"][0]["podSelector"]["matchExpressions"]
    assert (allowed["values"], rule["ports"]) == (["auth", "message", "push"], [{"port": "client", "protocol": "TCP"}])
    assert "egress" not in policy["spec"]


def test_a_managed_cassandra_is_one_node_with_a_volume_and_a_name_of_its_own() -> None:
    objects = _render(cluster(size="medium", cassandra={"managed": {"storage": "7Gi", "retain": False}}))
    (stateful,) = _of(objects, "StatefulSet", "chat-cassandra")
    spec = stateful["spec"]
    assert (spec["replicas"], spec["serviceName"]) == (1, "chat-cassandra")
    assert spec["volumeClaimTemplates"][0]["spec"]["resources"] == {"requests": {"storage": "7Gi"}}
    assert spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"
    (service,) = _of(objects, "Service", "chat-cassandra")
    assert service["spec"]["clusterIP"] == "None"
    assert endpoints_of([service]) == {"cassandra": "chat-cassandra.apps.svc:9042"}
    assert not list(_of(objects, "PersistentVolumeClaim"))
    assert {one["spec"]["strategy"]["type"] for one in _of(objects, "Deployment")} == {"RollingUpdate"}
    assert "chat-cassandra" not in {one["metadata"]["name"] for one in _of(objects, "PodDisruptionBudget")}


def test_cassandra_writes_only_where_it_may_and_fits_into_its_pod() -> None:
    objects = _render(cluster(cassandra={"managed": {}}))
    (stateful,) = _of(objects, "StatefulSet", "chat-cassandra")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["command"]) == ("cassandra:5", ["cassandra"])
    options = dict(argument.removeprefix("-D").split("=", 1) for argument in container["args"][1:])
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (config,) = _of(objects, "ConfigMap", "chat-cassandra")
    for option in ("cassandra.config", "logback.configurationFile"):
        folder, _, file = options[option].removeprefix("file://").rpartition("/")
        assert folder == mounts["config"]
        assert file in config["data"]
    assert options["cassandra.storagedir"] == mounts["data"]
    env = {one["name"]: one.get("value") for one in container["env"]}
    scratch = {env["CASSANDRA_LOG_DIR"], options["java.io.tmpdir"], options["jna.tmpdir"]}
    assert scratch == {mounts["scratch"]}
    assert "FileAppender" not in config["data"]["logback.xml"]
    mib = [int((env[name] or "").removesuffix("M")) for name in ("MAX_HEAP_SIZE", "MAX_DIRECT_MEMORY_SIZE")]
    assert sum(mib) + 400 <= 2048
    assert container["resources"]["limits"] == {"memory": "2Gi"}


def test_what_is_said_of_a_resource_replaces_all_that_is_assumed_of_it() -> None:
    (deployment,) = _of(_render(cluster(gateway={"replicas": 1, "resources": {"requests": {"memory": "4Gi"}}})),
                        "Deployment", "chat-gateway")  # fmt: skip
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "250m", "memory": "4Gi"}}


def test_images_and_addresses() -> None:
    objects = _render(cluster(version="1.2", cassandra={"managed": {}}))
    images = {one["metadata"]["labels"][COMPONENT]:
              one["spec"]["template"]["spec"]["containers"][0]["image"] for one in _sets(objects)}  # fmt: skip
    assert images == {"nats": "nats:2", "valkey": "valkey:9", "cassandra": "cassandra:5"} | dict.fromkeys(
        SERVICES, "registry.example/push/workload:1.2"
    )
    (gateway,) = _of(objects, "Deployment", "chat-gateway")
    env = {one["name"]: one.get("value") for one in gateway["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["NATS_URL"] == "nats://chat-nats.apps.svc:4222"
    assert env["REDIS_URL"] == "redis://chat-valkey.apps.svc:6379"
    (auth,) = _of(objects, "Deployment", "chat-auth")
    env = {one["name"]: one.get("value") for one in auth["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["CASSANDRA_CONTACT_POINTS"] == "chat-cassandra.apps.svc:9042"
    own = _render(cluster(image={"repository": "mine/workload"}))
    assert next(_of(own, "Deployment"))["spec"]["template"]["spec"]["containers"][0]["image"] == "mine/workload:0.1.0"


def _images(made: PushCluster, images: Images) -> dict[str, str]:
    sets = _sets(render(OWNER, build(made), images))
    return {
        one["metadata"]["labels"][COMPONENT]: one["spec"]["template"]["spec"]["containers"][0]["image"] for one in sets
    }


@pytest.mark.parametrize(
    ("image", "named"),
    [
        ("nats:2.12-alpine", False), ("valkey/valkey:9", False), ("a.b:5", False), ("nats@sha256:1", False),
        ("a/b.c:1", False), ("localhost/a", True), ("localhosts/a", False), ("r.example/a", True), ("r:5000/a/b", True),
        ("10.0.0.1/a", True), ("", False),
    ],
)  # fmt: skip
def test_what_names_a_registry_is_told_by_its_first_part(image: str, named: bool) -> None:
    assert names_registry(image) is named
    located = replace(IMAGES, registry="r.example/mirror").located(image)
    assert located == (image if named else f"r.example/mirror/{image}")
    assert IMAGES.located(image) == image


def test_a_registry_goes_before_every_image_that_names_none() -> None:
    images = Images("push/workload", "nats:2", "valkey:9", "quay.io/cassandra:5", registry="r.example:5000/mirror")
    made = _images(cluster(version="1.2", cassandra={"managed": {}}), images)
    backing = {"nats": "r.example:5000/mirror/nats:2", "valkey": "r.example:5000/mirror/valkey:9",
               "cassandra": "quay.io/cassandra:5"}  # fmt: skip
    assert made == backing | dict.fromkeys(SERVICES, "r.example:5000/mirror/push/workload:1.2")
    own = _images(cluster(version="1.2", image={"repository": "mine/workload"}), images)
    assert own["gateway"] == "r.example:5000/mirror/mine/workload:1.2"
    own = _images(cluster(version="1.2", image={"repository": "quay.io/workload"}), images)
    assert own["gateway"] == "quay.io/workload:1.2"


def test_a_version_runs_by_its_digest_where_that_is_known() -> None:
    images = replace(IMAGES, workload="push/workload", digests={"1.2": "sha256:12"}, registry="r.example")
    assert _images(cluster(version="1.2"), images)["auth"] == "r.example/push/workload:1.2@sha256:12"
    assert _images(cluster(version="1.3"), images)["auth"] == "r.example/push/workload:1.3"
    own = cluster(version="1.2", image={"repository": "mine/workload"})  # other bytes under the same version
    assert _images(own, images)["auth"] == "r.example/mine/workload:1.2"


def test_pull_secrets_are_the_manifests_or_else_the_operators() -> None:
    images = replace(IMAGES, pull_secrets=("ours", "too"))
    for spec, names in (({}, ["ours", "too"]), ({"image": {"pullSecrets": ["mine"]}}, ["mine"])):
        for one in _sets(render(OWNER, build(cluster(**spec)), images)):
            assert one["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": name} for name in names]
    for one in _sets(_render(cluster())):
        assert "imagePullSecrets" not in one["spec"]["template"]["spec"]


# The way in from outside ----------------------------------------------------------------------------------------------


def _exposed(kind: str, expose: dict[str, Any]) -> Object:
    (made,) = _of(_render(cluster(expose=expose)), kind)
    return made


def _services(objects: tuple[Object, ...]) -> set[tuple[str, int]]:
    return {
        (one["metadata"]["name"], port["port"])
        for one in _of(objects, "Service")
        for port in one["spec"]["ports"]
        if one["metadata"]["labels"][COMPONENT] in SERVICES
    }


def test_an_ingress_leads_every_path_to_its_service() -> None:
    (rule,) = _exposed("Ingress", INGRESS)["spec"]["rules"]
    assert rule["host"] == "chat.example.com"
    paths = {
        one["path"]: (one["pathType"], one["backend"]["service"]["name"], one["backend"]["service"]["port"]["number"])
        for one in rule["http"]["paths"]
    }
    assert paths["/ws"] == ("Exact", "chat-gateway", 8080)
    assert paths["/sse"] == ("Exact", "chat-gateway", 8085)
    assert paths["/groups"] == ("Prefix", "chat-message", 8082)
    assert paths["/conversations"] == ("Prefix", "chat-message", 8082)
    assert paths["/openapi/push.json"] == ("Exact", "chat-push", 8084)
    assert len(paths) == len(RULES)
    assert {(name, port) for _, name, port in paths.values()} == _services(_render(cluster()))


def test_an_ingress_lets_sockets_live_and_the_users_annotations_win() -> None:
    made = _exposed("Ingress", INGRESS)
    assert made["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "3600"
    assert made["spec"].keys() == {"rules"}
    name = "nginx.ingress.kubernetes.io/proxy-body-size"
    more = {"className": "nginx", "tlsSecret": "cert", "annotations": {name: "1m", "mine": "too"}}
    full = _exposed("Ingress", {"ingress": {**INGRESS["ingress"], **more}})
    assert full["metadata"]["annotations"].items() >= {name: "1m", "mine": "too"}.items()
    assert full["metadata"]["annotations"]["haproxy.org/timeout-tunnel"] == "3600s"
    assert full["spec"]["ingressClassName"] == "nginx"
    assert full["spec"]["tls"] == [{"hosts": ["chat.example.com"], "secretName": "cert"}]


def test_an_http_route_has_one_rule_for_each_port_and_no_limit_for_what_lasts() -> None:
    parents = [{"name": "public", "namespace": "edge", "sectionName": "https"}, {"name": "other"}]
    made = _exposed("HTTPRoute", {"gateway": {"parentRefs": parents, "hostnames": ["chat.example.com"]}})
    assert made["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert made["spec"]["parentRefs"] == parents
    assert made["spec"]["hostnames"] == ["chat.example.com"]
    rules = {(one["backendRefs"][0]["name"], one["backendRefs"][0]["port"]): one for one in made["spec"]["rules"]}
    assert len(rules) == len(made["spec"]["rules"])
    lasting = {("chat-gateway", 8080): "/ws", ("chat-gateway", 8085): "/sse"}
    for target, path in lasting.items():
        assert rules[target]["matches"] == [{"path": {"type": "Exact", "value": path}}]
        assert rules[target]["timeouts"] == {"request": "0s"}
    assert {target for target, rule in rules.items() if "timeouts" in rule} == set(lasting)
    assert rules["chat-auth", 8081]["matches"] == [
        {"path": {"type": "PathPrefix", "value": "/auth"}}, {"path": {"type": "PathPrefix", "value": "/oauth"}},
        {"path": {"type": "Exact", "value": "/.well-known/jwks.json"}},
        {"path": {"type": "Exact", "value": "/openapi/auth.json"}},
    ]  # fmt: skip
    assert set(rules) == _services(_render(cluster()))
    assert "hostnames" not in _exposed("HTTPRoute", GATEWAY)["spec"]


@pytest.mark.parametrize(
    ("expose", "url"),
    [
        (None, ""),
        (INGRESS, "ws://chat.example.com/ws"),
        ({"ingress": {"host": "chat.example.com", "tlsSecret": "cert"}}, "wss://chat.example.com/ws"),
        (GATEWAY, ""),
        ({"gateway": {**GATEWAY["gateway"], "hostnames": ["*.a.example", "b.example"]}}, "wss://b.example/ws"),
    ],
)
def test_the_address_of_the_way_in(expose: Any, url: str) -> None:
    objects = _render(cluster(expose=expose))
    assert url_of(one for one in objects if one["kind"] in ("Ingress", "HTTPRoute")) == url
