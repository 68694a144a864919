"""What the tests need of a cluster, whichever provider it is of."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class NoCluster(Exception):
    """This machine cannot run one; the text says what to install."""


class Provider(Protocol):
    """`kubeconfig`: an administrator's. `programs`: the folder with kubectl and helm."""

    programs: Path
    kubeconfig: Path

    def start(self) -> None:
        """Returns when a node is Ready. Raises NoCluster before anything is started."""

    def share(self) -> None:
        """Tests that are started while it runs use this one, instead of one of their own."""

    def load(self, image: str, archive: Path) -> None:
        """Puts an image on every node under this name; pods find it without a registry."""

    def stop(self) -> None:
        """Leaves nothing behind, however `start` went."""
