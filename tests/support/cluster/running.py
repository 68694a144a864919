"""A running cluster as tests and people use it: kubectl, helm, and a port of this machine for a Service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.cluster.bare import BareCluster
from tests.support.cluster.images import Images
from tests.support.cluster.kind import KindCluster, docker_runs
from tests.support.cluster.port import Provider

COMMAND_SECONDS: Final = 300.0


class Cluster:
    """Commands against it fail the test that gives them, with what they said."""

    def __init__(self, provider: Provider, images: Images) -> None:
        self._provider, self.images = provider, images
        self.programs, self.kubeconfig = provider.programs, provider.kubeconfig

    def share(self) -> None:
        self._provider.share()

    @property
    def environ(self) -> dict[str, str]:
        """For any program that talks to the cluster."""
        path = (
            f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"  # kubectl, helm; push, kubectl-push
        )
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def run(self, *command: str, text: str | None = None) -> str:
        done = self.attempt(*command, text=text)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def attempt(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """For those that may be refused."""
        return subprocess.run(command, input=text, env=self.environ, capture_output=True, text=True,
                              timeout=COMMAND_SECONDS, check=False)  # fmt: skip

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.run("kubectl", *arguments, text=text)

    def helm(self, *arguments: str) -> str:
        return self.run("helm", *arguments)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` answers, decoded; None when it is not there."""
        done = self.attempt("kubectl", "get", *arguments, "-o", "json", "--ignore-not-found")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        found = self.get(*arguments)
        return list(found["items"]) if found else []

    def node_address(self) -> str:
        """Where NodePorts answer."""
        addresses = self.items("nodes")[-1]["status"]["addresses"]
        return str(next(one["address"] for one in addresses if one["type"] == "InternalIP"))


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """kind where Docker runs, else the bare machine's. Raises NoCluster."""
    docker = docker_runs()
    provider: Provider = KindCluster() if docker else BareCluster()
    try:
        provider.start()
        yield Cluster(provider, Images(provider, docker=docker))
    finally:
        provider.stop()
