"""The log of one unit: the unit writes to it by itself, this side reads its end and keeps it from growing."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024
KEPT_LOGS = 20  # of one component: each revision and ordinal has its own
NOTE_CHARACTERS = 200
_TAIL_BYTES = 64 * 1024  # a JSON line with the traceback of an exception group is long
_UNIT = re.compile(r".+-(?P<component>[a-z]+)-[0-9a-f]{8}-\d+\.log")
_BOX = re.compile(r"[\s|+-]*")  # what tracebacks of exception groups are framed with
_EXCEPTION = re.compile(r"\s*(?:\|\s)?(?P<words>(?:(?:\w+\.)+\w+|[A-Z]\w*): \S.*)")


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
        """The last thing that this life of the unit said, "" when it said nothing."""
        try:
            size = self.path.stat().st_size
            begin = self._life_began_at if self._life_began_at <= size else 0
            with self.path.open("rb") as file:
                file.seek(max(begin, size - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ""
        lines = [line for line in text.splitlines() if not _BOX.fullmatch(line)]
        return one_line(_plain(lines[-1])) if lines else ""

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


def one_line(text: str, longest: int = NOTE_CHARACTERS) -> str:
    """A note that fits into a table: short, and without what would move a terminal's cursor."""
    flat = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def _plain(line: str) -> str:
    """The message of a JSON log line, with the exception of its traceback unless it says that itself; of any other
    line what stands in it."""
    try:
        fields = json.loads(line)
        message, trace = str(fields["msg"]), str(fields.get("error") or "")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        found = _EXCEPTION.fullmatch(line)
        return found["words"] if found else line
    words = _exception(trace)
    return message if not words or words.partition(": ")[2] in message else f"{message}: {words}"


def _exception(trace: str) -> str:
    """The last line of a traceback that reads `Name: text`: of an exception group, what its last member says."""
    found = [match["words"].strip() for line in trace.splitlines() if (match := _EXCEPTION.fullmatch(line))]
    return found[-1] if found else ""
