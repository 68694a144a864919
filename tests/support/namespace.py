"""One namespace of a real API server. `settle` plays the kubelet's part: it says that the pods are ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.support.kube import ApiServer
from tests.support.waiting import within

Object = dict[str, Any]


class Namespace:
    """One namespace of the API server, for one test."""

    def __init__(self, server: ApiServer, name: str) -> None:
        self.server, self.name = server, name
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

    def settle(self) -> None:
        """Says of every pod that it runs and is ready, as a kubelet would."""
        for pod in self.items(self.path("pods")):
            conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "PodScheduled")]
            status = {"phase": "Running", "conditions": conditions}
            path = self.path("pods", pod["metadata"]["name"]) + "/status"
            if pod.get("status", {}).get("phase") != "Running" and "deletionTimestamp" not in pod["metadata"]:
                self.server.ask("PATCH", path, {"status": status}, "application/merge-patch+json")

    def until(self, holds: Callable[[], object], seconds: float = 30.0) -> None:
        """With a kubelet at work until something holds."""

        def step() -> object:
            self.settle()
            return holds()

        within(seconds, step)
