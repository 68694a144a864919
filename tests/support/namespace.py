"""One namespace of a real API server. `settle` plays the kubelet's part: it says that pods are ready, and gives each
gateway an admin port."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.support.gateways import AdminPort
from tests.support.kube import ApiServer
from tests.support.waiting import within

Object = dict[str, Any]


class Namespace:
    """One namespace of the API server, for one test."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self.server, self.name = server, name
        self.gateways: dict[str, AdminPort] = {}
        server.must("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def path(self, plural: str, name: str = "", api: str = "/api/v1") -> str:
        return f"{api}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def apps(self, plural: str, name: str = "") -> str:
        return self.path(plural, name, "/apis/apps/v1")

    def push(self, name: str = "chat", subresource: str = "") -> str:
        path = self.path("pushclusters", name, "/apis/pushcluster.io/v1alpha1")
        return f"{path}/{subresource}" if subresource else path

    def create(self, body: Mapping[str, Any]) -> Object:
        made: Object = self.server.must("POST", self.push(""), body)
        return made

    def items(self, path: str) -> list[Object]:
        found: list[Object] = self.server.get(path)["items"]
        return found

    def names(self, path: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.items(path)}

    def condition(self, kind: str, name: str = "chat") -> tuple[str, str]:
        """Status and reason; empty while there is none."""
        body = self.server.get(self.push(name)) or {}
        for one in (body.get("status") or {}).get("conditions") or ():
            if one["type"] == kind:
                return one["status"], one["reason"]
        return "", ""

    def close(self) -> None:
        for one in self.gateways.values():
            one.close()
        self.gateways.clear()

    def settle(self) -> None:
        """Says of every pod that it runs and is ready, as a kubelet would; a gateway that drains is not ready."""
        pods = {one["metadata"]["name"]: one for one in self.items(self.path("pods"))}
        for name in self.gateways.keys() - pods.keys():
            self.gateways.pop(name).close()
        for name, pod in pods.items():
            status, before = self._status(name, pod), pod.get("status", {})
            if "deletionTimestamp" not in pod["metadata"] and _told(before) != _told(status):
                path = self.path("pods", name) + "/status"
                self.server.ask("PATCH", path, {"status": status}, "application/merge-patch+json")

    def _status(self, name: str, pod: Object) -> Object:
        ready, address = "True", {}
        if pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "gateway":
            port = self.gateways.get(name) or self.gateways.setdefault(name, AdminPort())
            ready = "False" if port.draining else "True"
            address = {"podIP": port.address, "podIPs": [{"ip": port.address}]}
        states = {"Ready": ready, "ContainersReady": ready, "PodScheduled": "True"}
        return {"phase": "Running", "conditions": [{"type": k, "status": v} for k, v in states.items()], **address}

    def until(self, holds: Callable[[], object], seconds: float = 30.0) -> None:
        """With a kubelet at work until something holds."""

        def step() -> object:
            self.settle()
            return holds()

        within(seconds, step)


def _told(status: Object) -> tuple[Any, ...]:
    ready = [one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"]
    return status.get("phase"), status.get("podIP"), ready
