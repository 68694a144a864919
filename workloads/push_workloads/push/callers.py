"""Who may call what."""

from __future__ import annotations

from typing import Final

from push_workloads.common.errors import Forbidden
from push_workloads.common.http import Call
from push_workloads.common.tokens import SERVICE

SCOPE: Final = "push"


def service_only(call: Call) -> None:
    """Raises Forbidden for a user's token: what a service credential orders goes to everybody."""
    if call.user_id != SERVICE:
        raise Forbidden("this takes the service credential")
