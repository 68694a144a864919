"""Which service of a stack is which part of the platform: as one is told, else by its name, else by its image. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from push_operator.errors import Fault
from push_operator.model import SERVICES

BACKING: Final = ("nats", "redis", "cassandra")
KINDS: Final = (*SERVICES, *BACKING)
CHOSEN: Final = "--service"
SHOWN_NAMES: Final = 12
_WORDS: Final[Mapping[str, str]] = {
    **{kind: kind for kind in KINDS},
    "messages": "message", "messaging": "message", "valkey": "redis", "scylla": "cassandra", "scylladb": "cassandra",
}  # fmt: skip
_SAY_NOTHING: Final = frozenset(("", "service", "svc", "server", "srv", "node", "db", "cluster"))


def kind_of(name: str) -> str | None:
    """What a name means; None for one with a word that is unknown (`redis-exporter`) or two that contradict."""
    words = {word.rstrip("0123456789") for word in re.split("[-_.]", name.lower())} - _SAY_NOTHING
    kinds = {_WORDS.get(word) for word in words}
    if len(kinds) > 1:
        kinds.discard("push")  # the product's own name, as in push-gateway
    return kinds.pop() if len(kinds) == 1 else None


def program_of(image: str) -> str:
    """The last part of an image's name, without tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def recognised(
    images: Mapping[str, str], chosen: Mapping[str, str], faults: list[Fault]
) -> Mapping[str, tuple[str, ...]]:
    """The services of each kind by the images of all services: one at most for ours, any number for backing ones."""
    _check(images, chosen, faults)
    others = {name: image for name, image in images.items() if name not in chosen.values()}
    made = {kind: (chosen[kind],) if kind in chosen else _alike(kind, others) for kind in KINDS}
    for kind in SERVICES:
        if len(made[kind]) > 1:
            told = f"{names(made[kind])} may each be the {kind}: say which with {CHOSEN} {kind}=NAME"
            faults.append(Fault("services", told))
    if not made["gateway"]:
        faults.append(Fault("services", f"none of {names(images)} is a gateway: say which with {CHOSEN} gateway=NAME"))
    return {kind: found for kind, found in made.items() if found}


def _alike(kind: str, images: Mapping[str, str]) -> tuple[str, ...]:
    """A name says more than an image; for ours the very name most of all."""
    if kind in SERVICES and kind in images:
        return (kind,)
    named = tuple(name for name in images if kind_of(name) == kind)
    imaged = tuple(name for name in images if kind_of(name) is None and kind_of(program_of(images[name])) == kind)
    return named + imaged if kind in BACKING else named or imaged


def _check(images: Mapping[str, str], chosen: Mapping[str, str], faults: list[Fault]) -> None:
    for kind, name in chosen.items():
        if name not in images:
            faults.append(Fault(CHOSEN, f"{kind}={name}: the stack has no such service, but {names(images)}"))
        if list(chosen.values()).count(name) > 1:
            faults.append(Fault(CHOSEN, f"{kind}={name}: a service can be one thing only"))


def names(some: Iterable[str]) -> str:
    """Names for a sentence, the first dozen of them."""
    listed = sorted(some)
    more = f" and {len(listed) - SHOWN_NAMES} more" if len(listed) > SHOWN_NAMES else ""
    return (", ".join(listed[:SHOWN_NAMES]) or "nothing") + more
