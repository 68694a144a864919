"""Which partition of history a message goes to: its conversation's day, and a slice of that day. Pure.

A partition must stay small (100 MB is where Cassandra begins to suffer), and a day of a conversation has no bound. So
each writer counts what it put into a day; past `SLICE_BYTES` it opens another slice under a random number of its own,
and needs no word with other writers: which slices a day has is itself written down, and a reader merges them all.
Almost every day of almost every conversation is slice 0 alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from push_workloads.message.model import Message

DAY_MS: Final = 86_400_000
SLICE_BYTES: Final = 16 * 1024 * 1024
ROW_BYTES: Final = 200  # what a row costs beside its content, about
REMEMBERED: Final = 100_000


class Bucket(NamedTuple):
    """A partition of history."""

    conversation: str
    day: int
    slice: int


def day_of(sent_at: int) -> int:
    return sent_at // DAY_MS


@dataclass(slots=True)
class _Filling:
    slice: int
    bytes: int
    listed: bool = False


class Buckets:
    """What one writer knows of the days that it wrote to lately. `new_slice` gives random positive numbers."""

    def __init__(
        self, new_slice: Callable[[], int], *, slice_bytes: int = SLICE_BYTES, remembered: int = REMEMBERED
    ) -> None:
        self._new_slice = new_slice
        self._slice_bytes = slice_bytes
        self._remembered = remembered
        self._days: OrderedDict[tuple[str, int], _Filling] = OrderedDict()

    def place(self, message: Message) -> Bucket:
        """The bucket for this message, which counts towards it from now on."""
        key = (message.conversation, day_of(message.sent_at))
        filling = self._days.setdefault(key, _Filling(slice=0, bytes=0))
        self._days.move_to_end(key)
        if filling.bytes >= self._slice_bytes:
            filling = self._days[key] = _Filling(self._new_slice(), 0)
        filling.bytes += len(message.content) + ROW_BYTES
        while len(self._days) > self._remembered:
            self._days.popitem(last=False)
        return Bucket(*key, filling.slice)

    def is_listed(self, bucket: Bucket) -> bool:
        """Whether this writer has written down that the bucket exists; `listed` says that it has."""
        filling = self._days.get((bucket.conversation, bucket.day))
        return filling is not None and filling.slice == bucket.slice and filling.listed

    def listed(self, bucket: Bucket) -> None:
        filling = self._days.get((bucket.conversation, bucket.day))
        if filling is not None and filling.slice == bucket.slice:
            filling.listed = True
