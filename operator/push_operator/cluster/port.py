"""What the operator needs of wherever things run. Everything is keyed by `namespace/name` of a PushCluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from push_operator.plan.events import Event
from push_operator.plan.observed import Observed
from push_operator.plan.reach import Target
from push_operator.plan.secrets import Secrets
from push_operator.plan.status import Status
from push_operator.plan.workload import Plan


class Cluster(Protocol):
    """The smallest port. Each method may raise ClusterError, whose text says what a person should change."""

    async def observe(self, key: str) -> Observed:
        """The object and its units as they are now."""

    async def secrets(self, key: str, plan: Plan) -> Secrets:
        """What the Secrets of the user's that the plan refers to hold now; each is read once."""

    async def unreachable(self, key: str, targets: tuple[Target, ...]) -> str:
        """Which of the targets accept no connection, in words and with what to do; empty when all do."""

    async def apply(self, key: str, plan: Plan) -> None:
        """Makes what runs into `plan`, and removes what is not in it. Idempotent; returns before units are ready."""

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        """Writes the object's status, and tells what happened on the way to it."""

    def changes(self) -> AsyncIterator[str]:
        """Keys of objects that may need work: on each change of the object or of a unit, and once at the start."""
