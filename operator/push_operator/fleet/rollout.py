"""Whether a new revision goes on coming in: it stops by itself when its gateways do not start, or refuse clients.

A stop is for a person to end: `resume:<revision>` says to go on whatever was seen, `undo:<revision>` to go back to what
ran before. Both name the revision they are about, so that a new manifest makes them void.

It begins once the other services are through with theirs: gateways of before understand services of now, and that is
the one mixture there is then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from push_operator.fleet.values import Fleet, Gateway, Stats

START_SECONDS: Final = 300.0
RESTARTS: Final = 3
TRIES: Final = 20  # handshakes before their share says something
REFUSED_SHARE: Final = 0.2  # more of them refused than by the earlier revision
UNAUTHORIZED_SHARE: Final = 0.5  # the same, of tokens that are not known: clients' own mistakes are many
RESUME, UNDO = "resume", "undo"
WAITING: Final = "WaitingForServices"


class State(StrEnum):
    PROGRESSING = "Progressing"
    STOPPED = "Stopped"
    UNDONE = "Undone"
    DONE = "Done"


@dataclass(frozen=True, slots=True)
class Rollout:
    """`revision`: the one that comes in, or was to. `reason` is one word, `message` the same for people."""

    revision: str
    state: State
    reason: str = ""
    message: str = ""

    @property
    def is_waiting(self) -> bool:
        """It has not begun: what there is goes on, and grows where more are wanted."""
        return self.reason == WAITING


@dataclass(frozen=True, slots=True)
class Services:
    """The other services by name: `rolling` still have units of an earlier revision, `starting` have none of the wanted
    one that is ready."""

    rolling: tuple[str, ...] = ()
    starting: tuple[str, ...] = ()


def follow(fleet: Fleet, before: Rollout | None, ask: str, waits: Mapping[str, float], services: Services) -> Rollout:
    """The state of the rollout now. `before`: as it was told last, maybe by an earlier operator. `ask`: what a person
    says. `waits`: for how many seconds those units have not been ready that are not."""
    revision = fleet.wanted
    others = [one for one in fleet.sets if one.revision != revision and _exists(fleet, one.revision)]
    if not others:
        return Rollout(revision, State.DONE)
    if ask == f"{UNDO}:{revision}":
        return Rollout(revision, State.UNDONE, "Undone", f"back to {previous(fleet)}, as asked")
    if ask == f"{RESUME}:{revision}":
        return Rollout(revision, State.PROGRESSING, "Resumed", "it goes on, as asked")
    if before is not None and before.revision == revision and before.state is State.STOPPED:
        return before
    first = _first(fleet, before, services)
    if first:
        return Rollout(revision, State.PROGRESSING, WAITING, f"{', '.join(first)} first: then {revision} begins")
    reason, message = _wrong(fleet, waits)
    if reason:
        return Rollout(revision, State.STOPPED, reason, message)
    return Rollout(revision, State.PROGRESSING, "Progressing", f"{revision} replaces {previous(fleet)}")


def target(fleet: Fleet, rollout: Rollout) -> str:
    """The revision that the fleet grows into."""
    back = rollout.state in (State.STOPPED, State.UNDONE) or rollout.is_waiting
    return previous(fleet) if back else fleet.wanted


def previous(fleet: Fleet) -> str:
    """The largest of the other revisions; the wanted one when there is no other."""
    others = [one for one in fleet.sets if one.revision != fleet.wanted]
    largest = max(others, key=lambda one: (one.replicas, one.revision), default=None)
    return largest.revision if largest is not None else fleet.wanted


def _exists(fleet: Fleet, revision: str) -> bool:
    return fleet.size(revision) > 0 or any(one.revision == revision for one in fleet.gateways)


def _first(fleet: Fleet, before: Rollout | None, services: Services) -> list[str]:
    """The services that go before. Only a service that is replaced begins a wait, and then all must be there: one that
    merely fares badly holds up nobody. Where no earlier gateway serves there is no mixture, and no time to lose."""
    began = _exists(fleet, fleet.wanted)
    if began or not any(helps(one) for one in fleet.gateways if one.revision != fleet.wanted):
        return []
    waited = before is not None and before.revision == fleet.wanted and before.is_waiting
    return sorted({*services.rolling, *services.starting}) if services.rolling or waited else []


def helps(gateway: Gateway) -> bool:
    """It serves; or it cannot now, but has clients that it will go on with."""
    return gateway.ready or (gateway.sample is not None and gateway.sample.stats.connections > 0)


def _wrong(fleet: Fleet, waits: Mapping[str, float]) -> tuple[str, str]:
    new = [one for one in fleet.gateways if one.revision == fleet.wanted and not one.leaving]
    old = [one for one in fleet.gateways if one.revision != fleet.wanted]
    if not any(one.ready for one in old):
        return "", ""  # whatever it is that they all wait for, the new revision is not to blame
    for one in new:
        if not one.ready and one.mark is None and one.restarts >= RESTARTS:
            return "CrashLoop", f"{one.name} was started {one.restarts + 1} times and is not ready"
        if not one.ready and one.mark is None and waits.get(one.name, 0.0) > START_SECONDS:
            return "NotReady", f"{one.name} is not ready for {START_SECONDS:.0f} s"
    return _refusing(new, old)


def _refusing(new: list[Gateway], old: list[Gateway]) -> tuple[str, str]:
    tries, refused, unauthorized = _handshakes(new)
    if tries < TRIES:
        return "", ""
    before, refused_before, unauthorized_before = _handshakes(old)
    if refused / tries > REFUSED_SHARE + refused_before / max(1, before):
        return "ConnectFailures", f"the new gateways refused {refused} of {tries} connections"
    if unauthorized / tries > UNAUTHORIZED_SHARE + unauthorized_before / max(1, before):
        return "AuthFailures", f"the new gateways did not know the tokens of {unauthorized} of {tries} connections"
    return "", ""


def _handshakes(gateways: list[Gateway]) -> tuple[int, int, int]:
    """Tried, refused for what the gateway is to blame for, and refused for their tokens. One that is being emptied
    refuses because it was told to."""
    stats = [one.sample.stats for one in gateways if one.sample is not None and one.sample.stats.draining is None]
    unauthorized = sum(one.auth_failures for one in stats)
    refused = sum(_own_fault(one) for one in stats)
    return sum(one.accepted for one in stats) + refused + unauthorized, refused, unauthorized


def _own_fault(stats: Stats) -> int:
    return max(0, stats.refused - stats.auth_failures)
