"""What Prometheus and Grafana are given of a PushCluster, as values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from push_operator.fields import QUALIFIED, Node

MAX_LABELS: Final = 16
_NAME_MEANS: Final = "a label's name such as release"
_VALUE: Final = re.compile(r"(?=.{0,63}$)([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_RESERVED: Final = ("app.kubernetes.io/", "pushcluster.io/")  # what the operator finds its own objects by
_RESERVED_NAMES: Final = ("grafana_dashboard",)


@dataclass(frozen=True, slots=True)
class Monitoring:
    """`service_monitor`: Prometheus finds the pods. `rules`: and watches their objectives. `dashboards`: for Grafana.
    `labels` go on all of these objects: a Prometheus may look at some only."""

    service_monitor: bool = False
    rules: bool = False
    dashboards: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


def monitoring_of(node: Node) -> Monitoring:
    """What `spec.monitoring` asks for; nothing unless given."""
    made = Monitoring(
        service_monitor=node.boolean("serviceMonitor", False),
        rules=node.boolean("rules", False),
        dashboards=node.boolean("dashboards", False),
        labels=node.text_map("labels", QUALIFIED, _NAME_MEANS, MAX_LABELS),
    )
    for name, value in made.labels.items():
        if name.startswith(_RESERVED) or name in _RESERVED_NAMES:
            node.fault(f"labels.{name}", "is the operator's own")
        if not _VALUE.fullmatch(value):
            node.fault(f"labels.{name}", "must be a label's value: at most 63 letters, digits, '-', '_' or '.'")
    node.done()
    return made
