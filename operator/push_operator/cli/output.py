"""What `push get` prints, and the rows that `push up` shows live."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from push_operator.plan.status import condition

FORMATS = ("table", "wide", "json", "yaml")


@dataclass(frozen=True, slots=True)
class Row:
    """One component for a table; `note` is the first thing that keeps it from being ready."""

    component: str
    ready: int
    desired: int
    endpoint: str
    restarts: int
    note: str

    @property
    def complete(self) -> bool:
        return self.ready == self.desired and not self.note


def rows(body: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The components of an object's status, with what its units say."""
    made = []
    for component in (body.get("status") or {}).get("components") or ():
        own = [unit for unit in units if unit["component"] == component["name"]]
        notes = [unit["note"] for unit in own if unit["note"]]
        restarts = sum(unit["restarts"] for unit in own)
        made.append(
            Row(component["name"], sum(unit["ready"] for unit in own), component["desired"], component["endpoint"],
                restarts, notes[0] if notes else "")
        )  # fmt: skip
    return made


def is_ready(body: Mapping[str, Any]) -> bool:
    """The status says so of this very generation."""
    status = body.get("status") or {}
    ready = condition(status, "Ready")
    current = status.get("observedGeneration") == (body.get("metadata") or {}).get("generation")
    return current and ready is not None and ready["status"] == "True"


def what_lacks(body: Mapping[str, Any]) -> str:
    ready = condition(body.get("status") or {}, "Ready")
    return ready["message"] if ready is not None else "nothing has started yet"


def rendered(platform: Mapping[str, Any], form: str) -> str:
    """The answer of `push get` as text, without the last newline."""
    body = platform["object"]
    if form == "json":
        return json.dumps(_whole(platform), indent=2)
    if form == "yaml":
        return yaml.safe_dump(_whole(platform), sort_keys=False, allow_unicode=True).rstrip("\n")
    parts = [_headline(platform), "", _table(body, platform["units"])]
    if form == "wide":
        parts += ["", _units_table(platform["units"])]
    ignored = (body.get("status") or {}).get("ignored") or ()
    parts += ["", *(f"without effect on one machine: {one}" for one in ignored)] if ignored else []
    return "\n".join(parts)


def _whole(platform: Mapping[str, Any]) -> dict[str, Any]:
    """The object as the cluster has it, with its units beside the status."""
    return {**platform["object"], "units": platform["units"], "page": platform["page"]}


def _headline(platform: Mapping[str, Any]) -> str:
    body = platform["object"]
    state = "ready" if is_ready(body) else f"not ready: {what_lacks(body)}"
    return f"{body['metadata']['name']}: {state}\npage: {platform['page']}"


def _table(body: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> str:
    lines = [("COMPONENT", "READY", "ENDPOINT", "RESTARTS", "NOTE")]
    lines += [
        (row.component, f"{row.ready}/{row.desired}", row.endpoint, str(row.restarts), row.note)
        for row in rows(body, units)
    ]
    return _columns(lines)


def _units_table(units: Sequence[Mapping[str, Any]]) -> str:
    lines = [("UNIT", "READY", "PID", "UPTIME", "RESTARTS", "ADMIN", "NOTE")]
    for unit in units:
        details = unit["details"] or {}
        pid, admin = str(details.get("pid") or "-"), details.get("admin") or "-"
        ready, uptime = "yes" if unit["ready"] else "no", f"{details.get('uptimeSeconds', 0):.0f}s"
        lines.append((unit["name"], ready, pid, uptime, str(unit["restarts"]), admin, unit["note"]))
    return _columns(lines)


def _columns(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
