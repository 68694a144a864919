"""One client's session as a state machine. Pure: events in, actions out; the shell performs them.

`Joining` is a socket whose inbox position is not known yet: it keeps what arrives. `Session` is one that is welcome;
its inbox is live, or being caught up with (`recovery.py`), or not read at all.
An action is a frame to send (bytes), or Publish, Find, Recover, Cursor, Ping, Close.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from push_workloads.common.bucket import BYTES_PER_TOKEN, drawn
from push_workloads.common.outgoing import unusable
from push_workloads.common.sending import (
    AWAY,
    CONFLICT,
    RETRY_AFTER_MS,
    SEND_SECONDS,
    TO_RECIPIENT,
    TO_SENDER,
    UNANSWERED,
    Find,
    Publish,
    Send,
    Stored,
    begin,
)
from push_workloads.common.subjects import BadId, inbox, inbox_subject
from push_workloads.gateway import codes, frames
from push_workloads.gateway.frames import (
    Place,
    Received,
    Refused,
    Resume,
    SendMessage,
    Subscribe,
    Unsubscribe,
    encode,
    error_frame,
    subscribed_frame,
    unsubscribed_frame,
)
from push_workloads.gateway.recovery import Behind, Delivered
from push_workloads.gateway.sending import ack_frame

JOIN_SECONDS: Final = 10.0
HEARTBEATS_TO_LIVE: Final = 2.5
MAX_EARLY_FRAMES: Final = 64
MAX_EARLY_MESSAGES: Final = 1000
MAX_SENDS_IN_FLIGHT: Final = 256
FAULTS_TO_CLOSE: Final = 20.0
FAULTS_FORGIVEN_PER_SECOND: Final = 0.5
TOO_FAST_WEIGHT: Final = 0.1  # of a fault: a client that waits as it is told is never closed


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do. A frame costs one token of a bucket of `burst`, and one more for each 4 KiB of it; the
    bucket is refilled at `frames_per_second`."""

    heartbeat_s: int = 25
    max_frame_bytes: int = 65_536
    frames_per_second: int = 50
    burst: int = 100


class Who(Struct, gc=False):
    """Whose session it is. `ends_at` is on the monotonic clock: when the token expires. `resumes`: it goes on from the
    device's cursor without asking."""

    user_id: str
    device_id: str
    session_id: str
    ends_at: float
    resumes: bool = False


class Close(Struct, gc=False):
    code: int
    reason: str


class Ping(Struct, gc=False):
    """A WebSocket ping (RFC 6455 §5.5.2): any answer shows that the client lives."""


class Cursor(Struct, gc=False):
    """This device holds everything on the channel up to `seq`."""

    channel: str
    epoch: str
    seq: int


class Recover(Struct, gc=False):
    """Find out what a cursor is worth (`positioned`), then read the log from it on (`replayed`). `place` None: only
    where the inbox ends now."""

    behind: Behind
    place: Place | None


class Unsubscribed:
    """The client wants nothing of its inbox."""

    __slots__ = ()


UNSUBSCRIBED: Final = Unsubscribed()
Action = bytes | Publish | Find | Recover | Cursor | Ping | Close
Start = Place | str | None
"""Where a session begins: at a cursor; at the head, for a reason that it is told; at the head as a new device."""


class Joining:
    """Subscribed, but the head of the inbox is still being asked for. Keeps a bounded amount of what arrives."""

    __slots__ = ("_deadline", "_frames", "_limits", "_messages", "who")

    def __init__(self, who: Who, limits: Limits, now: float) -> None:
        self.who = who
        self._limits = limits
        self._deadline = now + JOIN_SECONDS
        self._frames: list[str] = []
        self._messages: list[Delivered] = []

    def on_frame(self, text: str, now: float, wall_ms: int, entropy: bytes) -> Iterable[Action]:
        if len(self._frames) >= MAX_EARLY_FRAMES:
            return (Close(codes.ABUSE, "too many frames before the welcome"),)
        self._frames.append(text)
        return ()

    def deliver(self, message: Delivered) -> Action | None:
        if len(self._messages) >= MAX_EARLY_MESSAGES:
            return Close(codes.OVERLOADED, "too many messages before the welcome")
        self._messages.append(message)
        return None

    def heard(self, now: float) -> None:
        """Nothing to note: only the welcome ends this state."""

    def tick(self, now: float) -> Iterable[Action]:
        return (Close(codes.OVERLOADED, "the log does not answer"),) if now > self._deadline else ()

    def bus_lost(self) -> Iterable[Action]:
        return ()  # the head is asked for again when the bus is back, within the deadline

    def welcome(
        self, epoch: str, head: int, now: float, wall_ms: int, entropy: bytes, start: Start = None
    ) -> tuple[Session, list[Action]]:
        """The session that this becomes, and what it starts with: the welcome, then what came meanwhile, in order."""
        session = Session(self.who, self._limits, epoch, head, now)
        actions: list[Action] = [session.welcome_frame(wall_ms)]
        if not (self._frames and isinstance(frames.decode(self._frames[0]), Resume)):
            actions += session.start(start)
        for message in self._messages:
            action = session.deliver(message)
            if action is not None:
                actions.append(action)
        for number, text in enumerate(self._frames):
            # One seed must not give two messages the same id.
            actions += session.on_frame(text, now, wall_ms, number.to_bytes(2, "big") + entropy[2:])
        return session, actions


class Session:
    """A welcome client. `delivered`: the seq up to which it was sent its inbox."""

    __slots__ = (
        "_aside",
        "_channel",
        "_epoch",
        "_faults",
        "_faults_at",
        "_heard_at",
        "_limits",
        "_own",
        "_pinged_at",
        "_sends",
        "_sent_at",
        "_tokens",
        "_tokens_at",
        "delivered",
        "who",
    )

    def __init__(self, who: Who, limits: Limits, epoch: str, head: int, now: float) -> None:
        self.who = who
        self.delivered = head
        self._epoch = epoch
        self._limits = limits
        self._channel = inbox(who.user_id)
        self._own = inbox_subject(who.user_id)
        self._aside: Behind | Unsubscribed | None = None  # None: what arrives is passed on
        self._sends: dict[str, Send] | None = None  # made when first needed: most sockets only listen
        self._sent_at = 0
        self._tokens = float(limits.burst)
        self._tokens_at = self._heard_at = self._pinged_at = self._faults_at = now
        self._faults = 0.0

    # Frames from the client

    def on_frame(self, text: str, now: float, wall_ms: int, entropy: bytes) -> Iterable[Action]:
        """What one text message of the client comes to. `wall_ms` is Unix milliseconds, `now` monotonic seconds."""
        self._heard_at = now
        wait = self._take_tokens(now, 1 + len(text) // BYTES_PER_TOKEN)
        if wait:
            identifier = frames.id_of(text)
            return self._fault(now, codes.RATE_LIMITED, "too many frames", identifier, wait, TOO_FAST_WEIGHT)
        if len(text) > self._limits.max_frame_bytes or len(text.encode()) > self._limits.max_frame_bytes:
            most = self._limits.max_frame_bytes
            return self._fault(now, codes.TOO_LARGE, f"a frame has at most {most} bytes", frames.id_of(text))
        frame = frames.decode(text)
        if isinstance(frame, SendMessage):
            return self._send_message(frame, now, wall_ms, entropy)
        if isinstance(frame, Received):
            return self._received(frame, now)
        if isinstance(frame, Refused):
            return self._fault(now, frame.code, frame.message, frame.id)
        if isinstance(frame, Resume):
            return self._resume(frame, now)
        if isinstance(frame, Subscribe | Unsubscribe):
            return self._subscription(frame, now)
        return (frames.pong_frame(frame.id, wall_ms),)

    def not_text(self, now: float) -> Iterable[Action]:
        return self._fault(now, codes.BAD_FRAME, "send text frames: one JSON object in each", None)

    def heard(self, now: float) -> None:
        """A pong or any other sign of life."""
        self._heard_at = now

    def _send_message(self, frame: SendMessage, now: float, wall_ms: int, entropy: bytes) -> Iterable[Action]:
        refusal = unusable(frame)
        if refusal:
            return self._fault(now, codes.BAD_FRAME, refusal, frame.id)
        if frame.channel is not None:
            return self._blame([self._refuse(frame.channel, frame.id)], now)
        # Conversations are ordered by time: two messages of one socket in the same millisecond keep their order.
        self._sent_at = max(self._sent_at + 1, wall_ms)
        try:
            send = begin(self.who.user_id, self._own, frame, now + SEND_SECONDS, self._sent_at, entropy)
        except BadId as error:
            return self._fault(now, codes.BAD_FRAME, f"recipient_id: {error}", frame.id)
        if self._sends is None:
            self._sends = {}
        if send.message_id in self._sends:
            return (error_frame(codes.UNAVAILABLE, "this message is on its way already", frame.id, RETRY_AFTER_MS),)
        if len(self._sends) >= MAX_SENDS_IN_FLIGHT:
            return (error_frame(codes.UNAVAILABLE, "too many messages on their way", frame.id, RETRY_AFTER_MS),)
        self._sends[send.message_id] = send
        return (send.publication(),)

    def _received(self, frame: Received, now: float) -> Iterable[Action]:
        if frame.channel != self._channel:
            return self._fault(now, codes.NOT_FOUND, "channel: not one that this socket reads", frame.id)
        if self._undecided:
            return ()  # from where on it will be sent what it misses is not known yet
        # A client cannot hold what it was not sent: a cursor ahead of that would skip messages for ever.
        return (Cursor(self._channel, self._epoch, min(frame.seq, self.delivered)),)

    def _resume(self, frame: Resume, now: float) -> Iterable[Action]:
        refused = [self._refuse(channel, frame.id) for channel in frame.channels if channel != self._channel]
        actions = self._blame(refused, now) if refused else []
        if self._channel in frame.channels:
            actions += self._begin(frame.channels[self._channel], frame.id)
        return actions

    def _subscription(self, frame: Subscribe | Unsubscribe, now: float) -> Iterable[Action]:
        if frame.channel != self._channel:
            return self._blame([self._refuse(frame.channel, frame.id)], now)
        if isinstance(frame, Unsubscribe):
            self._aside = UNSUBSCRIBED
            return [unsubscribed_frame(self._channel, frame.id), *self._overdue()]
        if frame.since is None and not isinstance(self._aside, Unsubscribed):
            return (self._subscribed(self.delivered, None, frame.id),)  # it reads it, and goes on as it did
        return self._begin(frame.since, frame.id)

    def _refuse(self, channel: str, identifier: str | None) -> bytes:
        if channel.startswith("user:"):
            return error_frame(codes.FORBIDDEN, "channel: another user's inbox", identifier, channel=channel)
        unknown = "channel: groups and topics are not known to this version"
        return error_frame(codes.NOT_FOUND, unknown, identifier, channel=channel)

    # Catching up

    def start(self, start: Start) -> Iterable[Action]:
        """At the welcome: resumes, or says why it does not; a new device has nothing to resume."""
        if start is None:
            return ()
        if isinstance(start, Place):
            return self._begin(start, None, asked=False)
        return (self._subscribed(self.delivered, start, None),)

    def _begin(self, place: Place | None, identifier: str | None, *, asked: bool = True) -> list[Action]:
        """Goes on from `place`, wherever it is now. What comes live is held until that is decided."""
        if isinstance(self._aside, Behind) and self._aside.asked and self._undecided:
            busy = "a resume of this channel is on its way: wait for its `subscribed`"
            return [error_frame(codes.UNAVAILABLE, busy, identifier, RETRY_AFTER_MS, self._channel)]
        if self._aside is None and place == Place(self._epoch, self.delivered):
            return [self._subscribed(self.delivered, None, identifier)]
        self._aside = Behind(asked=asked, identifier=identifier)
        return [Recover(self._aside, place)]

    def positioned(self, behind: Behind, head: int, place: Place | None, reason: str | None) -> list[Action]:
        """The inbox ends at `head`; what follows `place` can be had from the log, or there is a `reason` why not."""
        if self._aside is not behind:
            return []
        self.delivered = head if place is None or reason is not None else min(place.seq, head)
        behind.reach(head)
        behind.told = True
        return [self._subscribed(head, reason, behind.identifier), *self._overdue(), *self._settle(behind)]

    def wanted(self, behind: Behind) -> int | None:
        """The seq after which to read on; None when nothing is to be read any more."""
        return self.delivered if self._aside is behind and behind.told else None

    def replayed(self, behind: Behind, page: Iterable[Delivered]) -> list[Action]:
        """The next messages of the log."""
        if self._aside is not behind:
            return []
        actions = [action for message in page if (action := self._pass(message)) is not None]
        return actions + self._settle(behind)

    def gave_up(self, behind: Behind, reason: str | None) -> list[Action]:
        """The log has no more of what is missing: forgotten meanwhile, for a `reason`, or there was nothing more."""
        if self._aside is not behind:
            return []
        self.delivered = max(self.delivered, behind.goal)
        told = [self._subscribed(self.delivered, reason, None)] if reason is not None else []
        return [*told, *self._overdue(), *self._settle(behind)]

    def _settle(self, behind: Behind) -> list[Action]:
        """Live again once the goal is reached: what was held follows without a hole."""
        if self.delivered < behind.goal:
            return []
        self._aside = None
        return [action for message in behind.held if (action := self._pass(message)) is not None]

    @property
    def _undecided(self) -> bool:
        return isinstance(self._aside, Behind) and not self._aside.told

    def _subscribed(self, head: int, reason: str | None, identifier: str | None) -> bytes:
        return subscribed_frame(self._channel, self._epoch, head, self.delivered, reason, identifier)

    # Events from the log

    def deliver(self, message: Delivered) -> Action | None:
        """The next message of the inbox: its frame, the ack in its place when it is our own, None for a repeat."""
        if self._aside is None:
            return self._pass(message)
        if isinstance(self._aside, Behind):
            self._aside.hold(message)
        return None

    def _pass(self, message: Delivered) -> Action | None:
        if message.seq <= self.delivered:
            return None
        self.delivered = message.seq
        if self._sends:
            send = self._sends.get(message.message_id)
            if send is not None and send.stage == TO_SENDER:
                return self._acknowledge(send, message.seq)
        return message.frame

    def published(self, message_id: str, seq: int, duplicate: bool) -> Iterable[Action]:
        """The log has a copy, under `seq` of its channel."""
        send = (self._sends or {}).get(message_id)
        if send is None:
            return ()
        if duplicate and not send.duplicate:
            send.duplicate = True
            return (Find(message_id, send.own if send.stage == TO_SENDER else send.recipient, seq),)
        return self._next(send, seq)

    def found(self, message_id: str, seq: int, stored: Stored | None) -> Iterable[Action]:
        """What the log holds under an id that it knew already; None when it is gone from the log."""
        send = (self._sends or {}).get(message_id)
        if send is None:
            return ()
        if stored is not None and not send.same_as(stored):
            self._forget(send)
            return (error_frame(codes.CONFLICT, CONFLICT, send.frame.id),)
        if stored is not None:
            send.sent_at = stored.sent_at  # the second ack equals the first
        return self._next(send, seq)

    def failed(self, message_id: str, reason: str) -> Iterable[Action]:
        """The log did not take it, or did not say so: the same dedup_id may be sent again."""
        send = (self._sends or {}).get(message_id)
        if send is None:
            return ()
        self._forget(send)
        return (error_frame(codes.UNAVAILABLE, reason, send.frame.id, RETRY_AFTER_MS),)

    def bus_lost(self) -> Iterable[Action]:
        """Whether what is on its way arrived is unknown: the client hears at once, not after a time-out."""
        lost = tuple(self._sends or ())
        return [action for message_id in lost for action in self.failed(message_id, AWAY)]

    def _next(self, send: Send, seq: int) -> Iterable[Action]:
        if send.stage == TO_RECIPIENT:
            send.stage = TO_SENDER
            return (send.publication(),)
        if self._aside is UNSUBSCRIBED or (seq <= self.delivered and not self._undecided):
            return (self._acknowledge(send, seq),)
        send.seq = seq
        return ()  # the ack stands in its message's place: it goes out when that is delivered, after all lower seqs

    def _overdue(self) -> list[Action]:
        """The acks whose place will not come any more, because the reader went on elsewhere."""
        gone = self._aside is UNSUBSCRIBED
        sends = [send for send in (self._sends or {}).values() if send.seq and (gone or send.seq <= self.delivered)]
        return [self._acknowledge(send, send.seq) for send in sends]

    def _acknowledge(self, send: Send, seq: int) -> bytes:
        self._forget(send)
        return ack_frame(send, self._channel, self._epoch, seq)

    def _forget(self, send: Send) -> None:
        if self._sends:
            self._sends.pop(send.message_id, None)

    # Time

    def tick(self, now: float) -> Iterable[Action]:
        """Called about once a second: heartbeat, token expiry, sends that nobody answered."""
        if now >= self.who.ends_at:
            return (Close(codes.TOKEN_EXPIRED, "the access token has expired"),)
        idle = now - self._heard_at
        if idle > self._limits.heartbeat_s * HEARTBEATS_TO_LIVE:
            return (Close(codes.HEARTBEAT_MISSED, "no sign of life"),)
        actions: list[Action] = []
        if idle > self._limits.heartbeat_s and now - self._pinged_at > self._limits.heartbeat_s:
            self._pinged_at = now
            actions.append(Ping())
        if self._sends:
            for send in [send for send in self._sends.values() if send.deadline < now]:
                actions += self.failed(send.message_id, UNANSWERED)
        return actions

    def welcome_frame(self, wall_ms: int) -> bytes:
        return encode(
            {
                "type": "welcome",
                "user_id": self.who.user_id,
                "device_id": self.who.device_id,
                "session_id": self.who.session_id,
                "heartbeat_s": self._limits.heartbeat_s,
                "max_frame_bytes": self._limits.max_frame_bytes,
                "server_time": wall_ms,
                "inbox": {"epoch": self._epoch, "seq": self.delivered},
            }
        )

    # Limits

    def _take_tokens(self, now: float, wanted: int) -> int:
        """0 when the frame may pass, else the milliseconds until a quarter of the burst may."""
        limits = self._limits
        self._tokens, wait = drawn(
            self._tokens, now - self._tokens_at, wanted, rate=limits.frames_per_second, burst=limits.burst
        )
        self._tokens_at = now
        return wait

    def _fault(
        self,
        now: float,
        code: str,
        message: str,
        identifier: str | None,
        retry_after_ms: int | None = None,
        weight: float = 1.0,
    ) -> Iterable[Action]:
        return self._blame([error_frame(code, message, identifier, retry_after_ms)], now, weight)

    def _blame(self, errors: list[bytes], now: float, weight: float = 1.0) -> list[Action]:
        """Answers a bad frame; a client that goes on sending them is closed."""
        forgiven = (now - self._faults_at) * FAULTS_FORGIVEN_PER_SECOND
        self._faults = max(0.0, self._faults - forgiven) + weight
        self._faults_at = now
        if self._faults > FAULTS_TO_CLOSE:
            return [*errors, Close(codes.ABUSE, "too many bad frames")]
        return [*errors]
