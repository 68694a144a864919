"""What tests of the local platform share: free ports, and `push` as a subprocess."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

PORTS = (*range(8080, 8086), 8090)
PUSH = (sys.executable, "-m", "push_operator.cli.main")


def eventually_now(holds: Callable[[], object], seconds: float = 15.0, what: str = "") -> None:
    """Waits until `holds` does, without an event loop; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or holds}"
        time.sleep(0.05)


def free_offset() -> int:
    """A --port-offset with which every port of the platform is free now; different for concurrent test runs."""
    begin = 2000 + os.getpid() % 200 * 100
    offsets: tuple[int, ...] = (*range(begin, 24_000, 20), *range(2000, begin, 20))
    for offset in offsets:
        if all(_is_free(port + offset) for port in PORTS):
            return offset
    raise AssertionError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class Platform:
    """`push up` in a folder of its own, and the other commands on it."""

    def __init__(self, folder: Path, offset: int) -> None:
        self.folder, self.offset = folder, offset
        self.state = folder / "state"
        self.process: subprocess.Popen[str] | None = None
        self._output = folder / "up.out"
        self._errors = folder / "up.err"

    def up(self, manifest: Path | str, *options: str) -> None:
        """Starts it and returns at once."""
        argv = (*PUSH, "up", str(manifest), "--state", str(self.state), "--port-offset", str(self.offset), *options)
        with self._output.open("w") as output, self._errors.open("w") as errors:
            self.process = subprocess.Popen(argv, stdout=output, stderr=errors, text=True, start_new_session=True)

    def until_ready(self, seconds: float = 60.0) -> None:
        """Waits for the `ready` line; a failure shows what it said instead."""
        try:
            eventually_now(lambda: self.ready_line in self.output.splitlines() or self.ended, seconds, "ready")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.output}\n{self.errors}") from late
        assert not self.ended, self.errors

    @property
    def ready_line(self) -> str:
        return f"ready http://localhost:{8090 + self.offset}"

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def push(self, *arguments: str, code: int = 0) -> str:
        """Runs a command on this platform; returns what it printed, or its errors when `code` is not 0."""
        done = subprocess.run(
            (*PUSH, *arguments, "--state", str(self.state)), capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stderr if code else done.stdout

    def get(self) -> dict[str, Any]:
        got: dict[str, Any] = json.loads(self.push("get", "-o", "json"))
        return got

    def children(self) -> list[psutil.Process]:
        """The processes that it started."""
        assert self.process is not None
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def end(self, number: int = signal.SIGINT, seconds: float = 15.0) -> int:
        """Sends a signal and returns the exit code; nothing that it started may be left."""
        assert self.process is not None
        children = self.children()
        if not self.ended:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        eventually_now(lambda: not any(is_alive(child) for child in children), 5, "children gone")
        return code


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
