"""The messages of one session that are on their way into the log, until each has its answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from push_workloads.common.questions import KnownMessage
from push_workloads.common.sending import (
    AWAY,
    CONFLICT,
    RETRY_AFTER_MS,
    TO_RECIPIENT,
    TO_SENDER,
    UNANSWERED,
    Find,
    Publish,
    Send,
    Stored,
)
from push_workloads.gateway import codes
from push_workloads.gateway.actions import AskKnown
from push_workloads.gateway.frames import ack_frame, error_frame
from push_workloads.gateway.reading import Reading
from push_workloads.gateway.recovery import Delivered

MAX_SENDS_IN_FLIGHT: Final = 256
Step = bytes | Publish | Find | AskKnown


class Outbox:
    """By message id. Each message ends in one ack or one error."""

    __slots__ = ("_asking", "_sends")

    def __init__(self) -> None:
        self._sends: dict[str, Send] = {}
        # By target: the one whose question to the history is under way, and those that wait behind it.
        self._asking: dict[str, list[str]] | None = None

    def add(self, send: Send) -> str | None:
        """Takes a message, or says in words why not now."""
        if send.message_id in self._sends:
            return "this message is on its way already"
        if len(self._sends) >= MAX_SENDS_IN_FLIGHT:
            return "too many messages on their way"
        self._sends[send.message_id] = send
        return None

    def get(self, message_id: str) -> Send | None:
        return self._sends.get(message_id)

    def acks(self, reading: Reading, message: Delivered) -> bytes | None:
        """The ack that stands in the place of this message, when it is one of ours."""
        send = self._sends.get(message.message_id)
        if send is None or send.stage != TO_SENDER or send.own != reading.subject:
            return None
        return self._acknowledge(send, reading.channel, reading.epoch, message.seq)

    def published(self, send: Send, reading: Reading | None, epoch: str, seq: int, duplicate: bool) -> Iterable[Step]:
        """The log has a copy, under `seq` of its channel. `reading`: of the channel in which the ack has its place,
        None when that is not read."""
        if duplicate and not send.duplicate:
            send.duplicate = True
            return (Find(send.message_id, send.own if send.stage == TO_SENDER else send.recipient, seq),)
        return self._next(send, reading, epoch, seq)

    def found(self, send: Send, reading: Reading | None, epoch: str, seq: int, stored: Stored | None) -> Iterable[Step]:
        """What the log holds under an id that it knew already; None when it is gone from the log."""
        if stored is not None and not send.same_as(stored):
            return (self.refused(send, codes.CONFLICT, CONFLICT),)
        if stored is not None:
            send.sent_at = stored.sent_at  # the second ack equals the first
        return self._next(send, reading, epoch, seq)

    def go(self, message_id: str) -> Iterable[Step]:
        """Nothing stands in the way of a message. One that says `retry` asks the history first, and those to the same
        target wait behind it: what one socket sends to one channel is published in order."""
        send = self._sends.get(message_id)
        if send is None:
            return ()
        behind = self._asking.get(send.recipient) if self._asking is not None else None
        if behind is not None:
            behind.append(message_id)
            return ()
        if not send.frame.retry:
            return (send.publication(),)
        asking = self._asking = self._asking if self._asking is not None else {}
        asking[send.recipient] = [message_id]
        return (AskKnown(message_id, send.recipient),)

    def known(self, message_id: str, held: KnownMessage | None, epoch: str) -> list[Step]:
        """What history has under the id of one that asked."""
        send = self._sends.get(message_id)
        steps: list[Step] = []
        if send is not None:
            steps = [send.publication() if held is None else self._repeated(send, held, epoch)]
        return [*steps, *self.follow(message_id)]

    def follow(self, message_id: str) -> list[Step]:
        """Those that waited behind one that asked, up to the next that asks."""
        for target, (asker, *behind) in (self._asking or {}).items():
            if asker == message_id and self._asking is not None:
                del self._asking[target]
                return [step for waiting in behind for step in self.go(waiting)]
        return []

    def _repeated(self, send: Send, held: KnownMessage, epoch: str) -> bytes:
        """History has it, perhaps from long ago. Where it stands in the log is not known any more: seq 0."""
        if held.digest != send.digest():
            return self.refused(send, codes.CONFLICT, CONFLICT)
        send.sent_at, send.duplicate = held.sent_at, True
        return self._acknowledge(send, send.channel, epoch, 0)

    def refused(self, send: Send, code: str, reason: str, retry_after_ms: int | None = None) -> bytes:
        self._sends.pop(send.message_id, None)
        return error_frame(code, reason, send.frame.id, retry_after_ms)

    def failed(self, send: Send, reason: str) -> bytes:
        """The log did not take it, or did not say so: the same dedup_id may be sent again."""
        return self.refused(send, codes.UNAVAILABLE, reason, RETRY_AFTER_MS)

    def bus_lost(self) -> list[bytes]:
        """Whether what is on its way arrived is unknown: the client hears at once, not after a time-out."""
        self._asking = None
        return [self.failed(send, AWAY) for send in tuple(self._sends.values())]

    def expired(self, now: float) -> list[bytes]:
        return [self.failed(send, UNANSWERED) for send in tuple(self._sends.values()) if send.deadline < now]

    def overdue(self, reading: Reading) -> list[bytes]:
        """The acks whose place will not come any more, because the reader went on elsewhere."""
        gone = reading.stopped
        mine = [send for send in self._sends.values() if send.seq and send.own == reading.subject]
        due = [send for send in mine if gone or send.seq <= reading.delivered]
        return [self._acknowledge(send, reading.channel, reading.epoch, send.seq) for send in due]

    def _next(self, send: Send, reading: Reading | None, epoch: str, seq: int) -> Iterable[Step]:
        if send.stage == TO_RECIPIENT:
            send.stage = TO_SENDER
            return (send.publication(),)
        if reading is None or reading.stopped or (seq <= reading.delivered and not reading.undecided):
            return (self._acknowledge(send, send.channel, epoch, seq),)
        send.seq = seq
        return ()  # the ack stands in its message's place: it goes out when that is delivered, after all lower seqs

    def _acknowledge(self, send: Send, channel: str, epoch: str, seq: int) -> bytes:
        self._sends.pop(send.message_id, None)
        return ack_frame(send, channel, epoch, seq)
