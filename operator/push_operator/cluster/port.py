"""What the operator needs of wherever things run. Everything is keyed by `namespace/name` of a PushCluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from push_operator.fleet.values import GatewaySet, Mark
from push_operator.plan.events import Event
from push_operator.plan.observed import Observed, Unit
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
        """Makes what runs into `plan`, and removes what is not in it. Idempotent; returns before units are ready.

        Gateways have a set for each revision, whose units are never replaced in place. The set of the plan's revision
        is made when it is not there: with all of the plan's replicas when it is the only one, otherwise empty. From
        then on sizes are `resize`'s alone; a set of another revision goes once it is empty.
        """

    async def admin_token(self, key: str) -> str:
        """What makes orders to this cluster's gateways good; empty as long as there is none."""

    async def mark(self, key: str, unit: Unit, mark: Mark | None) -> None:
        """Takes a gateway out of, or back among, those that get new sockets. Raises Conflict when it is another unit
        by now, NotFound when there is none of that name."""

    async def resize(self, key: str, one: GatewaySet, size: int, gone: frozenset[str]) -> None:
        """Makes a set of gateways as large as said. Raises Conflict, and changes nothing, when the set is another one
        than was observed, or when a smaller one would take a unit that is not among `gone`."""

    async def publish(self, key: str, status: Status, events: tuple[Event, ...]) -> None:
        """Writes the object's status, and tells what happened on the way to it."""

    def changes(self) -> AsyncIterator[str]:
        """Keys of objects that may need work: on each change of the object or of a unit, and once at the start."""
