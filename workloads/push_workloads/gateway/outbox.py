"""The messages of one session that are on their way into the log, until each has its answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
BLOCKED: Final = "recipient_id: takes no messages from you"
Step = bytes | Publish | Find | AskKnown


ReadingOf = Callable[[str], Reading | None]
"""What a session reads of a channel: there an ack has its place; None when it is not read."""


class Outbox:
    """By message id. Each message ends in one ack or one error; of one that has ended nothing comes any more."""

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

    def acks(self, reading: Reading, message: Delivered) -> bytes | None:
        """The ack that stands in the place of this message, when it is one of ours."""
        send = self._sends.get(message.message_id)
        if send is None or send.stage != TO_SENDER or send.own != reading.subject:
            return None
        return self._acknowledge(send, reading.channel, reading.epoch, message.seq)

    def published(
        self, message_id: str, reading_of: ReadingOf, epoch: str, seq: int, duplicate: bool
    ) -> Iterable[Step]:
        """The log has a copy, under `seq` of its channel."""
        send = self._sends.get(message_id)
        if send is None:
            return ()
        if duplicate and not send.duplicate:
            send.duplicate = True
            return (Find(message_id, send.own if send.stage == TO_SENDER else send.recipient, seq),)
        return self._next(send, reading_of(send.channel), epoch, seq)

    def found(
        self, message_id: str, reading_of: ReadingOf, epoch: str, seq: int, stored: Stored | None
    ) -> Iterable[Step]:
        """What the log holds under an id that it knew already; None when it is gone from the log."""
        send = self._sends.get(message_id)
        if send is None:
            return ()
        if stored is not None and not send.same_as(stored):
            return (self._refused(send, codes.CONFLICT, CONFLICT),)
        if stored is not None:
            send.sent_at = stored.sent_at  # the second ack equals the first
        return self._next(send, reading_of(send.channel), epoch, seq)

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
        return [*steps, *self._follow(message_id)]

    def _follow(self, message_id: str) -> list[Step]:
        """Those that waited behind one that asked, up to the next that asks."""
        for target, (asker, *behind) in (self._asking or {}).items():
            if asker == message_id and self._asking is not None:
                del self._asking[target]
                return [step for waiting in behind for step in self.go(waiting)]
        return []

    def _repeated(self, send: Send, held: KnownMessage, epoch: str) -> bytes:
        """History has it, perhaps from long ago. Where it stands in the log is not known any more: seq 0."""
        if held.digest != send.digest():
            return self._refused(send, codes.CONFLICT, CONFLICT)
        send.sent_at, send.duplicate = held.sent_at, True
        return self._acknowledge(send, send.channel, epoch, 0)

    def blocked(self, message_id: str) -> list[bytes]:
        send = self._sends.get(message_id)
        return [self._refused(send, codes.FORBIDDEN, BLOCKED)] if send is not None else []

    def failed(self, message_id: str, reason: str) -> list[Step]:
        """The log did not take it, or did not say so: the same dedup_id may be sent again."""
        send = self._sends.get(message_id)
        told = [self._failed(send, reason)] if send is not None else []
        return [*told, *self._follow(message_id)]

    def _failed(self, send: Send, reason: str) -> bytes:
        return self._refused(send, codes.UNAVAILABLE, reason, RETRY_AFTER_MS)

    def _refused(self, send: Send, code: str, reason: str, retry_after_ms: int | None = None) -> bytes:
        self._sends.pop(send.message_id, None)
        return error_frame(code, reason, send.frame.id, retry_after_ms)

    def bus_lost(self) -> list[bytes]:
        """Whether what is on its way arrived is unknown: the client hears at once, not after a time-out."""
        self._asking = None
        return [self._failed(send, AWAY) for send in tuple(self._sends.values())]

    def expired(self, now: float) -> list[bytes]:
        return [self._failed(send, UNANSWERED) for send in tuple(self._sends.values()) if send.deadline < now]

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


NOTHING_SENT: Final = Outbox()
"""Shared by all sessions that have sent nothing yet, which are most; nothing is added to it."""
