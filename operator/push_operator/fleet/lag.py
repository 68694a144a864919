"""How many replicas of a service that reads a stream: one for each so many messages that wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from push_operator.scaling import LagScaling

UP_SECONDS: Final = 30.0  # between one step up and the next; each at most doubles
DOWN_SECONDS: Final = 300.0  # what was wanted in this time is kept
GAP_SECONDS: Final = 60.0  # between two looks of one window


class Limit(StrEnum):
    """What keeps the number from being what the lag alone would make it."""

    NONE = ""
    MIN = "minReplicas"
    MAX = "maxReplicas"
    UP = "scaleUp"
    DOWN = "scaleDown"
    UNKNOWN = "metrics"


@dataclass(frozen=True, slots=True)
class LagDecision:
    desired: int
    reason: str
    limited_by: Limit = Limit.NONE


@dataclass(frozen=True, slots=True)
class LagMemory:
    """`wants`: (time, replicas) of the last DOWN_SECONDS, each less than the one before: what is below a later want
    never counts again. `begun`: since when there is a memory. `grew`: the last step up."""

    wants: tuple[tuple[float, int], ...] = ()
    begun: float | None = None
    grew: float = float("-inf")


def want(
    scaling: LagScaling, current: int, lag: int | None, memory: LagMemory, now: float
) -> tuple[LagDecision, LagMemory]:
    """`current` is what was asked for last; `lag` None: it is not known, and nothing changes but for the manifest's
    bounds, which hold at once. To be asked once a tick."""
    base = _clamped(current, scaling)
    bare = base if lag is None else -(-lag // scaling.target_lag)
    wanted = _clamped(bare, scaling)
    memory = _remembered(memory, wanted, now)
    if lag is None:
        decision = LagDecision(base, "the lag is not known", Limit.UNKNOWN)
    elif wanted > base:
        decision = _up(base, wanted, lag, memory, now)
    else:
        decision = _down(base, wanted, lag, memory, now)
    if decision.desired == wanted != bare:
        decision = replace(decision, limited_by=Limit.MIN if bare < wanted else Limit.MAX)
    return decision, replace(memory, grew=now) if decision.desired > base else memory


def _clamped(size: int, scaling: LagScaling) -> int:
    return max(scaling.min_replicas, min(scaling.max_replicas, size))


def _remembered(memory: LagMemory, wanted: int, now: float) -> LagMemory:
    """After a time without looks there is nothing to go by: the window begins anew."""
    gone = memory.begun is None or now - memory.wants[-1][0] > GAP_SECONDS
    earlier = () if gone else tuple(one for one in memory.wants if one[1] > wanted and now - one[0] <= DOWN_SECONDS)
    return replace(memory, wants=(*earlier, (now, wanted)), begun=now if gone else memory.begun)


def _up(base: int, wanted: int, lag: int, memory: LagMemory, now: float) -> LagDecision:
    if now - memory.grew < UP_SECONDS:
        return LagDecision(base, f"{lag} messages wait; the last step up is still young", Limit.UP)
    desired = min(wanted, max(1, 2 * base))
    return LagDecision(desired, f"{lag} messages wait", Limit.NONE if desired == wanted else Limit.UP)


def _down(base: int, wanted: int, lag: int, memory: LagMemory, now: float) -> LagDecision:
    """To the most that was wanted within the window, once it has been watched whole."""
    whole = memory.begun is not None and now - memory.begun >= DOWN_SECONDS
    desired = min(base, memory.wants[0][1]) if whole else base
    return LagDecision(desired, f"{lag} messages wait", Limit.NONE if desired == wanted else Limit.DOWN)
