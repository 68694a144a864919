"""The operator's own log: a file beside those of the units, and its warnings on the screen."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

OWN_LOG_BYTES = 1024 * 1024


@contextlib.contextmanager
def logging_to(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Everything from INFO on goes to the file, warnings also to `say`, while the context is open."""
    file = _PrivateFile(path, maxBytes=OWN_LOG_BYTES, backupCount=1, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handlers: tuple[logging.Handler, ...] = (file, _Screen(say))
    root = logging.getLogger()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
        file.close()


class _PrivateFile(RotatingFileHandler):
    """Its owner's alone from the first moment."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, self.mode, encoding=self.encoding)  # type: ignore[return-value]


class _Screen(logging.Handler):
    """Warnings without breaking the table."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a screen that is gone must not fail the one who warns
            self._say(f"push: {record.getMessage()}")
