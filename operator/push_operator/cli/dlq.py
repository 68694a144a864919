"""`push dlq`: the dead letters of the push queue; listed, put back or dropped over the push service's admin port."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from push_operator.cli.asking import ask
from push_operator.cli.tables import age, columns
from push_operator.cli.target import AdminPort, Target

LIST, RETRY, DROP = "list", "retry", "drop"
PAGE: Final = 100
_SERVICE: Final = "push"
_DONE: Final = {RETRY: "put back into the queue", DROP: "dropped"}


def dlq(target: Target, options: Namespace) -> str:
    """What is to be printed. Raises OperatorError."""
    with target.admin(_SERVICE) as port:
        if options.action == LIST:
            found = _letters(port, options.limit)
            return json.dumps(found, indent=2) if options.output == "json" else _listed(found, datetime.now(UTC))
        # Of all those that are there now: what dies anew meanwhile is left for the next time.
        wanted = options.seq or [one["seq"] for one in _letters(port, None)]
        for seq in wanted:
            ask(port, _SERVICE, "POST", f"/dead-letters/{options.action}", {"seq": seq})
    return f"{len(wanted)} {'dead letter' if len(wanted) == 1 else 'dead letters'} {_DONE[options.action]}"


def _letters(port: AdminPort, limit: int | None) -> list[dict[str, Any]]:
    """The oldest first, all of them without a limit."""
    found: list[dict[str, Any]] = []
    while limit is None or len(found) < limit:
        wanted = PAGE if limit is None else min(PAGE, limit - len(found))
        after = found[-1]["seq"] if found else 0
        page = ask(port, _SERVICE, "GET", f"/dead-letters?after={after}&limit={wanted}")["dead_letters"]
        found += page
        if len(page) < wanted:
            break
    return found


def _listed(found: Sequence[Mapping[str, Any]], now: datetime) -> str:
    if not found:
        return "there are no dead letters"
    lines = [("SEQ", "QUEUE", "REASON", "ATTEMPTS", "AGE", "BYTES")]
    for one in found:
        since = datetime.fromtimestamp(one["since"] / 1000, UTC).isoformat() if one["since"] else None
        cells = (one["seq"], one["subject"], one["reason"], one["attempts"], age(since, now), one["size"])
        lines.append(tuple(str(cell) for cell in cells))  # type: ignore[arg-type]  # as many as the headings
    return columns(lines)
