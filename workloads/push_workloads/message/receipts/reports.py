"""What a report is about, which of many count, and what is told once a mark has moved. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from push_workloads.common.questions import Report
from push_workloads.common.subjects import BadId, channel_subject, ephemeral_subject, inbox, inbox_subject
from push_workloads.message.model import Mark, MarkKind, Position, conversation_key

MAX_TOLD: Final = 256  # members of a group in which receipts are told; above, to the reader's own devices only
_encode: Final = msgspec.json.Encoder().encode


class Reading(NamedTuple):
    """Of whom, and of which conversation: `other` is the other user of a direct one, `channel` a group or topic."""

    user_id: str
    kind: MarkKind
    conversation: str
    other: str | None
    channel: str | None

    def at(self, place: Position) -> Mark:
        return Mark(self.user_id, self.conversation, self.kind, place)


class Receipt(Struct, tag_field="type", tag="receipt", omit_defaults=True):
    """The frame. `conversation`: the other user, as the one who gets it calls them."""

    kind: MarkKind
    by: str
    message_id: str
    sent_at: int
    conversation: str | None = None
    channel: str | None = None


def direct(user_id: str, kind: MarkKind, other: str) -> Reading:
    """Raises BadId."""
    return Reading(user_id, kind, conversation_key(user_id, other), other, None)


def of_channel(user_id: str, channel: str) -> Reading:
    """Raises BadId."""
    return Reading(user_id, "read", channel_subject(channel), None, channel)


def understood(report: Report) -> Reading | None:
    """None when it makes no sense: of another's inbox, of no conversation in it, or `delivered` of a channel, which is
    told for direct messages only."""
    try:
        if report.channel == inbox(report.user_id):
            other = report.conversation
            return direct(report.user_id, report.kind, other) if other is not None else None
        if report.kind == "delivered" or report.channel.startswith("user:"):
            return None
        return of_channel(report.user_id, report.channel)
    except BadId:
        return None


def newest(reports: Iterable[Report]) -> list[Report]:
    """Of many about the same the one that reaches furthest. Seqs of two epochs are no order: one of each stays."""
    best: dict[tuple[str | None, ...], Report] = {}
    for report in reports:
        key = (report.user_id, report.kind, report.channel, report.conversation, report.epoch)
        held = best.setdefault(key, report)
        if report.seq > held.seq:
            best[key] = report
    return list(best.values())


def frames(reading: Reading, place: Position, members: int) -> list[tuple[str, bytes]]:
    """Where it is told, and the whole frame. A direct conversation tells the other user, and of `read` the reader's own
    devices; a group all its members, unless they are too many."""
    if reading.channel is not None:
        told = channel_subject(reading.channel) if 0 < members <= MAX_TOLD else inbox_subject(reading.user_id)
        return [_frame(told, reading, place, channel=reading.channel)]
    other = reading.other or ""
    made = []
    if other != reading.user_id:
        made.append(_frame(inbox_subject(other), reading, place, conversation=reading.user_id))
    if reading.kind == "read":
        made.append(_frame(inbox_subject(reading.user_id), reading, place, conversation=other))
    return made


def _frame(
    subject: str, reading: Reading, place: Position, *, conversation: str | None = None, channel: str | None = None
) -> tuple[str, bytes]:
    receipt = Receipt(reading.kind, reading.user_id, place.message_id, place.sent_at, conversation, channel)
    return ephemeral_subject(subject), _encode(receipt)
