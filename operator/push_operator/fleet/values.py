"""What is known of a fleet, as values. Times are seconds of one clock that only grows, unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Why(StrEnum):
    """For what a gateway was marked: it gets no new sockets."""

    SCALE_DOWN = "scale-down"
    ROLLOUT = "rollout"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Mark:
    """It stands on the unit itself, so that any operator finds it. `since` is Unix seconds."""

    why: Why
    since: float


@dataclass(frozen=True, slots=True)
class Draining:
    """`rate`: clients a second that are asked to come back elsewhere; `left`: that are still here; `stopping`: the
    process ends with it, and nothing takes that back."""

    rate: float
    left: int
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Stats:
    """What one gateway says of itself (`GET /stats`); counters grow within one `boot`. `loop_lag` is in seconds."""

    boot: str
    epoch: int = 0
    uptime: float = 0.0
    connections: int = 0
    max_connections: int = 15_000
    accepted: int = 0
    refused: int = 0
    auth_failures: int = 0
    disconnects: int = 0
    reconnects_asked: int = 0
    outbound_bytes: int = 0
    fell_behind: int = 0
    loop_lag: float = 0.0
    pressure: int = 0
    nats: bool = True
    nats_lost: int = 0
    frames_in: int = 0
    frames_out: int = 0
    delivered: int = 0
    cpu_seconds: float = 0.0
    rss_bytes: int = 0
    draining: Draining | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """`at`: when the question was sent."""

    at: float
    stats: Stats


@dataclass(frozen=True, slots=True)
class Gateway:
    """One unit. `pending`: its process has not begun. `leaving`: whoever ended it, it is no capacity, and what it holds
    comes back. `sample`: the last one, however old. `cordoned`: its node takes no more."""

    name: str
    uid: str
    revision: str
    ready: bool
    pending: bool = False
    leaving: bool = False
    mark: Mark | None = None
    cordoned: bool = False
    zone: str = ""
    restarts: int = 0
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class GatewaySet:
    """The units of one revision; `replicas` is what was asked for last, `version` changes with every change of it."""

    revision: str
    replicas: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class Bus:
    """The broker's own numbers. `pending_bytes` by the gateway's name where known; `slow_consumers` grows
    within one `started`. `lags`: messages that wait, by the service that reads them."""

    at: float
    started: str = ""
    slow_consumers: int = 0
    pending_bytes: Mapping[str, int] = field(default_factory=dict)
    lags: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fleet:
    """`wanted`: the revision that the manifest comes to. `bus` None: its numbers could not be read now."""

    wanted: str
    sets: tuple[GatewaySet, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    bus: Bus | None = None

    def size(self, revision: str) -> int:
        """What was asked for last of one revision; 0 when there is no such set."""
        return next((one.replicas for one in self.sets if one.revision == revision), 0)


@dataclass(frozen=True, slots=True)
class Shed:
    """A gateway asks some of its clients to come back, wherever that is, and goes on serving."""

    gateway: str
    connections: int
    rate: float


@dataclass(frozen=True, slots=True)
class Steps:
    """What to do now, in this order: grow, take marks back, mark, give drain orders, shrink. `sizes`: the sets whose
    size changes. `marks`: None takes one back, after its gateway was told to stay. `rates`: clients a second for each
    gateway that is being emptied. `gone`: the units that a smaller size is meant to take; no other may go."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[str, Why | None] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    sheds: tuple[Shed, ...] = ()
    gone: frozenset[str] = frozenset()
