"""What the manifest says of presence, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from push_operator.fields import Node

VISIBLE_TO: Final = ("everyone", "contacts", "nobody")


@dataclass(frozen=True, slots=True)
class Presence:
    """How long a user without a session is not told to be offline, and to whom presence is shown at most: each user may
    draw that narrower."""

    offline_grace_seconds: int = 15
    visible_to: str = "contacts"


def presence_of(node: Node) -> Presence:
    """What `spec.presence` says besides what it has in common with other services."""
    return Presence(
        offline_grace_seconds=node.integer("offlineGraceSeconds", 15, 0, 300),
        visible_to=node.choice("visibleTo", "contacts", VISIBLE_TO),
    )
