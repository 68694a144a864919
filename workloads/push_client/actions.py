"""What the session wants done. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from push_client.events import Frame, Subscribed
from push_client.outbox import Outcome

SEND: Final = "send:"
SUBSCRIBE: Final = "subscribe:"


@dataclass(frozen=True, slots=True)
class Write:
    frame: Frame


@dataclass(frozen=True, slots=True)
class Settle:
    """Whoever waits under `key` has the outcome."""

    key: str
    outcome: Outcome | Subscribed


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection from this side: it is dead, or about to be."""

    reason: str


Action = Write | Settle | HangUp
