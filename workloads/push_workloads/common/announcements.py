"""What is told of a user's presence, to all gateways at once: each passes it on to those who watch there.

So a user whom 10,000 watch costs one message a gateway. The subjects are 256 buckets; gateways read all of them by one
interest.
"""

from __future__ import annotations

import zlib
from typing import Final, Literal, Protocol

import msgspec
from msgspec import Struct

from push_workloads.common.subjects import token

Status = Literal["online", "away", "offline"]
ALL: Final = "presence.*"
BUCKETS: Final = 256
MAX_UNTOLD: Final = 50_000


class Announcement(Struct, frozen=True, gc=False):
    """`revision` only grows from one announcement of a user to the next; 0: it is offline, and was perhaps never
    anything else. `last_seen`: the last disconnect, Unix milliseconds, None when there was none."""

    user_id: str
    status: Status
    revision: int
    last_seen: int | None


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Announcement).decode


def subject_of(user_id: str) -> str:
    """Raises BadId."""
    return f"presence.{zlib.crc32(token(user_id).encode()) % BUCKETS}"


class Line(Protocol):
    """What an announcer needs of the bus."""

    @property
    def is_connected(self) -> bool: ...

    def tell(self, subject: str, payload: bytes) -> None: ...


class Announcer:
    """Tells; while the bus is away it keeps the last word on each user, up to MAX_UNTOLD, the oldest go first. What is
    lost all the same is found by the gateways, which look again at whom they watch."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._untold: dict[str, Announcement] = {}

    def announce(self, one: Announcement) -> None:
        if self._line.is_connected:
            self._line.tell(subject_of(one.user_id), encode(one))
            return
        self._untold.pop(one.user_id, None)
        self._untold[one.user_id] = one
        if len(self._untold) > MAX_UNTOLD:
            del self._untold[next(iter(self._untold))]

    def back(self) -> None:
        """The bus is there again."""
        for one in self._untold.values():
            self._line.tell(subject_of(one.user_id), encode(one))
        self._untold.clear()
