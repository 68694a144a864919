"""Which target a command is for: the one that is asked for, else the platform that runs here, else a Kubernetes."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from push_operator.cli.client import PlatformClient
from push_operator.cli.kube import KubeTarget
from push_operator.cli.kubectl import Kubectl, Place
from push_operator.cli.local import LocalTarget
from push_operator.cli.target import Target
from push_operator.cluster.local.state import StateFolder
from push_operator.errors import ClusterError, OperatorError

LOCAL, KUBE = "local", "kube"


def target_of(options: Namespace) -> Target:
    """Raises OperatorError when the options contradict each other, or nothing is there."""
    state, name = state_of(options), getattr(options, "name", None)
    kubectl = Kubectl(_place(options))
    asked = asked_for(options.target, _place(options), options.state) or options.otherwise
    if (asked or _found(state, kubectl, options.command)) == LOCAL:
        return LocalTarget(state, name)
    return KubeTarget(kubectl, name)


def state_of(options: Namespace) -> StateFolder:
    return StateFolder(Path(options.state or os.environ.get("PUSH_STATE") or ".push"))


def asked_for(target: str | None, place: Place, state: str | None) -> str | None:
    """What the options say, None when they leave it open."""
    if (target == LOCAL or state) and (target == KUBE or place.given):
        raise OperatorError(
            "--state is of a platform on this machine; --context, --namespace and --kubeconfig are of a Kubernetes: "
            "give those of one target"
        )
    return target or (LOCAL if state else None) or (KUBE if place.given else None)


def _found(state: StateFolder, kubectl: Kubectl, command: str) -> str:
    if PlatformClient(state).listens():
        return LOCAL
    try:
        kubectl.context()
    except ClusterError as error:
        if command == "logs" and state.logs.is_dir():
            return LOCAL  # those of a platform that has ended
        raise OperatorError(
            f"no platform is running in {state.root} (start it with `push up FILE`), and no Kubernetes is at hand "
            f"(choose one with --context): {error}"
        ) from error
    return KUBE


def _place(options: Namespace) -> Place:
    return Place(options.context, options.namespace, options.kubeconfig)
