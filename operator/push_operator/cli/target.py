"""What a command works on: a platform on this machine, or PushClusters in a Kubernetes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from push_operator.plan.observed import Unit


@dataclass(frozen=True, slots=True)
class Platform:
    """One PushCluster as it stands, and its units as mappings. `page`: the demo page; None in a Kubernetes, which
    serves none."""

    body: Mapping[str, Any]
    units: Sequence[Mapping[str, Any]]
    page: str | None = None


@dataclass(frozen=True, slots=True)
class AdminPort:
    """A port of a service: where it is from here, and the token that makes what is asked there good."""

    host: str
    port: int
    token: str = field(repr=False)


def as_mapping(unit: Unit) -> dict[str, Any]:
    """Of what JSON and YAML know alone."""
    mark = {"why": unit.mark.why.value, "since": unit.mark.since} if unit.mark is not None else None
    return {**asdict(unit), "mark": mark}


class Target(Protocol):
    """What can be done in both places. Each may raise OperatorError; none waits without an end."""

    def platforms(self) -> Sequence[Platform]:
        """What is there, at least one. Changes nothing."""

    def put(self, file: str) -> str:
        """Applies a manifest file and tells what was applied. Raises SpecError before anything is sent."""

    def scale(self, component: str, replicas: int) -> str:
        """Asks for another number of one component, and tells where. Raises ClusterError where it is another's to
        find."""

    def steer(self, action: str) -> str:
        """Resumes or undoes the rollout of the gateways, and tells of which. Raises ClusterError when there is none."""

    def admin(self, component: str) -> AbstractContextManager[AdminPort]:
        """An admin port of a component, to be reached as long as the context is open."""

    def public(self, component: str) -> AbstractContextManager[AdminPort]:
        """A component's port for clients, with the service credential that may do all; the same way."""

    def rotate_keys(self, *, at_once: bool) -> str:
        """Makes one more key that signs access tokens, and tells when it does; `at_once`: and makes the others void.
        Raises ClusterError where the keys are the user's own, or it is too soon."""

    def logs(self, component: str, tail: int, *, follow: bool) -> Generator[str, None, None]:
        """The newest `tail` lines of a component, oldest first, then without end what is written from now on."""
