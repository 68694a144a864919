"""What the manifest says of how many of a service there are, and how gateways are sent away, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """Who says how many gateways there are: the manifest, the operator, or whoever uses the scale subresource."""

    FIXED = "Fixed"
    OPERATOR = "Operator"
    EXTERNAL = "External"


@dataclass(frozen=True, slots=True)
class Window:
    """At least `min_replicas` while it is open: from each time that `start` names (a cron line of five fields, UTC),
    for so many `minutes`."""

    start: str
    minutes: int
    min_replicas: int


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """Of the gateways. `headroom_percent` is a share of the future size: at 20, a gateway is planned for 80 % of
    `target_connections`. `accept_rate` is new connections a second that one gateway takes."""

    min_replicas: int = 1
    max_replicas: int = 2
    target_connections: int = 8000
    headroom_percent: int = 20
    accept_rate: int = 500
    stabilization_seconds: int = 300
    max_concurrent_drains: int = 1
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Drain:
    """How gateways are emptied: `timeout_seconds` until everyone has been told, `reconnects_per_second` of the whole
    fleet."""

    timeout_seconds: int = 300
    reconnects_per_second: int = 200


@dataclass(frozen=True, slots=True)
class GatewayScaling:
    """`replicas`: required unless the mode is OPERATOR, where it is None."""

    mode: Mode = Mode.FIXED
    replicas: int | None = 1
    autoscaling: Autoscaling = Autoscaling()
    drain: Drain = Drain()


@dataclass(frozen=True, slots=True)
class LagScaling:
    """Of a service that reads a stream: one replica for each `target_lag` messages that wait for it."""

    min_replicas: int
    max_replicas: int
    target_lag: int
