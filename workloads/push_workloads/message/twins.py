"""Direct messages of which only one copy has been seen yet, and the other copy of a message. Pure.

A message is two copies, the recipient's first. Whoever writes them may die in between: then nobody was told that it is
sent, and the recipient has it all the same. So that its sender has it too, the second copy is made from the first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Literal, NamedTuple, cast

from push_workloads.common.outgoing import Kind, Outgoing
from push_workloads.common.sending import TO_SENDER, Publish, Send
from push_workloads.common.subjects import inbox_subject
from push_workloads.message.model import Payload

WAIT_SECONDS: Final = 30.0  # longer than anyone goes on trying to write the second copy
FORGET_SECONDS: Final = 120.0
REMEMBERED: Final = 100_000
Side = Literal["recipient", "sender"]


class Half(NamedTuple):
    """The recipient's copy of a message: where it stands, and when it was seen (monotonic)."""

    message_id: str
    subject: str
    seq: int
    seen_at: float


def side_of(payload: Payload) -> Side | None:
    """Whose copy it is; None for what has no other: a note to oneself, a message of a channel."""
    if payload.recipient_id is None or payload.recipient_id == payload.sender:
        return None
    return "recipient" if payload.conversation == payload.sender else "sender"


def twin_of(payload: Payload) -> Publish:
    """The sender's copy, from the recipient's. The dedup_id is not in that: for the sender's devices it is a message of
    another one of them. Raises BadId."""
    frame = Outgoing(
        recipient_id=payload.recipient_id,
        content=payload.content,
        kind=cast(Kind, payload.kind),
        ref=payload.ref,
    )
    own, other = inbox_subject(payload.sender), inbox_subject(payload.recipient_id or "")
    send = Send(payload.sender, own, other, frame, payload.message_id, 0.0, payload.sent_at)
    send.stage = TO_SENDER
    return send.publication()


class Twins:
    """What waits for its other half, in bounds: of too many the oldest are forgotten, and counted in `forgotten`."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._halves: OrderedDict[str, Half] = OrderedDict()
        self._senders: OrderedDict[str, float] = OrderedDict()  # whose other half may come later: another shard's
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._halves)

    def recipients(self, half: Half) -> None:
        """The recipient's copy was seen."""
        if self._senders.pop(half.message_id, None) is not None:
            return
        self._halves.setdefault(half.message_id, half)
        if len(self._halves) > self._remembered:
            self._halves.popitem(last=False)
            self.forgotten += 1

    def senders(self, message_id: str, now: float) -> bool:
        """The sender's copy was seen, here or elsewhere; whether its other half was."""
        if self._halves.pop(message_id, None) is not None:
            return True
        self._senders[message_id] = now
        self._senders.move_to_end(message_id)
        if len(self._senders) > self._remembered:
            self._senders.popitem(last=False)
        return False

    def due(self, now: float) -> list[Half]:
        """Those that have waited long enough; they are no longer waited for."""
        while self._senders and next(iter(self._senders.values())) + FORGET_SECONDS <= now:
            self._senders.popitem(last=False)
        made = []
        while self._halves and next(iter(self._halves.values())).seen_at + WAIT_SECONDS <= now:
            made.append(self._halves.popitem(last=False)[1])
        return made
