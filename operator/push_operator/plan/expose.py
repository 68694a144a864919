"""Which service answers which path at the one host that clients use: the table behind Ingress and HTTPRoute alike.

The services' own ports have the same paths, so nothing is rewritten; a test holds the table to the real routes.
Admin ports are in nobody's reach. Sockets and event streams are requests that last for days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from push_operator.model import SERVICES
from push_operator.plan.workload import PUBLIC, SSE

SOCKET_PATH: Final = "/ws"
EVENTS_PATH: Final = "/sse"


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests for `path` go to a port of `service`; unless it is `exact`, so do those for what is below it."""

    path: str
    service: str
    exact: bool = False
    port: str = PUBLIC

    def takes(self, path: str) -> bool:
        return path == self.path or (not self.exact and path.startswith(f"{self.path}/"))


RULES: Final = (
    Rule(SOCKET_PATH, "gateway", exact=True),
    Rule(EVENTS_PATH, "gateway", exact=True, port=SSE),
    *(Rule(path, "auth") for path in ("/auth", "/oauth")),
    Rule("/.well-known/jwks.json", "auth", exact=True),
    *(
        Rule(path, "message")
        for path in ("/conversations", "/messages", "/groups", "/blocks", "/privacy", "/topics", "/channels", "/trace")
    ),
    *(Rule(path, "presence") for path in ("/presence", "/sessions")),
    *(Rule(path, "push") for path in ("/devices", "/preferences", "/deliveries", "/push", "/broadcasts")),
    # A gateway has no such document.
    *(Rule(f"/openapi/{service}.json", service, exact=True) for service in SERVICES if service != "gateway"),
)
