"""A simulated day: what the operator makes of 100,000 connections that come and go, with crashes, evictions, a rollout
and an hour without metrics. Prints what was seen, and draws it into docs/day.svg.

    python -m bench.day [--connections N] [--seed N] [--out FILE]

Nothing here waits: the clock is turned by hand, the decisions are the operator's own.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.fleet import Simulation

from push_operator.fleet.autoscale import gateways_for
from push_operator.scaling import Autoscaling, Drain, GatewayScaling, Mode

DAY: Final = 24 * 3600
EVERY: Final = 60  # seconds between two points of the plot
HOUR: Final = 3600
WIDTH, HEIGHT, MARGIN, GAP = 900, 150, 60, 40
QUIET_SHARE, PEAK_SHARE = 0.15, 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """What was at one second: `asked` is the most of a second since the last point."""

    at: float
    connections: int
    serving: int
    needed: int
    draining: int
    asked: int
    allowed: float


def demand(peak: int) -> Callable[[float], int]:
    """Low at night, a peak at noon and a higher one in the evening, and a rush of a few minutes at 20:00."""

    def at(second: float) -> int:
        hour = second / HOUR
        noon = 0.7 * math.exp(-(((hour - 12.5) / 2.5) ** 2))
        evening = 0.8 * math.exp(-(((hour - 20) / 2.2) ** 2))
        rush = 0.15 * math.exp(-(((hour - 20) / 0.08) ** 2))
        return int(peak * min(PEAK_SHARE, QUIET_SHARE + noon + evening + rush))

    return at


def incidents(made: Simulation) -> None:
    """What happens on such a day, by the second."""
    second = int(made.now)
    if second == 9 * HOUR:
        made.wanted = "b"  # a new version in the morning
    if second == 14 * HOUR:
        made.deaf = True  # no metrics for an hour
    if second == 15 * HOUR:
        made.deaf = False
    if second == 17 * HOUR:
        made.forget()  # the operator begins anew
    if second % (3 * HOUR) == HOUR // 2 and (serving := made.serving()):
        made.crash(serving[0])
    if second % (4 * HOUR) == HOUR and (serving := made.serving()):
        made.evict(serving[-1])


def a_day(peak: int, seed: int) -> tuple[list[Point], Simulation]:
    most = max(4, 2 * math.ceil(peak / 6400))
    auto = Autoscaling(min_replicas=2, max_replicas=most, stabilization_seconds=600, max_concurrent_drains=2)
    made = Simulation(GatewayScaling(Mode.OPERATOR, None, auto, Drain(300, 200)), demand(peak), seed=seed, starts=15)
    points = []
    for second in range(DAY):
        incidents(made)
        made.step()
        if second % EVERY == EVERY - 1:
            points.append(_point(made, auto))
    return points, made


def _point(made: Simulation, auto: Autoscaling) -> Point:
    draining = sum(pod.mark is not None for pod in made.pods.values())
    return Point(
        made.now, made.connections, len(made.serving()), gateways_for(auto, made.connections), draining,
        max(made.asked[-EVERY:]), max(made.allowed[-EVERY:]),
    )  # fmt: skip


def svg(points: Sequence[Point]) -> str:
    """Three curves under each other: connections, gateways (needed and serving), and who was sent elsewhere."""
    panels: tuple[tuple[str, list[tuple[str, list[float]]]], ...] = (
        ("connections", [("#2563eb", [one.connections for one in points])]),
        ("gateways: needed, serving", [("#9ca3af", [one.needed for one in points]),
                                       ("#059669", [one.serving for one in points])]),
        ("sent elsewhere a second: budget, most", [("#9ca3af", [one.allowed for one in points]),
                                                   ("#dc2626", [one.asked for one in points])]),
    )  # fmt: skip
    height = MARGIN + len(panels) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * MARGIN} {height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (title, curves) in enumerate(panels):
        parts.append(_panel(title, curves, MARGIN / 2 + number * (HEIGHT + GAP)))
    return "\n".join([*parts, "</svg>\n"])


def _panel(title: str, curves: Sequence[tuple[str, Sequence[float]]], top: float) -> str:
    most = max(1.0, *(max(values) for _, values in curves))
    drawn = "\n".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{_line(values, most, top)}"/>'
        for colour, values in curves
    )
    hours = "".join(
        f'<text x="{MARGIN + WIDTH * hour / 24:.0f}" y="{top + HEIGHT + 14:.0f}" fill="#6b7280">{hour}:00</text>'
        for hour in range(0, 24, 4)
    )
    return (
        f'<text x="{MARGIN}" y="{top - 4:.0f}">{title}</text>'
        f'<text x="{MARGIN - 6}" y="{top + 10:.0f}" text-anchor="end" fill="#6b7280">{most:,.0f}</text>'
        f'<rect x="{MARGIN}" y="{top:.0f}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#d1d5db"/>'
        f"{hours}\n{drawn}"
    )


def _line(values: Sequence[float], most: float, top: float) -> str:
    step = WIDTH / max(1, len(values) - 1)
    places = ((MARGIN + step * at, top + HEIGHT * (1 - value / most)) for at, value in enumerate(values))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=100_000, help="at the peak (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/day.svg"))
    options = parser.parse_args()
    points, made = a_day(options.connections, options.seed)
    options.out.write_text(svg(points), encoding="utf-8")
    grown = sum(change.after > change.before for change in made.changes)
    print(f"connections at the peak     {max(one.connections for one in points):,}")
    print(f"gateways                    {min(one.serving for one in points)} to {max(one.serving for one in points)}")
    print(f"decisions                   {grown} up, {len(made.changes) - grown} down")
    print(f"sent elsewhere by drains    {sum(made.asked):,}, at most {max(made.asked)} a second")
    print(f"cut off by the operator     {made.cut}")
    print(f"cut off by crashes          {made.crashed:,}")
    print(f"drawn into                  {options.out}")
    return 1 if made.cut else 0


if __name__ == "__main__":
    sys.exit(main())
