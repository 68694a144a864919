"""The real operator as a process."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.waiting import within


class OperatorProcess:
    """It keeps its port over a restart; `log` is what it said."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path, port: int) -> None:
        self._command, self._environ, self.log, self._port = command, dict(environ), log, port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=os.environ | self._environ, stdout=log, stderr=log)

    @property
    def address(self) -> str:
        """`HOST:PORT` of its admin port."""
        return f"127.0.0.1:{self._port}"

    def answer(self, path: str) -> tuple[int, str]:
        """What its admin port says; status 0 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=2) as answer:
                return answer.status, answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode().strip()
        except OSError:
            return 0, ""

    def until_ready(self) -> None:
        within(30, lambda: self.process is None or self.process.poll() is not None or self.answer("/readyz")[0] == 200)
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]

    def leads(self) -> bool:
        return self.answer("/readyz") == (200, "leading")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int) -> int:
        """Signals and waits; the exit code."""
        self.signal(number)
        assert self.process is not None
        return self.process.wait(20)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
