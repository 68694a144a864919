"""What `push up` shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from push_operator.cli.output import Row, is_ready, rows, what_lacks


class Display(Protocol):
    """Shown again and again with what is there now; a context manager, so that a terminal is left in order."""

    def __enter__(self) -> Display: ...

    def __exit__(self, *_: object) -> None: ...

    def update(self, body: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> None:
        """Shows the platform; called a few times a second."""

    def say(self, text: str) -> None:
        """One line that stays."""


def display(page: str) -> Display:
    """The one that fits where standard output goes."""
    return LiveTable(page) if sys.stdout.isatty() else PlainLines(page)


class LiveTable:
    """Redraws one table in place."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._spinner = Spinner("dots", text="starting")

    def __enter__(self) -> LiveTable:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def update(self, body: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> None:
        if is_ready(body):
            head: Text | Spinner = Text.assemble(("ready ", "bold green"), (self._page, "bold underline"))
        else:
            self._spinner.update(text=Text("coming up" if not body else what_lacks(body), overflow="ellipsis"))
            head = self._spinner
        foot = Text("Ctrl-C stops everything", style="dim")
        self._live.update(Group(head, _table(rows(body, units)), foot))

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False)


class PlainLines:
    """One line for each change, so that a log file or a script can follow; the last one on the way is `ready …`."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._shown: dict[str, str] = {}
        self._was_ready = False

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, body: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> None:
        for row in rows(body, units):
            self._show(row)
        ready = is_ready(body)
        if ready and not self._was_ready:
            _print(f"ready {self._page}")
        self._was_ready = ready

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def _show(self, row: Row) -> None:
        """Counts that changed; notes only of units that failed, as those of a start change many times a second."""
        failed = row.note if row.restarts else ""
        line = f"{row.component} {row.ready}/{row.desired}" + (f" ({failed})" if failed else "")
        if self._shown.get(row.component) != line:
            self._shown[row.component] = line
            _print(line)


def _table(shown: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("COMPONENT", "READY", "ENDPOINT", "RESTARTS", "NOTE"):
        table.add_column(name, no_wrap=name != "NOTE", justify="right" if name == "RESTARTS" else "left")
    for row in shown:
        colour = "green" if row.complete else "yellow" if row.restarts == 0 else "red"
        ready = Text(f"{row.ready}/{row.desired}", style=colour)
        table.add_row(row.component, ready, row.endpoint, str(row.restarts), Text(row.note, style="dim"))
    return table


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
