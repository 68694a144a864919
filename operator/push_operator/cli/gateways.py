"""What is printed of the gateways: why there are so many, which are on their way out, and how a rollout goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from push_operator.cli.tables import UNKNOWN, columns, number
from push_operator.cli.target import Platform
from push_operator.model import SERVICES
from push_operator.plan.steering import rollout_of

GATEWAY = SERVICES[0]


def told(body: Mapping[str, Any]) -> list[str]:
    """A line for what the operator wants of the gateways, and one for a rollout; none of what the status does not
    say."""
    status, rollout = body.get("status") or {}, rollout_of(body)
    scaling = status.get("scaling") or {}
    lines = []
    if scaling.get("desired") is not None:
        counts = status.get("readyGateways") or UNKNOWN
        limit = f" (limited by {scaling['limitedBy']})" if scaling.get("limitedBy") else ""
        lines.append(f"{GATEWAY} {counts} wants {scaling['desired']}{_why(scaling)}{limit}")
    return lines + ([_rollout(rollout)] if rollout else [])


def way_out(body: Mapping[str, Any], unit: Mapping[str, Any]) -> tuple[str, str]:
    """How many connections a gateway that is being emptied still has, and what it was marked for."""
    drains = ((body.get("status") or {}).get("scaling") or {}).get("drains") or ()
    drain: Mapping[str, Any] = next((one for one in drains if one.get("name") == unit["name"]), {})
    mark = (unit.get("mark") or {}).get("why") or drain.get("why")
    return number(drain.get("left")), str(mark or UNKNOWN)


def rollout_status(platform: Platform) -> str:
    """The answer of `push rollout status` as text, without the last newline."""
    name, rollout = platform.body["metadata"]["name"], rollout_of(platform.body)
    head = f"{name}: {_rollout(rollout) if rollout else 'no rollout'}"
    own = [unit for unit in platform.units if unit["component"] == GATEWAY]
    lines = [("REVISION", "GATEWAYS", "READY", "MARKED")]
    lines += [_revision(revision, own) for revision in dict.fromkeys(unit["revision"] for unit in own)]
    return f"{head}\n\n{columns(lines)}" if own else f"{head}; no gateway runs"


def _revision(revision: str, units: Sequence[Mapping[str, Any]]) -> tuple[str, str, str, str]:
    own = [unit for unit in units if unit["revision"] == revision]
    ready, marked = sum(unit["ready"] for unit in own), sum(bool(unit.get("mark")) for unit in own)
    return (revision, str(len(own)), str(ready), str(marked))


def _rollout(rollout: Mapping[str, Any]) -> str:
    state = f" {rollout['state']}" if rollout.get("state") else ""
    return f"rollout of {rollout.get('revision') or UNKNOWN}{state}{_why(rollout)}"


def _why(part: Mapping[str, Any]) -> str:
    words = [str(part[name]) for name in ("reason", "message") if part.get(name)]
    return f": {', '.join(words)}" if words else ""
