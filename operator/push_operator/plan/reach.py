"""The servers that a manifest says are there already: whether to ask if they are, and what to say when they are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from push_operator.errors import Unreachable
from push_operator.model import External, PushCluster
from push_operator.plan.status import condition, generation
from push_operator.stores import ExternalCassandra

_NATS_PORT, _REDIS_PORT, _CASSANDRA_PORT = 4222, 6379, 9042
FIX: Final = "start it or correct the address"


@dataclass(frozen=True, slots=True)
class Point:
    """Where something should listen; `host` is a name or an address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """A server by the field that names it; one of its points is enough."""

    field: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """A target of which no point accepts a connection, and why not, point by point."""

    target: Target
    reasons: tuple[str, ...]


def is_due(body: Mapping[str, Any]) -> bool:
    """Only a generation that was not applied yet waits for its servers: a platform that runs is not frozen by an
    outage, and the notes of its components tell of it."""
    status = body.get("status") or {}
    stalled = condition(status, "Stalled") or {}
    waits = (stalled.get("status"), stalled.get("reason")) == ("True", Unreachable.reason)
    return waits or status.get("observedGeneration") != generation(body)


def targets(cluster: PushCluster) -> tuple[Target, ...]:
    """The servers that the manifest says are there already."""
    made = []
    if isinstance(cluster.nats, External):
        made.append(Target("spec.nats.url", (_point(cluster.nats.url, _NATS_PORT),)))
    if isinstance(cluster.redis, External):
        made.append(Target("spec.redis.url", (_point(cluster.redis.url, _REDIS_PORT),)))
    if isinstance(cluster.store, ExternalCassandra):
        points = tuple(_point(f"//{one}", _CASSANDRA_PORT) for one in cluster.store.contact_points)
        made.append(Target("spec.cassandra.contactPoints", points))
    return tuple(made)


def _point(url: str, default: int) -> Point:
    parts = urlsplit(url)
    return Point(parts.hostname or "", parts.port or default)


def told(lost: Sequence[Lost], fix: str = FIX) -> str:
    """One sentence for each; empty when all are there."""
    return "; ".join(f"{_sentence(one)}: {fix}" for one in lost)


def _sentence(lost: Lost) -> str:
    points = [f"{point} ({why})" for point, why in zip(lost.target.points, lost.reasons, strict=True)]
    if len(points) == 1:
        return f"{lost.target.field}: {points[0]} accepts no connection"
    return f"{lost.target.field}: none of {', '.join(points)} accepts a connection"
