"""What a fleet carries, from its samples: sums that are safe when some of them are missing, old or of a new process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp
from typing import Final

from push_operator.fleet.memory import Memory, unready
from push_operator.fleet.values import Bus, Fleet, Gateway, Sample, Stats

TICK_SECONDS: Final = 10.0
FRESH_SECONDS: Final = 2 * TICK_SECONDS
LEAST_SECONDS: Final = 0.5  # between two samples of which a difference is made
SMOOTHING_SECONDS: Final = 60.0
MOST_ARRIVALS: Final = 5000.0  # a second, at one gateway; more is nothing that one can take
PENDING_BYTES: Final = 1024 * 1024  # that wait in the broker for one gateway: it does not keep up


@dataclass(frozen=True, slots=True)
class Load:
    """`known`: connections, each gateway's last known number. `feared`: the same, but a gateway that says nothing
    counts as full. `ready`: gateways that serve; `fresh` of them said something lately. `silent`: those that did not,
    whether they serve or not, once their process has begun: who is not ready may have clients all the same. `rate`:
    new connections a second that nobody asked to come back. `busy`: CPU seconds a second, of all together. `pressed`:
    gateways for which the broker holds much back, or that it has cut off. `bus`: whether the broker's numbers are
    known. `shed`: clients a second that gateways send elsewhere while they go on serving."""

    known: int
    feared: int
    ready: int
    fresh: int
    rate: float
    busy: float
    pressed: int
    bus: bool
    shed: float = 0.0
    silent: int = 0

    @property
    def complete(self) -> bool:
        return self.silent == 0


def is_fresh(gateway: Gateway, now: float) -> bool:
    return gateway.sample is not None and now - gateway.sample.at <= FRESH_SECONDS


def serves(gateway: Gateway) -> bool:
    """It may get new sockets."""
    return gateway.ready and gateway.mark is None and not gateway.leaving


def measure(fleet: Fleet, memory: Memory, target: int, now: float) -> tuple[Load, Memory]:
    """`target`: connections of a full gateway. The memory returned holds the samples that the next difference needs."""
    memory = _rated(fleet, memory, now)
    serving = [one for one in fleet.gateways if serves(one)]
    fresh = [one for one in serving if is_fresh(one, now)]
    silent = sum(not one.pending and not one.leaving and not is_fresh(one, now) for one in fleet.gateways)
    known = sum(one.sample.stats.connections for one in fleet.gateways if one.sample is not None)
    said = sum(one.sample.stats.connections for one in fleet.gateways if one.sample and is_fresh(one, now))
    load = Load(
        known=known,
        feared=max(known, said + target * silent),
        ready=len(serving),
        fresh=len(fresh),
        rate=memory.rate,
        busy=sum(memory.busy.get(one.name, 0.0) for one in fresh),
        pressed=_pressed(serving, fleet.bus, memory.bus),
        bus=fleet.bus is not None,
        shed=sum(memory.shed.get(one.name, 0.0) for one in fresh),
        silent=silent,
    )
    return load, replace(memory, bus=fleet.bus or memory.bus)


def _rated(fleet: Fleet, memory: Memory, now: float) -> Memory:
    """Smooths what came in since the last look. Samples that are no newer say nothing new."""
    pairs = [(one.name, memory.samples.get(one.name), one.sample) for one in fleet.gateways if one.sample is not None]
    newer = {name: (before, after) for name, before, after in pairs if before is None or _later(before, after)}
    samples = {name: memory.samples.get(name, after) if name not in newer else after for name, _, after in pairs}
    busy = {name: _busy(*newer[name]) if name in newer else memory.busy.get(name, 0.0) for name, _, _ in pairs}
    shed = {name: _shed(*newer[name]) if name in newer else memory.shed.get(name, 0.0) for name, _, _ in pairs}
    made = replace(memory, samples=samples, busy=busy, shed=shed, unready=unready(fleet, memory, now))
    if not newer:
        return made
    arrived = max(0.0, sum(min(_arrivals(*pair), MOST_ARRIVALS) for pair in newer.values()))
    if memory.rated_at is None:
        return replace(made, rate=arrived, rated_at=now)
    weight = 1 - exp(-(now - memory.rated_at) / SMOOTHING_SECONDS)
    return replace(made, rate=memory.rate + weight * (arrived - memory.rate), rated_at=now)


def _later(before: Sample, after: Sample) -> bool:
    return after.at - before.at >= LEAST_SECONDS


def _arrivals(before: Sample | None, after: Sample) -> float:
    """New connections a second, without those that this gateway has sent elsewhere: they come back at others."""
    old, seconds = _since(before, after)
    return (after.stats.accepted - old.accepted - after.stats.reconnects_asked + old.reconnects_asked) / seconds


def _busy(before: Sample | None, after: Sample) -> float:
    old, seconds = _since(before, after)
    return max(0.0, after.stats.cpu_seconds - old.cpu_seconds) / seconds


def _shed(before: Sample | None, after: Sample) -> float:
    """What the first sample says of the past is over."""
    if before is None or after.stats.draining is not None:
        return 0.0
    old, seconds = _since(before, after)
    return max(0, after.stats.reconnects_asked - old.reconnects_asked) / seconds


def _since(before: Sample | None, after: Sample) -> tuple[Stats, float]:
    """What its counters stood at, and how long ago; a new process has counted from nothing, since it began."""
    if before is not None and before.stats.boot == after.stats.boot:
        return before.stats, after.at - before.at
    return Stats(boot=after.stats.boot), max(1.0, after.stats.uptime)


def _pressed(serving: list[Gateway], bus: Bus | None, before: Bus | None) -> int:
    if bus is None:
        return 0
    held = sum(bus.pending_bytes.get(one.name, 0) >= PENDING_BYTES for one in serving)
    same = before is not None and before.started == bus.started
    cut_off = bus.slow_consumers - before.slow_consumers if same and before is not None else 0
    return min(len(serving), held + max(0, cut_off))
