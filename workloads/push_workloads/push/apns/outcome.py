"""What became of a request: answered, surely not processed (another connection may have it), or nobody knows."""

from __future__ import annotations

from typing import Final, NamedTuple


class Answered(NamedTuple):
    status: int
    body: bytes = b""
    apns_id: str | None = None
    retry_after: str | None = None


class NotProcessed(NamedTuple):
    """Surely. `elsewhere`: another connection may do better at once."""

    reason: str
    elsewhere: bool = True


class Lost(NamedTuple):
    """It was sent, and may have been processed."""

    reason: str


Outcome = Answered | NotProcessed | Lost
BUSY: Final = NotProcessed("busy", elsewhere=False)
