"""What `push get` prints, and the rows that `push up` shows live."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from push_operator.cli.gateways import GATEWAY, told, way_out
from push_operator.cli.tables import UNKNOWN, age, columns, number, yes
from push_operator.cli.target import Platform
from push_operator.plan.status import condition

FORMATS = ("table", "wide", "json", "yaml")


@dataclass(frozen=True, slots=True)
class Row:
    """One component for a table; `note` is the first thing that keeps it from being ready. `connections`: of clients,
    None where there are none or nobody counts."""

    component: str
    ready: int
    desired: int
    endpoint: str
    restarts: int
    note: str
    connections: int | None = None

    @property
    def complete(self) -> bool:
        return self.ready == self.desired and not self.note


def rows(body: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The components of an object's status, with what its units say."""
    made = []
    status = body.get("status") or {}
    for component in status.get("components") or ():
        own = [unit for unit in units if unit["component"] == component["name"]]
        notes = [unit["note"] for unit in own if unit["note"]]
        restarts = sum(unit["restarts"] for unit in own)
        made.append(
            Row(component["name"], sum(unit["ready"] for unit in own), component["desired"], component["endpoint"],
                restarts, notes[0] if notes else "",
                status.get("connections") if component["name"] == GATEWAY else None)
        )  # fmt: skip
    return made


def is_ready(body: Mapping[str, Any]) -> bool:
    """The status says so of this very generation."""
    status = body.get("status") or {}
    ready = condition(status, "Ready")
    current = status.get("observedGeneration") == (body.get("metadata") or {}).get("generation")
    return current and ready is not None and ready["status"] == "True"


def what_lacks(body: Mapping[str, Any]) -> str:
    """Why `is_ready` says no."""
    ready = condition(body.get("status") or {}, "Ready")
    if ready is None:
        return "nothing has started yet"
    return str(ready["message"]) if ready["status"] != "True" else "the last change has not been taken up yet"


def complain(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"push: {text}\n")


def rendered(platforms: Sequence[Platform], form: str, now: datetime) -> str:
    """The answer of `push get` as text, without the last newline."""
    if form == "json":
        return json.dumps(_whole(platforms), indent=2)
    if form == "yaml":
        return yaml.safe_dump(_whole(platforms), sort_keys=False, allow_unicode=True).rstrip("\n")
    if form == "table" and len(platforms) > 1:
        return _summary(platforms)
    return "\n\n".join(_for_people(one, form == "wide", now) for one in platforms)


def _whole(platforms: Sequence[Platform]) -> dict[str, Any]:
    """The object as the cluster has it, with its units beside the status; several are a List, as kubectl's is."""
    made = [
        {**one.body, "units": one.units, **({"page": one.page} if one.page is not None else {})} for one in platforms
    ]
    return made[0] if len(made) == 1 else {"apiVersion": "v1", "kind": "List", "items": made}


def _summary(platforms: Sequence[Platform]) -> str:
    lines = [("NAME", "READY", "GATEWAYS", "CONNECTIONS", "VERSION", "NOTE")]
    for one in platforms:
        status, ready = one.body.get("status") or {}, is_ready(one.body)
        gateways, version = status.get("readyGateways", UNKNOWN), status.get("version", UNKNOWN)
        lines.append((one.body["metadata"]["name"], yes(ready), gateways, number(status.get("connections")), version,
                      "" if ready else _lacks(one)))  # fmt: skip
    return columns(lines)


def _for_people(platform: Platform, wide: bool, now: datetime) -> str:
    body = platform.body
    parts = [_headline(platform), "", _table(body, platform.units)]
    parts += ["", *told(body)] if told(body) else []
    if wide:
        parts += ["", _processes(platform) if platform.page is not None else _pods(platform, now)]
    ignored = (body.get("status") or {}).get("ignored") or ()
    parts += ["", *(f"without effect on one machine: {one}" for one in ignored)] if ignored else []
    return "\n".join(parts)


def _headline(platform: Platform) -> str:
    body = platform.body
    state = "ready" if is_ready(body) else f"not ready: {_lacks(platform)}"
    page = f"\npage: {platform.page}" if platform.page is not None else ""
    return f"{body['metadata']['name']}: {state}{page}"


def _lacks(platform: Platform) -> str:
    unseen = platform.page is None and not platform.body.get("status")
    return what_lacks(platform.body) + (": does the operator run?" if unseen else "")


def _table(body: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> str:
    lines = [("COMPONENT", "READY", "CONNECTIONS", "ENDPOINT", "RESTARTS", "NOTE")]
    lines += [
        (
            row.component,
            f"{row.ready}/{row.desired}",
            number(row.connections),
            row.endpoint,
            str(row.restarts),
            row.note,
        )
        for row in rows(body, units)
    ]
    return columns(lines)


def _processes(platform: Platform) -> str:
    lines = [("UNIT", "READY", "PID", "UPTIME", "RESTARTS", "ADMIN", "LEFT", "MARK", "NOTE")]
    for unit in platform.units:
        details = unit["details"] or {}
        pid, admin = str(details.get("pid") or UNKNOWN), details.get("admin") or UNKNOWN
        uptime = f"{details.get('uptimeSeconds', 0):.0f}s"
        lines.append((unit["name"], yes(unit["ready"]), pid, uptime, str(unit["restarts"]), admin,
                      *way_out(platform.body, unit), unit["note"]))  # fmt: skip
    return columns(lines)


def _pods(platform: Platform, now: datetime) -> str:
    lines = [("POD", "READY", "NODE", "IP", "AGE", "RESTARTS", "LEFT", "MARK", "NOTE")]
    for unit in platform.units:
        details = unit["details"] or {}
        node, address = details.get("node") or UNKNOWN, details.get("ip") or UNKNOWN
        old = age(details.get("createdAt"), now)
        lines.append((unit["name"], yes(unit["ready"]), node, address, old, str(unit["restarts"]),
                      *way_out(platform.body, unit), unit["note"]))  # fmt: skip
    return columns(lines)
