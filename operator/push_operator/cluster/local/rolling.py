"""Which units to start and to stop next, so that one workload comes nearer to its plan; gateways have sets. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SURGE = 1  # units beyond the wanted number while a new revision comes in


@dataclass(frozen=True, slots=True)
class Member:
    """One unit as far as the decision goes."""

    name: str
    revision: str
    ordinal: int
    ready: bool
    stopping: bool


@dataclass(frozen=True, slots=True)
class Steps:
    """Ordinals of the wanted revision to start, names of units to stop."""

    start: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()


def next_steps(revision: str, replicas: int, members: Sequence[Member], *, alone: bool) -> Steps:
    """One step. Taken again after each change, the steps end at `replicas` units of `revision` and no others.

    `alone`: units of two revisions may not run beside each other (they would share files), so the old ones go first.
    Otherwise a new one comes up and is ready before an old one goes.
    """
    living = [member for member in members if not member.stopping]
    new = [member for member in living if member.revision == revision]
    old = [member for member in living if member.revision != revision]
    if alone and (old or any(member.stopping for member in members)):
        return Steps(stop=tuple(member.name for member in old))
    surplus = _last_ordinals(new, len(new) - replicas)
    room = replicas - len(new) if not old else replicas + SURGE - len(new) - len(old)
    missing = max(0, min(room, replicas - len(new)))
    ready = sum(member.ready for member in new)
    return Steps(
        start=free_ordinals(revision, members, missing),
        stop=surplus + _least_useful(old, len(old) - max(0, replicas - ready)),
    )


def _last_ordinals(members: Sequence[Member], count: int) -> tuple[str, ...]:
    by_ordinal = sorted(members, key=lambda member: -member.ordinal)
    return tuple(member.name for member in by_ordinal[: max(0, count)])


def _least_useful(members: Sequence[Member], count: int) -> tuple[str, ...]:
    """Those that serve nobody first, then the highest ordinals."""
    by_use = sorted(members, key=lambda member: (member.ready, -member.ordinal))
    return tuple(member.name for member in by_use[: max(0, count)])


def free_ordinals(revision: str, members: Sequence[Member], count: int) -> tuple[int, ...]:
    """The lowest ones whose name nobody has, a unit that is still stopping included; none when `count` is below 1."""
    taken = {member.ordinal for member in members if member.revision == revision}
    return tuple(number for number in range(len(taken) + count) if number not in taken)[: max(0, count)]
