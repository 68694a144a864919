"""`push credentials`: what a customer's own servers show; made, listed and revoked over auth's admin port."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from push_operator.cli.asking import ask
from push_operator.cli.tables import age, columns
from push_operator.cli.target import Target

CREATE, LIST, REVOKE = "create", "list", "revoke"
SCOPES: Final = ("publish", "groups", "topics", "presence", "push")
_SERVICE: Final = "auth"


def credentials(target: Target, options: Namespace) -> str:
    """What is to be printed. Raises OperatorError."""
    with target.admin(_SERVICE) as port:
        if options.action == CREATE:
            made = ask(port, _SERVICE, "POST", "/credentials", {"name": options.title, "scopes": options.scope})
            return _created(made, options.output)
        if options.action == REVOKE:
            ask(port, _SERVICE, "POST", "/credentials/revoke", {"id": options.id})
            return f"{options.id} is revoked; within a second no service takes it any more"
        found = ask(port, _SERVICE, "GET", "/credentials")["credentials"]
    return json.dumps(found, indent=2) if options.output == "json" else _listed(found, datetime.now(UTC))


def _created(made: Mapping[str, Any], output: str) -> str:
    if output == "json":
        return json.dumps(made, indent=2)
    return f"{made['credential']}\n\nKeep it now: it is not shown again. Its id is {made['id']}."


def _listed(found: Sequence[Mapping[str, Any]], now: datetime) -> str:
    if not found:
        return "there are no credentials: make one with `push credentials create NAME --scope publish`"
    lines = [("ID", "NAME", "SCOPES", "AGE")]
    for one in found:
        since = datetime.fromtimestamp(one["created_at"] / 1000, UTC).isoformat()
        lines.append((one["id"], one["name"], ",".join(one["scopes"]), age(since, now)))
    return columns(lines)
