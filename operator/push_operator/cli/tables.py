"""Cells and columns of what is printed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

UNKNOWN: Final = "-"


def columns(lines: Sequence[tuple[str, ...]]) -> str:
    """The lines as text, each cell as wide as the widest of its column."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def yes(holds: bool) -> str:
    return "yes" if holds else "no"


def number(known: int | None) -> str:
    return UNKNOWN if known is None else str(known)


def age(since: str | None, now: datetime) -> str:
    """In the greatest unit of which there are two, as kubectl says it."""
    if not since:
        return UNKNOWN
    seconds = max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
    units = (("d", 86_400), ("h", 3600), ("m", 60))
    return next((f"{seconds // size}{name}" for name, size in units if seconds >= 2 * size), f"{seconds}s")
