"""What users are promised, and alerts on how fast that is used up. Pure.

Each objective is a share of good events over 30 days. Its budget is the rest. An alert looks at two windows: the long
one says that it matters, the short one that it still goes on (the SRE workbook, chapter 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from push_operator.render.objects import Object

WINDOWS: Final = {"5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21_600, "1d": 86_400, "3d": 259_200}
# severity: pairs of long and short window, and how many times too fast the budget goes.
BURNS: Final[dict[str, tuple[tuple[str, str, float], ...]]] = {
    "critical": (("1h", "5m", 14.4), ("6h", "30m", 6.0)),  # a fiftieth, a twentieth of the budget is gone
    "warning": (("1d", "2h", 3.0), ("3d", "6h", 1.0)),  # a tenth of it
}
# Of fewer events in a window so many are assumed: one failure of two in a quiet night wakes nobody.
LEAST_EVENTS: Final = 200


@dataclass(frozen=True, slots=True)
class Objective:
    """`alert`: its name; `record`: of the share of bad events. `bad` and `all` are rates with {own} and {window}."""

    alert: str
    record: str
    percent: float
    bad: str
    all: str
    summary: str

    @property
    def budget(self) -> float:
        return round(1 - self.percent / 100, 6)

    def ratio(self, own: str, window: str) -> str:
        """The share of bad events."""
        bad, every = (text.format(own=own, window=window) for text in (self.bad, self.all))
        return f"{bad} / clamp_min({every}, {LEAST_EVENTS} / {WINDOWS[window]})"

    def recorded(self, window: str) -> str:
        return f"pushcluster:{self.record}:ratio{window}"


_REFUSED: Final = 'sum(rate(push_gateway_refused_total{{{own},status="503"}}[{window}]))'
_UNAVAILABLE: Final = 'sum(rate(push_gateway_errors_total{{{own},code="unavailable"}}[{window}]))'
_DELIVERED: Final = "sum(rate(push_gateway_delivery_seconds_count{{{own}}}[{window}]))"
_IN_TIME: Final = 'sum(rate(push_gateway_delivery_seconds_bucket{{{own},le="1.024"}}[{window}]))'  # a bound of theirs

OBJECTIVES: Final = (
    Objective(
        "PushConnectErrors", "connect_errors", 99.9,
        _REFUSED, "(sum(rate(push_gateway_accepted_total{{{own}}}[{window}])) + " + _REFUSED + ")",
        "Clients are refused that ask to connect",
    ),
    Objective(
        "PushSendErrors", "send_errors", 99.9,
        _UNAVAILABLE, "(sum(rate(push_gateway_ack_seconds_count{{{own}}}[{window}])) + " + _UNAVAILABLE + ")",
        "Messages are answered with `unavailable` and not with an ack",
    ),
    Objective(
        "PushSlowDelivery", "slow_deliveries", 99.0,
        f"({_DELIVERED} - {_IN_TIME})", _DELIVERED,
        "Messages take over a second to their recipients",
    ),
)  # fmt: skip


def recordings(own: str, labels: Object) -> list[Object]:
    """One series for each objective and window. `own`: matchers that find the cluster's numbers, `labels` the same for
    what is made of them."""
    return [
        {"record": one.recorded(window), "expr": one.ratio(own, window), "labels": labels}
        for one in OBJECTIVES
        for window in WINDOWS
    ]


def burning(one: Objective, severity: str, own: str) -> str:
    """The expression of one of its two alerts."""
    return " or ".join(
        f"({one.recorded(long)}{{{own}}} > {_number(times * one.budget)}"
        f" and {one.recorded(short)}{{{own}}} > {_number(times * one.budget)})"
        for long, short, times in BURNS[severity]
    )


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0")
