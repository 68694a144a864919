"""How many replicas of a service that reads a stream: one for each so many messages that wait for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from push_operator.fleet.memory import Peaks, with_value
from push_operator.scaling import LagScaling

WINDOW_SECONDS: Final = 300.0  # it shrinks to what was wanted at any moment of it
STEP_SECONDS: Final = 30.0  # between two doublings


@dataclass(frozen=True, slots=True)
class LagMemory:
    """`began`: since when this process looks. `desired`: what was decided last."""

    began: float
    desired: int | None = None
    wants: Peaks = ()
    raised: float | None = None


@dataclass(frozen=True, slots=True)
class LagDecision:
    """`reason` is one word for machines, `message` says the same to people."""

    desired: int
    reason: str
    message: str


def replicas_for(scaling: LagScaling, lag: int | None, memory: LagMemory, now: float) -> tuple[LagDecision, LagMemory]:
    """`lag`: messages that wait, and those that are being worked on; None when nobody knows: then nothing changes."""
    current = min(max(memory.desired or scaling.min_replicas, scaling.min_replicas), scaling.max_replicas)
    if lag is None:
        decision = LagDecision(current, "LagUnknown", f"what waits is not known: it stays at {current}")
        # As if all were wanted: what has not been seen for a while is no reason to shrink when it is seen again.
        wants = with_value(memory.wants, now, current, WINDOW_SECONDS)
        return decision, replace(memory, desired=current, wants=wants)
    wanted = min(max(ceil(lag / scaling.target_lag), scaling.min_replicas), scaling.max_replicas)
    memory = replace(memory, wants=with_value(memory.wants, now, wanted, WINDOW_SECONDS))
    due = memory.raised is None or now - memory.raised >= STEP_SECONDS
    desired = _step(current, wanted, memory, now, due=due)
    raised = now if desired > current else memory.raised
    reason = "Lag" if desired != current else "Steady"
    decision = LagDecision(desired, reason, f"{lag} messages wait, {scaling.target_lag} for each replica")
    return decision, replace(memory, desired=desired, raised=raised)


def _step(current: int, wanted: int, memory: LagMemory, now: float, *, due: bool) -> int:
    """Up at most to the double; down to the most of a whole window."""
    if wanted > current:
        return min(wanted, 2 * current) if due else current
    looked = now - memory.began >= WINDOW_SECONDS
    return min(current, memory.wants[0].value) if looked else current
