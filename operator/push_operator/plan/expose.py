"""Which service answers which path at the one host that clients use: the table behind Ingress and HTTPRoute alike.

The services' own ports have the same paths, so nothing is rewritten; a test holds the table to the real routes.
Admin ports are in nobody's reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from push_operator.model import SERVICES

SOCKET_PATH: Final = "/ws"


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests for `path` go to `service`; unless it is `exact`, so do those for what is below it."""

    path: str
    service: str
    exact: bool = False

    def takes(self, path: str) -> bool:
        return path == self.path or (not self.exact and path.startswith(f"{self.path}/"))


RULES: Final = (
    Rule(SOCKET_PATH, "gateway", exact=True),
    Rule("/auth", "auth"),
    Rule("/channels", "message"),
    Rule("/conversations", "message"),
    Rule("/messages", "message"),
    Rule("/presence", "presence"),
    Rule("/devices", "push"),
    # A gateway speaks no HTTP: it has no such document.
    *(Rule(f"/openapi/{service}.json", service, exact=True) for service in SERVICES if service != "gateway"),
)
