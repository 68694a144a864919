"""The gateways of a platform as the API server tells of them, change by change: what a poll would miss is seen."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, Any, Final

from tests.e2e.kubernetes.place import Object, Place

_SERVING: Final = "pushcluster.io/serving"


@dataclass
class Seen:
    """Since a scene began. `fewest`: gateways that served at once; `budgets` as the status told them, in clients a
    second; `gone`: uids of pods that went."""

    fewest: int
    budgets: set[float] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)


class Gateways:
    """`pods` by name, those on their way out included."""

    def __init__(self) -> None:
        self.pods: dict[str, Object] = {}
        self.platform: Object = {}
        self.seen = Seen(0)

    @property
    def scaling(self) -> Mapping[str, Any]:
        return (self.platform.get("status") or {}).get("scaling") or {}

    @property
    def drains(self) -> list[Object]:
        """Those that are being emptied, and have somebody left."""
        return [one for one in self.scaling.get("drains") or () if one.get("left")]

    @property
    def staying(self) -> frozenset[str]:
        return frozenset(name for name, pod in self.pods.items() if not _leaves(pod))

    @property
    def oldest(self) -> str:
        """It has had the most time to fill."""
        return min(self.staying, key=lambda name: (self.pods[name]["metadata"]["creationTimestamp"], name))

    @property
    def serving(self) -> frozenset[str]:
        return frozenset(name for name, pod in self.pods.items() if _serves(pod))

    def begin(self) -> None:
        self.seen = Seen(len(self.serving))
        self._note_budget()

    def rests_at(self, number: int) -> bool:
        """So many gateways, all of them serving, and nothing under way."""
        told = self.scaling.get("desired"), self.scaling.get("current")
        return len(self.pods) == len(self.serving) == number and told == (number, number) and self.is_ready()

    def is_ready(self) -> bool:
        """Of this very generation."""
        status: Object = self.platform.get("status") or {}
        seen = status.get("observedGeneration") == (self.platform.get("metadata") or {}).get("generation")
        ready = (one["status"] for one in status.get("conditions") or () if one["type"] == "Ready")
        return seen and next(ready, "") == "True"

    def take_pod(self, pod: Object, *, gone: bool) -> None:
        others = {name: one for name, one in self.pods.items() if name != pod["metadata"]["name"]}
        self.pods = others if gone else {**others, pod["metadata"]["name"]: pod}  # another thread may be reading
        if gone:
            self.seen.gone.add(pod["metadata"]["uid"])
        self.seen.fewest = min(self.seen.fewest, len(self.serving))

    def take_platform(self, body: Object, *, gone: bool) -> None:
        self.platform = {} if gone else body
        self._note_budget()

    def _note_budget(self) -> None:
        if "budget" in self.scaling:
            self.seen.budgets.add(self.scaling["budget"])


def _leaves(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _serves(pod: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions") or ()}
    return _SERVING in pod["metadata"]["labels"] and conditions.get("Ready") == "True" and not _leaves(pod)


@contextmanager
def watched_gateways(place: Place) -> Iterator[Gateways]:
    made = Gateways()
    with (
        _watching(place, made.take_pod, "pods", "-l", "app.kubernetes.io/component=gateway"),
        _watching(place, made.take_platform, "pcl"),
    ):
        yield made


@contextmanager
def _watching(place: Place, take: Any, *what: str) -> Iterator[None]:
    command = ["kubectl", "-n", place.name, "get", *what, "--watch", "--output-watch-events", "-o", "json"]
    with subprocess.Popen(command, env=place.cluster.environ, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        reader = threading.Thread(target=_read, args=(watch.stdout, take))
        reader.start()
        try:
            yield
        finally:
            watch.kill()
            reader.join()


def _read(events: IO[str], take: Any) -> None:
    """A line is an event."""
    for line in events:
        event = json.loads(line)
        take(event["object"], gone=event["type"] == "DELETED")
