"""A message's whole way, put together from what two services know, and as text for people. Pure.

`message`: the message service's part (`GET /trace/…`), its recipients from all pages; None when it is not known.
`deliveries`: the push service's part, None when that is not known. Times are offsets from when it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from push_operator.cli.tables import UNKNOWN, columns

_HEADER: Final = ("RECIPIENT", "DELIVERED", "READ", "DEVICE", "PLATFORM", "PUSH", "REASON", "AT", "TRIES", "CALLED")
_WHOSE: Final = {"recipient": "the recipient's copy", "sender": "the sender's copy", "everyone": "the only copy"}
_SILENT: Final = "the log does not answer now"
Said = Mapping[str, Any]


def joined(message: Said | None, deliveries: Sequence[Said] | None, notes: Sequence[str]) -> dict[str, Any]:
    """As `-o json` prints it: the message's part, each recipient with the devices that a push was decided for. Who got
    one and is no recipient (any more) comes after them, and nothing is known of what they have read."""
    known = [dict(one) for one in message["recipients"]] if message is not None else []
    found = deliveries or ()
    others = dict.fromkeys(one["user_id"] for one in found) - dict.fromkeys(one["user_id"] for one in known).keys()
    known += [{"user_id": user_id, "delivered": None, "read": None} for user_id in sorted(others)]
    for one in known:
        own = [each for each in found if each["user_id"] == one["user_id"]]
        one["devices"] = [{name: value for name, value in each.items() if name != "user_id"} for each in own]
    head = {name: value for name, value in (message or {}).items() if name not in ("recipients", "next")}
    return {**head, "recipients": known, "notes": list(notes)}


def told(message_id: str, way: Said) -> str:
    """As it is printed for people."""
    lines = _head(way) if "message" in way else [("message", message_id)]
    sent_at = way["message"]["sent_at"] if "message" in way else None
    parts = [columns([tuple(map(plain, line)) for line in lines])]
    rows = [row for one in way["recipients"] for row in _rows(one, sent_at)]
    if rows:
        parts.append(columns([_HEADER, *rows]))
    parts += [plain(note) for note in way["notes"]]
    return "\n\n".join(parts)


def _head(way: Said) -> list[tuple[str, str]]:
    message = way["message"]
    kind = f"{message['kind']} ({message['change']})" if message["change"] else message["kind"]
    about = f", about {message['ref']}" if message["ref"] else ""
    members = f", of {way['members']} members now" if way["members"] is not None else ""
    via = f", by device {way['via']['device_id']} at gateway {way['via']['gateway']}" if way["via"] else ""
    lines = [
        ("message", message["message_id"]),
        ("kind", f"{kind}{about}, {message['bytes']} bytes"),
        ("from", f"{message['from']}{via}"),
        ("sent", _moment(message["sent_at"])),
        ("to", f"{message['to']}{members}"),
    ]
    places = [_copy(one, message["sent_at"]) for one in way["log"]] if way["log"] is not None else [_SILENT]
    lines += [("in the log", place) for place in places]
    lines.append(("in history", "yes"))
    return lines + ([("trace", way["trace_id"])] if way["trace_id"] else [])


def _copy(copy: Said, sent_at: int) -> str:
    whose = _WHOSE.get(copy["whose"], copy["whose"])
    if copy["seq"] is None:
        return f"{copy['channel']}: {whose} is not there (any more)"
    return (
        f"{copy['channel']}: seq {copy['seq']} of epoch {copy['epoch']}, {_after(copy['stored_at'], sent_at)}; {whose}"
    )


def _rows(one: Said, sent_at: int | None) -> list[tuple[str, ...]]:
    who = (plain(one["user_id"]), _said(one["delivered"]), _said(one["read"]))
    rows: list[tuple[str, ...]] = [
        (
            plain(device["device_id"]),
            device["platform"],
            device["state"],
            plain(device["reason"] or UNKNOWN),
            _after(device["at"], sent_at) if sent_at is not None else _moment(device["at"]),
            str(device["attempts"]),
            plain(device["provider_id"] or UNKNOWN),
        )
        for device in one["devices"]
    ] or [(UNKNOWN,) * (len(_HEADER) - len(who))]
    return [(*(who if not number else ("", "", "")), *row) for number, row in enumerate(rows)]


def _said(known: bool | None) -> str:
    return UNKNOWN if known is None else "yes" if known else "no"


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03d} UTC"


def _after(ms: int, sent_at: int) -> str:
    return f"{(ms - sent_at) / 1000:+.3f} s"


def plain(text: str) -> str:
    """Fit for a terminal: an id may hold anything, also what would move its cursor or hide a line."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
