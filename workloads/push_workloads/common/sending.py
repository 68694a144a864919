"""One message on its way into the log, through whichever door it came. Pure: what was sent, what to publish, and
whether what the log has under the same id is the same.

A direct message is two copies, one for each inbox. The recipient's goes first; the sender's names its twin; the ack
follows both. So a crash between the two leaves a message that was never acknowledged, and sending it again completes
it. A message to a group or topic is one copy, in that channel: everything of the second step, without a first.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Raw, Struct

from push_workloads.common.ids import message_id_of, uuid7
from push_workloads.common.outgoing import Outgoing
from push_workloads.common.subjects import channel_subject, inbox, inbox_subject

TO_RECIPIENT: Final = 0
TO_SENDER: Final = 1
SEND_SECONDS: Final = 30.0  # after it a send that the log did not answer is given up (rulings §15)
RETRY_AFTER_MS: Final = 1000
IN_PROCESS: Final = 10158  # the same Nats-Msg-Id is being stored right now: ask again shortly
RETRY_IN_PROCESS_SECONDS: Final = 0.05
MAX_TRIES: Final = 10
LOG_FULL: Final = 10077  # max bytes or age with discard: new
AWAY: Final = "the log is away"
UNANSWERED: Final = "the log did not answer"
NOT_NOW: Final = "the log does not take messages now"
CONFLICT: Final = "this dedup_id was used for another message"
VIA: Final = "Push-Via"
_encode: Final = msgspec.json.Encoder().encode


class Publish(Struct, gc=False):
    """Put one copy into the log. `message_id` plus the channel is what the log drops repeats by."""

    message_id: str
    subject: str  # of the channel: u.<token>
    payload: bytes
    twin: str | None = None  # the subject of the other copy, said on the sender's copy
    hint: bytes | None = None  # how a push for it should look
    traceparent: str | None = None  # of a message that is traced
    via: str | None = None  # the gateway and the device that it came from, for `push trace`


class Find(Struct, gc=False):
    """The log had this message id already: read what is stored under it, to compare."""

    message_id: str
    subject: str
    seq: int


class Stored(Struct):
    """What must be compared of a copy in the log, and what a second ack repeats."""

    content: Raw
    sent_at: int
    kind: str = "text"
    ref: str | None = None


class Send:
    """A message between its arrival and its ack."""

    __slots__ = (
        "deadline",
        "duplicate",
        "frame",
        "message_id",
        "own",
        "recipient",
        "sent_at",
        "seq",
        "stage",
        "user_id",
    )

    def __init__(
        self, user_id: str, own: str, recipient: str, frame: Outgoing, message_id: str, deadline: float, sent_at: int
    ) -> None:
        self.user_id = user_id
        self.own = own
        self.recipient = recipient
        self.frame = frame
        self.message_id = message_id
        self.sent_at = sent_at
        self.deadline = deadline
        self.seq = 0  # of the sender's copy, once the log has told it
        self.duplicate = False
        self.stage = TO_SENDER if own == recipient else TO_RECIPIENT

    @property
    def channel(self) -> str:
        """Where its ack counts, as the sender sees it."""
        return self.frame.channel if self.frame.channel is not None else inbox(self.user_id)

    def publication(self) -> Publish:
        """The copy that is due at this stage."""
        hint = _encode(self.frame.push) if self.frame.push is not None else None
        if self.stage == TO_RECIPIENT:
            return Publish(self.message_id, self.recipient, self._payload(self.user_id, None), None, hint)
        if self.frame.channel is not None:
            # All members see the dedup_id: it is no secret, it counts for its sender alone.
            payload = self._payload(self.frame.channel, self.frame.dedup_id)
            return Publish(self.message_id, self.own, payload, None, hint)
        twin = None if self.own == self.recipient else self.recipient
        payload = self._payload(self.frame.recipient_id, self.frame.dedup_id)
        return Publish(self.message_id, self.own, payload, twin)

    def same_as(self, stored: Stored) -> bool:
        """Is what the log holds under this id the message that was sent now?"""
        if (stored.kind, stored.ref) != (self.frame.kind, self.frame.ref):
            return False
        return bytes(stored.content) == bytes(self.frame.content) or _equal(stored.content, self.frame.content)

    def digest(self) -> str:
        """What it is compared by with one that only history has."""
        return digest(self.frame.kind, self.frame.ref, bytes(self.frame.content))

    def _payload(self, conversation: str | None, dedup_id: str | None) -> bytes:
        frame = self.frame
        more = b""
        if frame.recipient_id is not None:
            more += b'"recipient_id":%b,' % _encode(frame.recipient_id)
        if dedup_id is not None:
            more += b'"dedup_id":%b,' % _encode(dedup_id)
        if frame.ref is not None:
            more += b'"ref":%b,' % _encode(frame.ref)
        return b'{"message_id":"%b","from":%b,"conversation":%b,"kind":"%b",%b"content":%b,"sent_at":%d}' % (
            self.message_id.encode(),
            _encode(self.user_id),
            _encode(conversation),
            frame.kind.encode(),
            more,
            bytes(frame.content),
            self.sent_at,
        )


def begin(user_id: str, own: str, frame: Outgoing, deadline: float, wall_ms: int, entropy: bytes) -> Send:
    """A send from a frame that is not `unusable`; `own`: the subject of the sender's inbox; `deadline` is on the
    monotonic clock.

    Raises BadId when its target is not well-formed.
    """
    target = channel_subject(frame.channel) if frame.channel is not None else inbox_subject(frame.recipient_id or "")
    if frame.channel is not None:
        own = target
    dedup_id = frame.dedup_id
    message_id = uuid7(wall_ms, entropy) if dedup_id is None else message_id_of(user_id, target, dedup_id)
    return Send(user_id, own, target, frame, message_id, deadline, wall_ms)


def _equal(first: Raw, second: Raw) -> bool:
    try:
        return bool(msgspec.json.decode(first) == msgspec.json.decode(second))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False  # e.g. lone surrogates: then only the same bytes are the same


def digest(kind: str, ref: str | None, content: bytes) -> str:
    """The same for the same JSON value, however it is written down."""
    with suppress(msgspec.DecodeError, UnicodeError, RecursionError):  # as in `_equal`: then by its bytes
        content = msgspec.json.encode(msgspec.json.decode(content), order="deterministic")
    return hashlib.blake2b(_encode([kind, ref]) + content, digest_size=16).hexdigest()


def msg_id(message_id: str, channel: str) -> str:
    """What the log drops repeats by, and so tells each copy of a message apart."""
    return f"{message_id}:{channel}"


def headers(publication: Publish) -> dict[str, str]:
    """The headers of a copy in the log."""
    made = {"Nats-Msg-Id": msg_id(publication.message_id, publication.subject)}
    if publication.twin is not None:
        made["Push-Twin"] = publication.twin
    if publication.hint is not None:
        made["Push-Hint"] = publication.hint.decode()
    if publication.traceparent is not None:
        made["traceparent"] = publication.traceparent
    if publication.via is not None:
        made[VIA] = publication.via
    return made
