"""`push broadcast`: one notification for many devices; ordered, followed and stopped over push's admin port."""

from __future__ import annotations

import json
import secrets
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

from push_operator.cli.asking import NoAnswer, ask
from push_operator.cli.output import complain
from push_operator.cli.tables import UNKNOWN, age, columns
from push_operator.cli.target import AdminPort, Target
from push_operator.errors import OperatorError

SEND, STATUS, STOP, LIST = "send", "status", "stop", "list"
ACTIONS: Final[Mapping[str, str]] = {
    SEND: "send one, now or at a time",
    STATUS: "how far one has come",
    STOP: "stop one: what was not sent is not sent any more",
    LIST: "the newest",
}
WATCHED: Final = (SEND, STATUS)
PLATFORMS: Final = ("fcm", "apns", "webpush")
LOOK_SECONDS: Final = 1.0
BAR: Final = 30
OVER: Final = ("done", "stopped")
_SERVICE: Final = "push"
View = Mapping[str, Any]


def broadcasts(target: Target, options: Namespace) -> None:
    """Prints what is asked for. Raises OperatorError."""
    order = order_of(options, secrets.token_hex(16)) if options.action == SEND else None
    with target.admin(_SERVICE) as port:
        if options.action == LIST:
            found = ask(port, _SERVICE, "GET", "/broadcasts")["broadcasts"]
            _print(json.dumps(found, indent=2) if options.output == "json" else listed(found, datetime.now(UTC)))
            return
        view = _carried_out(port, options, order)
        if getattr(options, "watch", False):
            _watch(port, view, options.output)
        else:
            _print(json.dumps(view, indent=2) if options.output == "json" else told(view))


def _carried_out(port: AdminPort, options: Namespace, order: Mapping[str, Any] | None) -> View:
    if order is not None:
        return _sent(port, order)
    if options.action == STOP:
        return ask(port, _SERVICE, "POST", "/broadcasts/stop", {"id": options.id})
    return _looked_at(port, options.id)


def _sent(port: AdminPort, order: Mapping[str, Any]) -> View:
    """Whoever runs it again as it was, since no answer came, would tell everybody twice."""
    again = f"it may have been sent: run it again with --dedup-id {order['dedup_id']}, and it is not sent twice"
    try:
        return ask(port, _SERVICE, "POST", "/broadcasts", order)
    except NoAnswer as error:
        raise NoAnswer(f"{error}; {again}") from error
    except KeyboardInterrupt:
        complain(again)
        raise


def _looked_at(port: AdminPort, broadcast_id: str) -> View:
    return ask(port, _SERVICE, "GET", f"/broadcasts?id={quote(broadcast_id, safe='')}")


def order_of(options: Namespace, dedup_id: str) -> dict[str, Any]:
    """What the service is asked for, with this `dedup_id` unless another was given. Raises OperatorError. Pure."""
    segment = {
        "platforms": options.platform, "app": options.app, "app_version": options.app_version,
        "locales": options.locale,
    }  # fmt: skip
    segment = {name: value for name, value in segment.items() if value is not None}
    if sum((options.all, options.topic is not None, bool(segment))) != 1:
        raise OperatorError("say to whom: --all, --topic NAME, or what must hold of a device, such as --platform fcm")
    shown = {
        "title": options.title, "body": options.body, "template": options.template, "data": _data(options.data),
        "collapse_key": options.collapse_key, "ttl_s": options.ttl, "per_second": options.rate,
        "send_at": _at(options.at), "silent": options.silent or None, "topic": options.topic,
        "segment": segment if options.topic is None else None,
        "dedup_id": dedup_id if options.dedup_id is None else options.dedup_id,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value is not None}


def _data(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        made = json.loads(text)
    except ValueError as error:
        raise OperatorError(f"--data is no JSON: {error}") from error
    if not isinstance(made, dict):
        raise OperatorError('--data must be an object, such as {"order": "A-17"}')
    return made


def _at(text: str | None) -> int | None:
    """Unix milliseconds."""
    if text is None:
        return None
    try:
        made = datetime.fromisoformat(text)
    except ValueError as error:
        raise OperatorError("--at must be a time such as 2030-01-31T08:00+01:00") from error
    if made.tzinfo is None:
        raise OperatorError("--at must say its time zone: 2030-01-31T08:00+01:00, or …Z")
    return int(made.timestamp() * 1000)


def listed(found: Sequence[View], now: datetime) -> str:
    """The answer of `list` as text. Pure."""
    if not found:
        return "there are no broadcasts: send one with `push broadcast send --all --title TEXT`"
    lines = [("ID", "STAGE", "TO", "QUEUED", "SENT", "FAILED", "CANCELLED", "AGE")]
    for one in found:
        counts = (str(one[name]) for name in ("queued", "sent", "failed", "cancelled"))
        lines.append((one["broadcast_id"], one["stage"], audience(one), *counts, age(_iso(one["created_at"]), now)))
    return columns(lines)


def told(view: View) -> str:
    """One broadcast as text. Pure."""
    begins = view["send_at"] if view["stage"] == "scheduled" else None
    head = f"{view['broadcast_id']}: {view['stage']}" + (f" at {_iso(begins)}" if begins else "")
    head += "; it had been sent before" if view["duplicate"] else ""
    rows = [
        ("to", audience(view)),
        ("shows", view["title"] or (f"template {view['template']}" if view["template"] else UNKNOWN)),
        ("progress", f"{bar(view)} {_done(view)} of {view['queued']}" + _more(view)),
        ("sent", str(view["sent"])),
        ("failed", str(view["failed"])),
        ("cancelled", str(view["cancelled"])),
        ("waiting", str(view["waiting"])),
        ("rate", f"{view['rate']:g} a second, of {view['per_second']}"),
    ]
    rows += [("left", f"{view['eta_s']:.0f} s")] if view["eta_s"] is not None else []
    return f"{head}\n\n{columns(rows)}"


def line(view: View) -> str:
    """The same in one line. Pure."""
    counts = ", ".join(f"{view[name]} {name}" for name in ("queued", "sent", "failed", "cancelled", "waiting"))
    return f"{view['stage']}: {view['seen']} seen, {counts}"


def bar(view: View) -> str:
    """How many of those that are known have come to an end. Pure."""
    full = BAR * _done(view) // view["queued"] if view["queued"] else 0
    return "█" * min(full, BAR) + "░" * (BAR - min(full, BAR))


def audience(view: View) -> str:
    """In words. Pure."""
    if view["topic"] is not None:
        return f"topic {view['topic']}"
    segment = view["segment"] or {}
    parts = [
        ",".join(segment.get("platforms") or ()), segment.get("app"), segment.get("app_version"),
        ",".join(segment.get("locales") or ()),
    ]  # fmt: skip
    return " ".join(part for part in parts if part) or "all"


def _done(view: View) -> int:
    return int(view["sent"] + view["failed"] + view["cancelled"])


def _more(view: View) -> str:
    """While devices are looked at, nobody knows how many there are."""
    return f", {view['seen']} devices looked at so far" if view["stage"] == "running" else ""


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Shown(Protocol):
    def update(self, view: View) -> None: ...


def _watch(port: AdminPort, view: View, output: str) -> None:
    """Until it is over; Ctrl-C stops the looking, not the broadcast."""
    with _shown(output) as shown:
        shown.update(view)
        while view["stage"] not in OVER:
            time.sleep(LOOK_SECONDS)
            view = _looked_at(port, view["broadcast_id"])
            shown.update(view)


def _shown(output: str) -> AbstractContextManager[_Shown]:
    if output == "json" or not sys.stdout.isatty():
        return nullcontext(_Lines(output))
    from push_operator.cli.watching import Redrawn  # its imports take a while

    return Redrawn()


class _Lines:
    """One line for each change, so that a log file or a script can follow."""

    def __init__(self, output: str) -> None:
        self._as_json = output == "json"
        self._last = ""

    def update(self, view: View) -> None:
        text = json.dumps(view) if self._as_json else line(view)
        if text != self._last:
            self._last = text
            _print(text)


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
