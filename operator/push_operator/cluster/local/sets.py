"""The gateways by revision: how many are wanted of each, and which of them a smaller set takes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from push_operator.errors import Conflict
from push_operator.fleet.values import GatewaySet
from push_operator.plan.workload import Workload

GATEWAY: Final = "gateway"


@dataclass(frozen=True, slots=True)
class _Kept:
    """`workload` is what the set was made of, with as many replicas as are wanted now: one of an old revision can grow
    again when a rollout is undone."""

    workload: Workload
    version: str

    def as_value(self) -> GatewaySet:
        return GatewaySet(self.workload.revision, self.workload.replicas, self.version)


class GatewaySets:
    """Kept in memory alone: no process outlives this one, so there is nothing that a file could tell the next."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._versions = count(1)

    def all(self) -> tuple[GatewaySet, ...]:
        return tuple(one.as_value() for one in self._kept.values())

    def workloads(self) -> tuple[Workload, ...]:
        return tuple(one.workload for one in self._kept.values())

    def plan(self, workload: Workload | None) -> None:
        """Makes the set of the workload's revision, which is empty beside others, and forgets those that are empty."""
        if workload is None:
            self._kept.clear()
            return
        if workload.revision not in self._kept:
            self._put(replace(workload, replicas=0) if self._kept else workload)
        for revision in [one.revision for one in self.all() if not one.replicas and one.revision != workload.revision]:
            del self._kept[revision]

    def resize(self, observed: GatewaySet, size: int, living: Sequence[str], gone: Collection[str]) -> tuple[str, ...]:
        """Takes note of another size and returns who goes, of the `living` those first that come first.

        Raises Conflict, and then nothing has changed, when the set is another one than was observed, or when more of
        them would go than are in `gone`.
        """
        kept = self._kept.get(observed.revision)
        if kept is None or kept.as_value() != observed:
            raise Conflict(f"the gateways of {observed.revision} have changed")
        going = [name for name in living if name in gone][: max(0, len(living) - size)]
        if len(going) < len(living) - size:
            stays = next(name for name in living if name not in gone)
            raise Conflict(f"{size} gateways of {observed.revision} are too few: {stays} would go as well")
        if size != observed.replicas:
            self._put(replace(kept.workload, replicas=size))
        return tuple(going)

    def _put(self, workload: Workload) -> None:
        self._kept[workload.revision] = _Kept(workload, str(next(self._versions)))
