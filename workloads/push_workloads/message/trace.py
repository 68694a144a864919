"""A message's way as far as this service knows it: where it is kept, and how far each recipient has come. Pure.

What it says is not shown: a trace is for those who run the platform. Times are Unix milliseconds. How far a user has
come is a mark without a time, and in a group only what was read is marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from push_workloads.common.changes import Change
from push_workloads.common.changes import decode as decode_change
from push_workloads.common.subjects import channel_name, inbox, inbox_subject
from push_workloads.message.model import SYSTEM, Mark, Message, is_direct, position

Whose = Literal["recipient", "sender", "everyone"]


class Copy(Struct):
    """A copy in the log. `seq`, `stored_at` null: it is not there, or not any more."""

    channel: str
    whose: Whose
    epoch: str
    seq: int | None = None
    stored_at: int | None = None


class Traced(Struct, rename={"sender": "from"}):
    """As it is in history. `to`: `user:<id>`, `group:<id>` or `topic:<name>`. `bytes`: of its content. `change`: what
    it changes in its group, of kind `system`."""

    message_id: str
    sender: str
    to: str
    kind: str
    ref: str | None
    sent_at: int
    bytes: int
    change: str | None = None


class Recipient(Struct):
    """`delivered`: at least one device has said that it holds it; null where nobody says so. `read`: by the user, on
    any device."""

    user_id: str
    delivered: bool | None
    read: bool


class Via(Struct):
    """The gateway and the device from which a message came."""

    gateway: str
    device_id: str


class Trace(Struct):
    """`via`: null for what came over HTTP, or is no longer in the log. `log`: null when the log does not answer now.
    `trace_id`: of the spans, if it was traced. `members`: of the group, now. `recipients`: a page of them, and `next`
    goes into `after` for the page that follows; null when there is none. Of a topic nobody lists who reads it."""

    message: Traced
    via: Via | None
    log: list[Copy] | None
    trace_id: str | None
    members: int | None
    recipients: list[Recipient]
    next: str | None


def traced(row: Message) -> Traced:
    change = decode_change(row.content) if row.kind == SYSTEM else None
    to = inbox(row.recipient_id) if is_direct(row) else channel_name(row.conversation)
    what = change.change if isinstance(change, Change) else None
    return Traced(row.message_id, row.sender, to, row.kind, row.ref, row.sent_at, len(row.content), what)


def copies(row: Message) -> list[tuple[str, Whose]]:
    """The subjects of the channels that have a copy, the one that is written first at first."""
    if not is_direct(row):
        return [(row.conversation, "everyone")]
    own = inbox_subject(row.sender)
    if row.sender == row.recipient_id:
        return [(own, "sender")]
    return [(inbox_subject(row.recipient_id), "recipient"), (own, "sender")]


def recipient(row: Message, user_id: str, marks: Iterable[Mark]) -> Recipient:
    reached = {mark.kind: mark.place for mark in marks if mark.user_id == user_id}
    read = "read" in reached and reached["read"] >= position(row)
    delivered = read or ("delivered" in reached and reached["delivered"] >= position(row))
    return Recipient(user_id, delivered if is_direct(row) else None, read)


def direct_recipients(row: Message) -> Sequence[str]:
    return [row.recipient_id] if row.recipient_id != row.sender else []


def trace_id(traceparents: Iterable[str | None]) -> str | None:
    """Of the headers `traceparent` of the copies."""
    return next((text.split("-")[1] for text in traceparents if text is not None and text.count("-") == 3), None)


def via_of(headers: Iterable[str | None]) -> Via | None:
    """Of the headers `Push-Via` of the copies."""
    return next((Via(*text.split(" ")) for text in headers if text is not None and text.count(" ") == 1), None)
