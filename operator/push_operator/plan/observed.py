"""What a cluster says is there: the other input of planning, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Unit:
    """One running instance (a pod, a process). `note` says why it is not ready, in words for a person."""

    name: str
    component: str
    revision: str
    ready: bool
    note: str = ""
    restarts: int = 0
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """The object as it stands and the units that belong to it. `body` None: the object is gone, or going.

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
