"""Grafana's dashboards by their parts: a query, a panel with some, a board of rows. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

SCHEMA: Final = 39
COLUMNS: Final = 24
HEIGHT: Final = 8
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
RATE: Final = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries`: expression and legend of each. `unit` by Grafana's own names; `stat`: only the last value, large."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    meaning: str = ""
    stat: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Its panels share its width."""

    title: str
    panels: tuple[Panel, ...]


def board(place: str, name: str, rows: Sequence[Row]) -> Json:
    """One dashboard, always with the same uid for the same place and name: an import replaces it."""
    panels: list[Json] = []
    for number, row in enumerate(rows):
        panels += _row(row, number * (HEIGHT + 1), len(panels) + 1)
    return {
        "uid": hashlib.blake2b(f"{place}/{name}".encode(), digest_size=10).hexdigest(),
        "title": f"PushCluster {place}: {name}",
        "tags": ["pushcluster"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_DATASOURCES]},
        "links": [{"type": "dashboards", "tags": ["pushcluster"], "title": "PushCluster", "asDropdown": True}],
        "panels": panels,
    }


_DATASOURCES: Final[Json] = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _row(row: Row, top: int, number: int) -> list[Json]:
    width = COLUMNS // len(row.panels)
    head = {"type": "row", "id": number, "title": row.title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}}  # fmt: skip
    return [
        head,
        *(
            _panel(panel, number + 1 + at, {"x": at * width, "y": top + 1, "w": width, "h": HEIGHT})
            for at, panel in enumerate(row.panels)
        ),
    ]


def _panel(panel: Panel, number: int, place: Json) -> Json:
    return {
        "type": "stat" if panel.stat else "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.meaning,
        "gridPos": place,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {} if panel.stat else {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "expr": query, "legendFormat": legend,
             "instant": panel.stat, "range": not panel.stat}
            for at, (query, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip
