"""What `push get` prints, and the rows that `push up` shows live."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from push_operator.cli.target import Platform
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
    lines = [("NAME", "READY", "GATEWAYS", "VERSION", "NOTE")]
    for one in platforms:
        status, ready = one.body.get("status") or {}, is_ready(one.body)
        gateways, version = status.get("readyGateways", "-"), status.get("version", "-")
        lines.append((one.body["metadata"]["name"], _yes(ready), gateways, version,
                      "" if ready else _lacks(one)))  # fmt: skip
    return _columns(lines)


def _for_people(platform: Platform, wide: bool, now: datetime) -> str:
    body = platform.body
    parts = [_headline(platform), "", _table(body, platform.units)]
    if wide:
        parts += ["", _processes(platform.units) if platform.page is not None else _pods(platform.units, now)]
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
    lines = [("COMPONENT", "READY", "ENDPOINT", "RESTARTS", "NOTE")]
    lines += [
        (row.component, f"{row.ready}/{row.desired}", row.endpoint, str(row.restarts), row.note)
        for row in rows(body, units)
    ]
    return _columns(lines)


def _processes(units: Sequence[Mapping[str, Any]]) -> str:
    lines = [("UNIT", "READY", "PID", "UPTIME", "RESTARTS", "ADMIN", "NOTE")]
    for unit in units:
        details = unit["details"] or {}
        pid, admin = str(details.get("pid") or "-"), details.get("admin") or "-"
        uptime = f"{details.get('uptimeSeconds', 0):.0f}s"
        lines.append((unit["name"], _yes(unit["ready"]), pid, uptime, str(unit["restarts"]), admin, unit["note"]))
    return _columns(lines)


def _pods(units: Sequence[Mapping[str, Any]], now: datetime) -> str:
    lines = [("POD", "READY", "NODE", "IP", "AGE", "RESTARTS", "NOTE")]
    for unit in units:
        details = unit["details"] or {}
        node, address = details.get("node") or "-", details.get("ip") or "-"
        age = _age(details.get("createdAt"), now)
        lines.append((unit["name"], _yes(unit["ready"]), node, address, age, str(unit["restarts"]), unit["note"]))
    return _columns(lines)


def _age(since: str | None, now: datetime) -> str:
    """In the greatest unit of which there are two, as kubectl says it."""
    if not since:
        return "-"
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    units = (("d", 86_400), ("h", 3600), ("m", 60))
    return next((f"{seconds // size}{name}" for name, size in units if seconds >= 2 * size), f"{seconds}s")


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _columns(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
