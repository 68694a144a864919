"""`push trace`: a message's whole way, from the log to each device, as far as each service knows it."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any, Final
from urllib.parse import quote, urlencode

from push_operator.cli.asking import NotThere, ask
from push_operator.cli.target import Target
from push_operator.cli.traced import joined, told
from push_operator.errors import ClusterError

PAGE: Final = 200  # recipients asked for at once
MESSAGE, PUSH = "message", "push"
DEVICES: Final = 50  # the most that one user has
Part = dict[str, Any]


def trace(target: Target, options: Namespace) -> str:
    """What is to be printed. Raises OperatorError when nothing is known of the message."""
    notes: list[str] = []
    message = _message(target, options.id, options.limit, notes)
    last = message["recipients"][-1]["user_id"] if message is not None and message["next"] else None
    deliveries = _deliveries(target, options.id, options.limit, last, notes)
    if message is None and not deliveries:
        raise ClusterError("; ".join(notes if deliveries is None else notes[:1]))
    if message is not None and message["next"]:
        notes.append(f"these are the first {options.limit} recipients: --limit shows more")
    way = joined(message, deliveries, notes)
    return json.dumps(way, indent=2) if options.output == "json" else told(options.id, way)


def _message(target: Target, message_id: str, limit: int, notes: list[str]) -> Part | None:
    """The message service's part, with up to `limit` recipients. None with a note when it knows none, or is away."""
    try:
        with target.public(MESSAGE) as port:
            whole: Part | None = None
            after: str | None = None
            while whole is None or (after is not None and len(whole["recipients"]) < limit):
                wanted = min(PAGE, limit - len(whole["recipients"]) if whole is not None else limit)
                query = urlencode({"limit": wanted, **({"after": after} if after is not None else {})})
                page = ask(port, MESSAGE, "GET", f"/trace/{quote(message_id, safe='')}?{query}")
                whole = page if whole is None else {**whole, "recipients": whole["recipients"] + page["recipients"]}
                after = whole["next"] = page["next"]
            return whole
    except ClusterError as error:
        notes.append(str(error))
        return None


def _deliveries(target: Target, message_id: str, limit: int, last: str | None, notes: list[str]) -> list[Part] | None:
    """The push service's part: of the users up to `last`, or of up to `limit` devices when it is not known who they
    are. None with a note when it is away."""
    found: list[Part] = []
    after: str | None = None
    try:
        with target.public(PUSH) as port:
            while True:
                query = urlencode({"message_id": message_id, **({"after": after} if after is not None else {})})
                page = ask(port, PUSH, "GET", f"/deliveries?{query}")
                found += page["deliveries"]
                after = page["next"]
                if after is None:
                    break
                if last is not None and found[-1]["user_id"] > last:
                    break
                if len(found) >= limit * DEVICES:
                    notes.append("these are not all devices: --limit shows more")
                    break
    except NotThere:
        return found
    except ClusterError as error:
        if str(error) not in notes:  # the same trouble with both
            notes.append(f"no pushes are shown: {error}")
        return None
    if not found:
        notes.append(
            "no push was decided for it: it needed none, none of its recipients has a device, or it is too old"
        )
    return [one for one in found if last is None or one["user_id"] <= last]
