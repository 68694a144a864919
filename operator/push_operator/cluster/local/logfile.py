"""The log of one unit: the unit writes to it by itself, this side reads its end and keeps it from growing."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024
KEPT_LOGS = 20  # of one component: each revision and ordinal has its own
LAST_WORDS_CHARACTERS = 160
_TAIL_BYTES = 4096
_UNIT = re.compile(r".+-(?P<component>[a-z]+)-[0-9a-f]{8}-\d+\.log")


class LogFile:
    """Opened for append, so that truncating it under the writer leaves no hole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._life_began_at = 0

    def open(self) -> int:
        """A descriptor for the next life of the unit; the caller closes it. Raises OSError."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._life_began_at = os.fstat(descriptor).st_size
        return descriptor

    def last_words(self) -> str:
        """The last line that this life of the unit wrote, "" when it wrote none."""
        try:
            size = self.path.stat().st_size
            begin = self._life_began_at if self._life_began_at <= size else 0
            with self.path.open("rb") as file:
                file.seek(max(begin, size - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if line.strip()]
        return _shortened(_plain(lines[-1])) if lines else ""

    def cap(self) -> None:
        """Moves a long log to `.log.1` and empties it; lines written meanwhile may be lost. Raises OSError."""
        if self.path.exists() and self.path.stat().st_size > MAX_BYTES:
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            os.truncate(self.path, 0)


def component_logs(folder: Path, component: str) -> list[Path]:
    """The logs of one component's units, the latest written last."""
    found = [path for path in folder.glob("*.log") if component_of(path) == component]
    return sorted(found, key=lambda path: path.stat().st_mtime)


def component_of(path: Path) -> str | None:
    """Whose log this is, from its name `<cluster>-<component>-<revision>-<ordinal>.log`."""
    found = _UNIT.fullmatch(path.name)
    return found["component"] if found else None


def forget_old_logs(folder: Path, component: str, in_use: set[Path]) -> None:
    """Keeps the newest KEPT_LOGS of a component, and those in use."""
    for path in component_logs(folder, component)[:-KEPT_LOGS]:
        if path not in in_use:
            path.unlink(missing_ok=True)
            path.with_suffix(".log.1").unlink(missing_ok=True)


def _shortened(text: str) -> str:
    return text if len(text) <= LAST_WORDS_CHARACTERS else f"{text[: LAST_WORDS_CHARACTERS - 1]}…"


def _plain(line: str) -> str:
    """The message of a JSON log line with the last line of its traceback; any other line as it is."""
    try:
        fields = json.loads(line)
        trace = str(fields.get("error") or "").strip().splitlines()
        return ": ".join(part for part in (str(fields["msg"]), trace[-1].strip(" |+-") if trace else "") if part)
    except (ValueError, KeyError, AttributeError, TypeError):
        return line.strip()
