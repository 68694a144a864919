"""A broadcast on a terminal, redrawn in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.live import Live
from rich.text import Text

from push_operator.cli.broadcasts import told


class Redrawn:
    """A context manager, so that the terminal is left in order; what was shown last stays."""

    def __init__(self) -> None:
        self._live = Live(refresh_per_second=4)

    def __enter__(self) -> Redrawn:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def update(self, view: Mapping[str, Any]) -> None:
        self._live.update(Text(told(view)))
