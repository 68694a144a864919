"""The operator's rights: enough for a whole life of a PushCluster, and not one more than it uses."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.integration.kubernetes.conftest import StartOperator
from tests.support.chart import objects, rendered
from tests.support.kube import ApiServer
from tests.support.namespace import Namespace
from tests.support.verdicts import manifest
from tests.support.waiting import within

from push_operator.cluster.kubernetes.kinds import CHILDREN

APPLIED = {(kind.group, kind.plural) for kind in CHILDREN}
Right = tuple[str, str, str]  # group, resource, verb


def _granted(rights: str) -> Iterator[Right]:
    for one in objects(rights):
        for rule in one.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    yield from ((group, resource, verb) for verb in rule["verbs"])


def _used(server: ApiServer) -> tuple[set[Right], set[Right]]:
    """What was asked for and allowed, and what was refused."""
    allowed: set[Right] = set()
    refused: set[Right] = set()
    for line in server.audit.read_text().splitlines():
        event = json.loads(line)
        if "objectRef" not in event or "resource" not in event["objectRef"]:
            continue  # discovery
        ref = event["objectRef"]
        resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
        right = (ref.get("apiGroup", ""), resource, event["verb"])
        (refused if event["annotations"]["authorization.k8s.io/decision"] == "forbid" else allowed).add(right)
    return allowed, refused


def test_what_is_granted_is_what_is_used(
    server: ApiServer, gateway_api: ApiServer, monitoring: ApiServer, namespace: Namespace,
    start_operator: StartOperator, elsewhere: str,
) -> None:  # fmt: skip
    server.must("POST", "/api/v1/namespaces", {"metadata": {"name": "push-system"}})
    rights = rendered(server.programs, template="rbac")
    server.kubectl("apply", "-f", "-", text=rights)
    token = server.kubectl("create", "token", "push-operator", "-n", "push-system").strip()
    operator = start_operator(
        KUBECONFIG=str(server.kubeconfig_for(token, "service-account")), POD_NAMESPACE="push-system",
        WATCH_NAMESPACES="", RESYNC_SECONDS="2",
    )  # fmt: skip
    within(30, operator.leads)

    def ready() -> bool:
        return namespace.condition("Ready") == ("True", "AllReady")

    watched = {"serviceMonitor": True, "rules": True}
    namespace.create(manifest(expose={"gateway": {"parentRefs": [{"name": "public"}]}}, monitoring=watched))
    namespace.until(ready)
    # Each kind of object has a reason to go once.
    changed = {"version": "0.2.0", "gateway": {"replicas": 1}, "nats": {"url": f"nats://{elsewhere}"},
               "redis": {"url": f"redis://{elsewhere}"},
               "expose": {"gateway": None, "ingress": {"host": "chat.example.com"}}, "monitoring": None}  # fmt: skip
    server.merge(namespace.push(), {"spec": changed})
    namespace.until(lambda: not namespace.items(namespace.apps("statefulsets")))
    namespace.until(ready)
    server.merge(namespace.push(), {"spec": {"expose": None}})
    namespace.until(lambda: not namespace.items(namespace.path("ingresses", api="/apis/networking.k8s.io/v1")))
    # A key that is missing is made again, beside the others.
    secret = namespace.path("secrets", "chat-credentials")
    kept = server.get(secret)["data"]["NATS_PASSWORD_GATEWAY"]
    server.merge(secret, {"data": {"JWT_SECRET": None}})
    within(20, lambda: "JWT_SECRET" in server.get(secret)["data"])
    assert server.get(secret)["data"]["NATS_PASSWORD_GATEWAY"] == kept

    granted = set(_granted(rights))

    used: set[Right] = set()

    def everything_used() -> bool:
        allowed, refused = _used(server)
        assert not refused
        # The API server asks for "create" inside a patch that makes an object, and logs the patch.
        by_apply = {
            (group, resource, "create")
            for group, resource, verb in allowed
            if verb == "patch" and (group, resource) in APPLIED
        }
        used.update(allowed | by_apply)
        return used >= granted

    try:
        within(20, everything_used)
    finally:
        assert used == granted


def test_with_namespaces_named_it_has_no_right_elsewhere(
    server: ApiServer, namespace: Namespace, start_operator: StartOperator
) -> None:
    home = namespace.name
    rights = rendered(server.programs, "--set", f"watchNamespaces={{{home}}}", template="rbac", namespace=home)
    assert {one["kind"] for one in objects(rights)} == {"ServiceAccount", "Role", "RoleBinding"}
    server.kubectl("apply", "-f", "-", text=rights)
    token = server.kubectl("create", "token", "push-operator", "-n", home).strip()
    operator = start_operator(KUBECONFIG=str(server.kubeconfig_for(token, "namespaced")))
    within(30, operator.leads)
    namespace.create(manifest())
    namespace.until(lambda: namespace.condition("Ready") == ("True", "AllReady"))
    assert "may not" not in operator.log.read_text()
