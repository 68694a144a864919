"""The log of one component in a Kubernetes: `kubectl logs` of its pods, merged by time, and followed over restarts."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from push_operator.cli.kubectl import Kubectl, Stream, items
from push_operator.cli.output import complain

PODS_SECONDS = 5.0  # how soon a new pod is followed
OVERLAP_SECONDS = 5.0
_LINE = re.compile(r"\[pod/(?P<pod>[^/\]]+)/[^\]]+\] (?P<at>\d\S+) ?(?P<text>.*)", re.DOTALL)


Instant = tuple[datetime, str]  # to the microsecond, then as it was written, to the nanosecond
_LONG_AGO: Final[Instant] = (datetime.min.replace(tzinfo=UTC), "")


@dataclass(frozen=True, slots=True)
class Line:
    """A line and when the node's runtime got it."""

    pod: str
    at: Instant
    text: str


def parsed(raw: str) -> Line | None:
    """None: words of kubectl's own."""
    found = _LINE.fullmatch(raw)
    try:
        return Line(found["pod"], (datetime.fromisoformat(found["at"]), found["at"]), found["text"]) if found else None
    except ValueError:
        return None


def lives_of(pods: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The containers that have been started, by ids that no other life of theirs has."""
    statuses = (one for pod in pods for one in pod.get("status", {}).get("containerStatuses") or ())
    ids = (one.get("containerID") or _ended(one).get("containerID") for one in statuses)
    return frozenset(str(one) for one in ids if one)


def _ended(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of one that waits to be started again: what is known of its last life."""
    return (status.get("lastState") or {}).get("terminated") or {}


class PodLogs:
    """The pods that `selector` finds, and the container of that name in them."""

    def __init__(self, kubectl: Kubectl, selector: str, container: str) -> None:
        self._kubectl, self._selector = kubectl, selector
        # A pod whose container has not started yet would otherwise end the whole run.
        self._logs = ("logs", f"--selector={selector}", f"--container={container}", "--prefix", "--timestamps",
                      "--ignore-errors", "--max-log-requests=1000")  # fmt: skip
        self._seen: dict[str, Instant] = {}
        self._begun = time.monotonic()
        self._told: set[str] = set()

    def lives(self) -> frozenset[str]:
        return lives_of(items(self._kubectl.ask("get", "pods", f"--selector={self._selector}")))

    def last(self, count: int) -> list[str]:
        """The newest `count` lines of all pods, by time."""
        self._begun = time.monotonic()
        text = self._kubectl.run(*self._logs, f"--tail={max(count, 1)}")
        lines = sorted(self._new(text.split("\n")), key=lambda line: line.at)
        return [line.text for line in lines[-count:]] if count else []

    def follow(self) -> Generator[str, None, None]:
        """Goes on after `last`, without end.

        kubectl follows the pods that are there when it starts: it is started again when a container has started
        since, or when all that it followed have ended.
        """
        while True:
            followed = self.lives()
            since = math.ceil(time.monotonic() - self._begun + OVERLAP_SECONDS)
            self._begun = time.monotonic()
            with self._kubectl.streaming(*self._logs, "--follow", f"--since={since}s") as stream:
                yield from (line.text for line in self._new(self._until_others_start(stream, followed)))
            if stream.ended:
                time.sleep(PODS_SECONDS)

    def _until_others_start(self, stream: Stream, followed: frozenset[str]) -> Generator[str, None, None]:
        while not stream.ended:
            yield from stream.lines(PODS_SECONDS)
            if self.lives() - followed:
                return

    def _new(self, lines: Iterable[str]) -> Generator[Line, None, None]:
        """Those of one run that no run before had: each begins a little before the end of the one before it."""
        before = dict(self._seen)
        for raw in lines:
            line = parsed(raw)
            if line is None:
                self._tell(raw)
            elif line.at > before.get(line.pod, _LONG_AGO):
                self._seen[line.pod] = line.at
                yield line

    def _tell(self, words: str) -> None:
        """kubectl's own words stand between the lines: why one of the pods has no log. Once is enough."""
        if words and words not in self._told:
            self._told.add(words)
            complain(f"kubectl: {words.removeprefix('error: ')}")
