"""The installed operator, and one namespace with one platform in it, as kubectl and its clients see them."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from aiohttp import ClientSession

from push_operator.model import SERVICES
from push_operator.plan.services import PUBLIC_PORTS
from tests.e2e.running import ROOT, Account, registered
from tests.support.chart import CHART
from tests.support.cluster.images import CASSANDRA, NATS, VALKEY
from tests.support.cluster.running import Cluster
from tests.support.waiting import within

SMALL: Final = ROOT / "examples" / "small.yaml"
SYSTEM: Final = "push-system"
READY_SECONDS: Final = 240.0  # a loaded machine is no failure
GONE_SECONDS: Final = 180.0
_LITTLE: Final = {"resources": {"requests": {"cpu": "10m"}}}
Object = dict[str, Any]


def small(**spec: Any) -> Object:
    """examples/small.yaml, asking for so little CPU that two revisions of it fit on two cores."""
    body: Object = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    for service in SERVICES:
        body["spec"][service] = _LITTLE | body["spec"].get(service, {})
    body["spec"] |= spec
    return body


class Operator:
    """The release, and its two pods."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def install(self, *options: str) -> str:
        return self._cluster.helm(
            "upgrade", "--install", "push-operator", str(CHART), "--namespace", SYSTEM, "--create-namespace",
            "--set", f"natsImage={NATS},valkeyImage={VALKEY},cassandraImage={CASSANDRA}", "--wait", "--timeout", "3m",
            *options,
        )  # fmt: skip

    def uninstall(self) -> None:
        self._cluster.helm("uninstall", "push-operator", "--namespace", SYSTEM, "--wait", "--timeout", "2m")

    def pods(self) -> dict[str, Object]:
        found = self._cluster.items("pods", "-n", SYSTEM)
        return {one["metadata"]["name"]: one for one in found if "deletionTimestamp" not in one["metadata"]}

    def leader(self) -> str:
        """The pod that holds the Lease; empty while nobody does."""
        lease = self._cluster.get("lease", "push-operator", "-n", SYSTEM)
        return str(lease["spec"].get("holderIdentity") or "") if lease else ""

    def answer(self, pod: str, path: str) -> str:
        """What a pod's admin port says, by way of the API server."""
        return self._cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:9090/proxy{path}")

    def writes(self, pod: str) -> float:
        """How many requests of it have changed something, leases aside."""
        lines = self.answer(pod, "/metrics").splitlines()
        told: list[str] = [line for line in lines if line.startswith("push_operator_api_requests_total")]
        changing = [
            line for line in told if 'resource="leases"' not in line and ('"patch"' in line or '"create"' in line)
        ]
        return sum(float(line.rsplit(" ", 1)[1]) for line in changing)


class Place:
    """A namespace; its PushCluster is called chat."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name
        cluster.kubectl("create", "namespace", name)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.name, *arguments, text=text)

    def get(self, *arguments: str) -> Any:
        return self.cluster.get("-n", self.name, *arguments)

    def names(self, *arguments: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.cluster.items("-n", self.name, *arguments)}

    def pods(self, component: str) -> dict[str, Object]:
        """Those that are not on their way out, by name."""
        found = self.cluster.items("-n", self.name, "pods", "-l", f"app.kubernetes.io/component={component}")
        return {one["metadata"]["name"]: one for one in found if "deletionTimestamp" not in one["metadata"]}

    # The PushCluster --------------------------------------------------------------------------------------------------

    def apply(self, manifest: Path | Mapping[str, Any]) -> None:
        text = manifest.read_text() if isinstance(manifest, Path) else json.dumps(manifest)
        self.kubectl("apply", "-f", "-", text=text)

    def change(self, spec: Mapping[str, Any]) -> None:
        self.kubectl("patch", "pcl", "chat", "--type=merge", "-p", json.dumps({"spec": spec}))

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message."""
        status = (self.get("pcl", "chat") or {}).get("status") or {}
        found: Object = next((one for one in status.get("conditions") or () if one["type"] == kind), {})
        return found.get("status", ""), found.get("reason", ""), found.get("message", "")

    def is_ready(self) -> bool:
        """Of this very generation."""
        body = self.get("pcl", "chat") or {}
        seen = (body.get("status") or {}).get("observedGeneration") == (body.get("metadata") or {}).get("generation")
        return seen and self.condition("Ready")[0] == "True"

    def until_ready(self) -> None:
        try:
            within(READY_SECONDS, self.is_ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.told()}") from error

    def told(self) -> str:
        """For a failed test: what a person would look at."""
        return "\n".join(
            self.cluster.attempt("kubectl", "-n", self.name, *what).stdout
            for what in (("get", "pcl,pods,pvc"), ("describe", "pcl"), ("get", "events.events.k8s.io"))
        )

    def remove(self) -> None:
        """Returns when its pods are gone: the next test needs their share of the machine."""
        self.kubectl("delete", "pcl", "--all", "--wait=false")
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false")
        within(GONE_SECONDS, lambda: not self.cluster.items("-n", self.name, "pods"))

    # Its clients ------------------------------------------------------------------------------------------------------

    def outside(self, component: str) -> str:
        """`host:port` at which the pods behind a component's Service are reached from this machine."""
        name = f"outside-{component}"
        if self.get("service", name) is None:
            port = PUBLIC_PORTS[component]
            selector = self.get("service", f"chat-{component}")["spec"]["selector"]
            spec = {"type": "NodePort", "selector": selector, "ports": [{"port": port, "targetPort": "public"}]}
            body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
            self.kubectl("create", "-f", "-", text=json.dumps(body))
            within(READY_SECONDS, lambda: _accepts(*self._node_port(name)))  # the nodes learn of it a little later
        host, port = self._node_port(name)
        return f"{host}:{port}"

    def _node_port(self, service: str) -> tuple[str, int]:
        port = self.get("service", service)["spec"]["ports"][0]["nodePort"]
        return self.cluster.node_address(), port

    def url(self, component: str, path: str) -> str:
        return f"http://{self.outside(component)}{path}"

    async def register(self, http: ClientSession) -> Account:
        return await registered(http, self.url("auth", "/auth/register"))


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
