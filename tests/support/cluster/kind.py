"""Kubernetes in Docker, where `docker info` succeeds: the nodes of kind-config.yaml."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.support.cluster.port import NoCluster
from tests.support.kube import built_programs

NAME: Final = "pushcluster-tests"
CONFIG: Final = Path(__file__).parents[3] / "kind-config.yaml"
READY: Final = "180s"


class KindCluster:
    """The Provider port. A cluster of that name is an earlier, killed run's, and removed first."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="push-kind-")
        self.kubeconfig = Path(self._folder.name) / "kubeconfig"
        self.programs = Path()

    def start(self) -> None:
        if shutil.which("kind") is None:
            raise NoCluster("Docker runs here, but there is no kind: install it")
        programs = built_programs()
        if programs is None:
            raise NoCluster("no Go on this machine and none to be had: no kubectl and helm")
        self.programs = programs
        _kind("delete", "cluster", "--name", NAME)
        _kind("create", "cluster", "--name", NAME, "--config", str(CONFIG), "--kubeconfig", str(self.kubeconfig),
              "--wait", READY)  # fmt: skip

    def share(self) -> None:
        """Nothing to do: kind's clusters have names, and tests begin with a new one of theirs."""

    def load(self, image: str, archive: Path) -> None:
        _kind("load", "image-archive", str(archive), "--name", NAME)

    def stop(self) -> None:
        if self.kubeconfig.exists():
            _kind("delete", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig))
        self._folder.cleanup()


def docker_runs() -> bool:
    """`docker` may be there without an engine."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def _kind(*arguments: str) -> None:
    done = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"kind {' '.join(arguments)}: {done.stderr}"
