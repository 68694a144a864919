"""How many gateways there should be. Each decision is a value with its reason, and with what held it back.

It grows on what is known, and shrinks only on what is certain: with every gateway heard of, to no less than was wanted
at any moment of the last window, and with room to spare, so that no two decisions of one window undo each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from push_operator.fleet.measure import Load
from push_operator.fleet.memory import Memory, with_value
from push_operator.scaling import Autoscaling, GatewayScaling, Mode

STEP_SECONDS: Final = 15.0  # between two steps up
STEP_LEAST: Final = 4  # gateways more than serve now, or as many as do
RATE_SHARE: Final = 1.5  # a storm of connects asks for no more than this many times what its connections do
SPARE_PERCENT: Final = 10  # to shrink, on top of the headroom
BUSY_HIGH, BUSY_FINE = 0.8, 0.7  # CPU seconds a second of one gateway, which has one event loop
BUSY_SECONDS: Final = 60.0  # between two gateways more for that
GAP_SECONDS: Final = 60.0  # between two looks: what was in it is not known
ENOUGH_SHARE: Final = 0.5  # of the serving gateways must be heard of to decide anything


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing that was looked at: its value in words, and for how many gateways it speaks."""

    name: str
    value: str
    wants: int


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is one word for machines, `message` says the same to people. `limited_by`: what kept it from more, or
    from fewer. `active`: whether metrics decide; False when they are lost. `shrinks_at`: when it may shrink at the
    soonest, where time alone holds it back."""

    desired: int
    reason: str
    message: str
    limited_by: str = ""
    active: bool = True
    signals: tuple[Signal, ...] = ()
    shrinks_at: float | None = None


def decide(
    scaling: GatewayScaling, load: Load, memory: Memory, now: float, *, least: int = 0, frozen: str = ""
) -> tuple[Decision, Memory]:
    """`memory.desired`: what holds until now. `least`: what the open windows of the schedule ask for. `frozen`: why it
    may not shrink now, empty when it may."""
    if scaling.mode is not Mode.OPERATOR:
        wanted = scaling.replicas or 1
        said = "spec.gateway.replicas" if scaling.mode is Mode.FIXED else "spec.gateway.replicas, set from outside"
        return Decision(wanted, str(scaling.mode), f"{said} is {wanted}"), replace(memory, desired=wanted, looked=None)
    decision, memory = _automatic(scaling.autoscaling, load, memory, now, least, frozen)
    return decision, replace(memory, desired=decision.desired)


def _automatic(
    auto: Autoscaling, load: Load, memory: Memory, now: float, least: int, frozen: str
) -> tuple[Decision, Memory]:
    memory = _watched(memory, now)
    low, high = max(1, auto.min_replicas, min(least, auto.max_replicas)), auto.max_replicas
    current = memory.desired or low
    if is_blind(load):
        held, window = min(max(current, low), high), auto.stabilization_seconds
        said = f"{load.silent} of {load.silent + load.fresh} gateways say nothing: it stays at {held}"
        memory = replace(memory, loads=with_value(memory.loads, now, load.feared, window))
        return Decision(held, "MetricsLost", said, "metrics", active=False), memory
    signals = _signals(auto, load, memory, current, now)
    loudest = max(signals, key=lambda one: one.wants)
    memory = replace(
        memory,
        wants=with_value(memory.wants, now, min(max(loudest.wants, low), high), auto.stabilization_seconds),
        loads=with_value(memory.loads, now, load.feared, auto.stabilization_seconds),
    )
    if loudest.wants > current or low > current:
        return _grown(loudest, load, memory, now, (current, low, high), signals)
    return _shrunk(auto, load, memory, now, (current, low, high), signals, frozen)


def is_blind(load: Load) -> bool:
    """Too few are heard of to decide anything."""
    return load.fresh < ENOUGH_SHARE * load.ready or (load.silent > 0 and load.fresh == 0)


def _watched(memory: Memory, now: float) -> Memory:
    """Whoever has not looked for a while, or has left the number to others until now, begins anew."""
    seen = memory.looked is not None and now - memory.looked <= GAP_SECONDS
    return replace(memory, looked=now, began=memory.began if seen else now)


def _signals(auto: Autoscaling, load: Load, memory: Memory, current: int, now: float) -> tuple[Signal, ...]:
    for_connections = gateways_for(auto, load.known)
    for_rate = min(ceil(load.rate / auto.accept_rate), ceil(RATE_SHARE * for_connections))
    return (
        Signal("Connections", str(load.known), for_connections),
        Signal("AcceptRate", f"{load.rate:.1f}/s", for_rate),
        _broker(auto, load, memory, current, now),
        _cpu(load, memory, current, now),
    )


def gateways_for(auto: Autoscaling, connections: int) -> int:
    """So many that each holds at most its target less the headroom: ceil(100·C / (T·(100−H)))."""
    return ceil(100 * connections / (auto.target_connections * (100 - auto.headroom_percent)))


def _broker(auto: Autoscaling, load: Load, memory: Memory, current: int, now: float) -> Signal:
    """One more for each window in which the broker holds back for some. When it does so for most, the broker itself is
    slow, and another gateway would only ask more of it."""
    value = f"{load.pressed} of {load.ready} pressed" if load.bus else "unknown"
    alone = 0 < 2 * load.pressed < load.ready
    due = memory.boosted is None or now - memory.boosted >= auto.stabilization_seconds
    return Signal("BrokerPressure", value, current + 1 if alone and due else 0)


def _cpu(load: Load, memory: Memory, current: int, now: float) -> Signal:
    busy = load.busy / load.fresh if load.fresh else 0.0
    due = memory.boosted is None or now - memory.boosted >= BUSY_SECONDS
    settled = load.ready >= current  # those that are still starting will take their share
    return Signal("Cpu", f"{100 * busy:.0f}%", current + 1 if busy > BUSY_HIGH and due and settled else 0)


def _grown(
    loudest: Signal, load: Load, memory: Memory, now: float, bounds: tuple[int, int, int], signals: tuple[Signal, ...]
) -> tuple[Decision, Memory]:
    current, low, high = bounds
    wanted = min(max(loudest.wants, low), high)
    reason = loudest.name if loudest.wants >= low else "MinReplicas"
    limited = "maxReplicas" if loudest.wants > high else ""
    if wanted <= current:  # a lower maximum counts at once
        return _held(min(current, high), reason, _said(loudest, low, limited), limited, signals), memory
    if memory.raised is not None and now - memory.raised < STEP_SECONDS:
        return _held(current, reason, f"it wants {wanted}: the last step is not yet done", "pace", signals), memory
    most = max(low, load.ready + max(load.ready, STEP_LEAST))
    desired, limited = (most, "pace") if wanted > most else (wanted, limited)
    if desired <= current:
        return _held(current, reason, _said(loudest, low, limited), limited, signals), memory
    boosted = now if reason in ("BrokerPressure", "Cpu") else memory.boosted
    decision = Decision(desired, reason, _said(loudest, low, limited), limited, signals=signals)
    return decision, replace(memory, raised=now, boosted=boosted)


def _said(loudest: Signal, low: int, limited: str) -> str:
    if loudest.wants < low:
        return f"there are to be at least {low} now"
    return f"{loudest.name} {loudest.value} ask for {loudest.wants}" + (f", limited by {limited}" if limited else "")


def _shrunk(
    auto: Autoscaling, load: Load, memory: Memory, now: float, bounds: tuple[int, int, int],
    signals: tuple[Signal, ...], frozen: str,
) -> tuple[Decision, Memory]:  # fmt: skip
    current, low, high = bounds
    if current > high:
        return Decision(high, "MaxReplicas", f"maxReplicas is {high}", "maxReplicas", signals=signals), memory
    window = auto.stabilization_seconds
    peak = memory.wants[0]
    if hold := _hold(load, memory, now, window, frozen) if peak.value < current else "":
        return _held(current, hold, _HOLDS.get(hold, hold), hold, signals, _shrinks_at(memory, window)), memory
    fewer = max(low, peak.value, _fits(auto, load, memory.loads[0].value))
    if fewer < current:
        said = f"for {window} s no more than {fewer} were needed"
        return Decision(fewer, "Connections", said, signals=signals), memory
    reason = "MinReplicas" if current == low else "Steady"
    at = _waits_until(auto, load, memory, current, low)
    return _held(current, reason, "that many are right", "" if at is None else "window", signals, at), memory


_HOLDS: Final[Mapping[str, str]] = {
    "MetricsPartial": "some gateway says nothing: it does not shrink",
    "RolloutUnderWay": "a rollout is under way: it does not shrink",
    "BrokerDegraded": "most gateways are in trouble at once, so that it is not theirs: it does not shrink",
    "Anomaly": "more clients come, go or are refused than usual: it does not shrink",
    "Restarted": "the operator has not looked for a whole window yet: it does not shrink",
}


def _hold(load: Load, memory: Memory, now: float, window: float, frozen: str) -> str:
    if not load.complete:
        return "MetricsPartial"
    return frozen or ("Restarted" if now - memory.began < window else "")


def _waits_until(auto: Autoscaling, load: Load, memory: Memory, current: int, low: int) -> float | None:
    """Until when what was at some moment of the window keeps as many as there are; None when it is what is now."""
    if max(low, _fits(auto, load, load.feared)) >= current:
        return None
    wanted = [one.at for one in memory.wants if one.value >= current]
    carried = [one.at for one in memory.loads if _fits(auto, load, one.value) >= current]
    return max(wanted + carried) + auto.stabilization_seconds


def _shrinks_at(memory: Memory, window: float) -> float:
    return max(memory.began, memory.wants[0].at) + window


def _fits(auto: Autoscaling, load: Load, connections: int) -> int:
    """The fewest that carry so many with the headroom and room to spare, and are not too busy."""
    share = 100 - auto.headroom_percent - SPARE_PERCENT
    share = max(share, 5)  # at the highest headroom
    for_connections = ceil(100 * connections / (auto.target_connections * share))
    return max(for_connections, ceil(load.busy / BUSY_FINE))


def _held(
    desired: int, reason: str, message: str, limited: str, signals: tuple[Signal, ...], at: float | None = None
) -> Decision:
    return Decision(desired, reason, message, limited, signals=signals, shrinks_at=at)
