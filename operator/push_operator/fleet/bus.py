"""Two looks at the broker, and what happened in between. Pure."""

from __future__ import annotations

from push_operator.fleet.values import Bus


def grown(before: Bus | None, after: Bus) -> int:
    """Slow consumers that are new since `before`. 0 when that cannot be told: there was no look before, or a server
    began anew, or another set of servers answered."""
    if before is None or before.started != after.started:
        return 0
    return max(0, after.slow_consumers - before.slow_consumers)
