"""`push logs`: the lines of one component's units, merged by time, for people or raw."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TextIO

from push_operator.cluster.local.logfile import component_logs

FOLLOW_SECONDS = 0.2
_SHOWN_APART = ("ts", "level", "service", "instance", "logger", "msg", "error")


def last_lines(folder: Path, component: str, count: int) -> list[str]:
    """The newest `count` lines over all units of a component, oldest first."""
    return _merged(_tail(path, count) for path in component_logs(folder, component))[-count:] if count else []


def follow(folder: Path, component: str) -> Generator[str, None, None]:
    """Lines as they are written, those of units that start later included. Never ends."""
    known: dict[Path, TextIO] = {}
    with ExitStack() as stack:
        for path in component_logs(folder, component):
            known[path] = stack.enter_context(_opened(path))
            known[path].seek(0, os.SEEK_END)
        while True:
            for path in component_logs(folder, component):
                if path not in known:
                    known[path] = stack.enter_context(_opened(path))
            yield from _merged(_new_lines(path, file) for path, file in known.items())
            time.sleep(FOLLOW_SECONDS)


def for_people(line: str) -> str:
    """`12:01:02.123 INFO gateway-… message key=value` in local time; a line that is no JSON record as it is."""
    try:
        fields = json.loads(line)
        when = datetime.fromisoformat(fields["ts"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
        head = f"{when} {fields['level'].upper()} {fields['instance']} {fields['msg']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return line
    rest = [f"{key}={value}" for key, value in fields.items() if key not in _SHOWN_APART]
    trace = f"\n{fields['error']}" if fields.get("error") else ""
    return " ".join([head, *rest]) + trace


def show(line: str, raw: bool) -> None:
    sys.stdout.write((line if raw else for_people(line)) + "\n")
    sys.stdout.flush()


def _tail(path: Path, count: int) -> list[str]:
    with _opened(path) as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8", errors="replace")


def _new_lines(path: Path, file: TextIO) -> list[str]:
    """Whole lines since the last call; a file that became shorter was emptied and starts anew."""
    if path.exists() and path.stat().st_size < file.tell():
        file.seek(0)
    lines: list[str] = []
    while True:
        begin = file.tell()
        line = file.readline()
        if not line.endswith("\n"):
            file.seek(begin)
            return lines
        lines.append(line.rstrip("\n"))


def _merged(files: Iterable[list[str]]) -> list[str]:
    """By time; a line without a time (a traceback, a server's own format) stays behind the one before it."""
    timed = []
    for lines in files:
        when = ""
        for line in lines:
            at = line.find('"ts":"')
            when = line[at + 6 : at + 29] if at >= 0 else when
            timed.append((when, line))
    return [line for _, line in sorted(timed, key=lambda one: one[0])]
