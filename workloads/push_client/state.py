"""What a device keeps over a restart of its program: its id, and how far the application came in each channel."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from push_client.events import Cursor, Saved


class State(Protocol):
    """Called in a thread, one call at a time. `load` gives None when nothing was saved."""

    def load(self) -> Saved | None: ...
    def save(self, saved: Saved) -> None: ...


class MemoryState:
    """Kept as long as the object: over several clients, not over a restart."""

    def __init__(self) -> None:
        self._saved: Saved | None = None

    def load(self) -> Saved | None:
        return self._saved

    def save(self, saved: Saved) -> None:
        self._saved = saved


class FileState:
    """A JSON file, replaced as a whole: a crash leaves the old one or the new one. One program a file.

    `load` raises ValueError when the file holds something else: to go on as a new device would lose what was missed.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def load(self) -> Saved | None:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            document = json.loads(text)
            cursors = {name: Cursor(str(epoch), int(seq)) for name, (epoch, seq) in document["cursors"].items()}
            return Saved(str(document["device_id"]), str(document["user_id"]), cursors)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{self._path}: not the state of a client; move it away to begin as a new device"
            ) from error

    def save(self, saved: Saved) -> None:
        text = json.dumps({"device_id": saved.device_id, "user_id": saved.user_id, "cursors": saved.cursors})
        beside = self._path.with_name(f"{self._path.name}.new")
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)


def device_of(saved: Saved | None, wanted: str | None, new_id: Callable[[], str]) -> Saved:
    """Whose cursors count: they are those of one device."""
    if saved is not None and wanted in (None, saved.device_id):
        return saved
    return Saved(wanted or new_id())
