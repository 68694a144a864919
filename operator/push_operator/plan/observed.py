"""What a cluster says is there: the other input of planning, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from push_operator.fleet.values import GatewaySet, Mark


@dataclass(frozen=True, slots=True)
class Unit:
    """One running instance (a pod, a process). `note` says why it is not ready, in words for a person. `address` is the
    root of its admin port. `pending`: its process has not begun."""

    name: str
    component: str
    revision: str
    ready: bool
    note: str = ""
    restarts: int = 0
    details: Mapping[str, Any] | None = None
    uid: str = ""
    address: str = ""
    pending: bool = False
    mark: Mark | None = None
    cordoned: bool = False
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """The object as it stands and the units that belong to it. `body` None: the object is gone, or going.

    `leaving`: units that are being ended, by whomever; they are not among `units`. `sets`: the gateways by revision.
    `bus`: where the broker's monitoring is, empty when there is none.

    `outdated`: components that this operator would make otherwise, as soon as they are made anew.

    `selector` finds the gateways that serve, where there is a scale subresource that tells it. `url` is where clients
    from outside open their socket, where there is such a way in. `failures` says by component why units cannot even be
    made.
    """

    body: Mapping[str, Any] | None
    units: tuple[Unit, ...] = ()
    endpoints: Mapping[str, str] | None = None
    origins: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    selector: str = ""
    url: str = ""
    failures: Mapping[str, str] = field(default_factory=dict)
    leaving: tuple[Unit, ...] = ()
    sets: tuple[GatewaySet, ...] = ()
    bus: str = ""
    outdated: tuple[str, ...] = ()
