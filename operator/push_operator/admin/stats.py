"""What a gateway says of itself, read as something that may be wrong. Pure.

Every number here ends in a decision about thousands of sockets: an answer that cannot be true counts as no answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from push_operator.fleet.values import Draining, Stats

MAX_NUMBER: Final = 2**53  # above it not every whole number survives JSON
MOST_CONNECTIONS: Final = 1_000_000  # what a gateway can be set to
MAX_BOOT: Final = 128
_SCALED: Final = {"loop_lag_ms": ("loop_lag", 1000.0), "uptime_s": ("uptime", 1.0), "cpu_seconds": ("cpu_seconds", 1.0)}
_COUNTS: Final = (
    "epoch",
    "max_connections",
    "accepted",
    "refused",
    "auth_failures",
    "disconnects",
    "reconnects_asked",
    "outbound_bytes",
    "fell_behind",
    "pressure",
    "nats_lost",
    "frames_in",
    "frames_out",
    "delivered",
    "rss_bytes",
)


class Nonsense(ValueError):
    """This cannot be. The text names the field and the rule, never what was said."""


def parse_stats(body: bytes) -> Stats:
    """The answer to `GET /stats`. Keys that are not known are a later version's; those that are missing, an earlier
    one's. Raises Nonsense."""
    said = parse_object(body)
    boot = said.get("boot")
    if not isinstance(boot, str) or not 0 < len(boot) <= MAX_BOOT or not boot.isprintable():
        raise Nonsense(f"`boot` is not a text of 1 to {MAX_BOOT} printable characters")
    made: dict[str, Any] = {name: count(said, name) for name in _COUNTS if name in said}
    made |= {field: _real(said, name) / unit for name, (field, unit) in _SCALED.items() if name in said}
    if "nats" in said:
        made["nats"] = _flag(said, "nats")
    stats = Stats(boot=boot, connections=count(said, "connections"), draining=_draining(said.get("draining")), **made)
    if stats.max_connections > MOST_CONNECTIONS:
        raise Nonsense(f"`max_connections` is over {MOST_CONNECTIONS}, which no gateway takes")
    if stats.connections > stats.max_connections:
        raise Nonsense("`connections` is over `max_connections`")
    return stats


def parse_object(body: bytes) -> Mapping[str, Any]:
    """A JSON object, without the NaN and Infinity that are none of JSON's. Raises Nonsense."""
    try:
        said = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Nonsense("it is no JSON") from None
    if not isinstance(said, dict):
        raise Nonsense("it is no JSON object")
    return said


def count(said: Mapping[str, Any], name: str) -> int:
    """Raises Nonsense, also when it is not there."""
    value = said.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise Nonsense(f"`{name}` is not a whole number from 0 to 2^53")
    return value


def _real(said: Mapping[str, Any], name: str) -> float:
    value = said.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= MAX_NUMBER:
        raise Nonsense(f"`{name}` is not a number from 0 to 2^53")
    return float(value)


def _flag(said: Mapping[str, Any], name: str) -> bool:
    value = said.get(name)
    if not isinstance(value, bool):
        raise Nonsense(f"`{name}` is neither true nor false")
    return value


def _draining(said: Any) -> Draining | None:
    if said is None:
        return None
    if not isinstance(said, dict):
        raise Nonsense("`draining` is neither null nor an object")
    stopping = _flag(said, "stopping") if "stopping" in said else False
    return Draining(_real(said, "rate"), count(said, "left"), stopping)


def _no_number(_: str) -> NoReturn:
    raise ValueError
