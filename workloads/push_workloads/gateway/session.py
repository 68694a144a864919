"""One client's session as a state machine. Pure: events in, actions out; the shell performs them.

What it reads is in `channels.py`, what it sends in `outbox.py`, what it may do in `manners.py`; what is before the
welcome in `joining.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from push_workloads.common.errors import PushError
from push_workloads.common.outgoing import unusable
from push_workloads.common.presence_keys import AWAY
from push_workloads.common.questions import MAX_WATCHED, KnownMessage, Membership, Report, TopicRights
from push_workloads.common.sending import RETRY_AFTER_MS, SEND_SECONDS, Stored, begin
from push_workloads.common.subjects import BadId, channel_subject, ephemeral_subject, inbox
from push_workloads.common.tokens import Identity
from push_workloads.gateway import codes, frames
from push_workloads.gateway.actions import (
    SET_STATUS,
    Action,
    AskBlocks,
    Close,
    Cursor,
    Limits,
    Ping,
    Recover,
    ShowToken,
    Start,
    Tell,
    UnwatchUsers,
    WatchUsers,
    Who,
)
from push_workloads.gateway.channels import (
    NOT_A_MEMBER,
    NOT_YOURS,
    UNKNOWN,
    Channels,
    Places,
    is_inbox,
    is_topic,
    well_formed,
)
from push_workloads.gateway.frames import (
    Frame,
    OfChannels,
    OfPresence,
    Read,
    Received,
    Refresh,
    Refused,
    Resume,
    SendMessage,
    Status,
    Subscribe,
    Typing,
    Unsubscribe,
    Unwatch,
    Watch,
    encode,
    error_frame,
    typing_frame,
)
from push_workloads.gateway.manners import TOO_FAST_WEIGHT, Manners
from push_workloads.gateway.memberships import Waiting
from push_workloads.gateway.outbox import NOTHING_SENT, Outbox
from push_workloads.gateway.reading import UP_TO_HERE, Reading, Shown
from push_workloads.gateway.recovery import Delivered, Told
from push_workloads.gateway.typists import START, STOP, Typists
from push_workloads.gateway.watchlist import Watchlist

HEARTBEATS_TO_LIVE: Final = 2.5
MAX_SENDERS: Final = 64  # whose messages wait for a `received`
MAX_TYPING_MEMBERS: Final = 256
Kind = Literal["delivered", "read"]
FOREIGN: Final = "channel: another user's inbox"
WATCHES_TOO_FAST: Final = "too many users at once: watch them a few at a time"
WATCHES_TOO_MANY: Final = f"user_ids: a socket watches at most {MAX_WATCHED} users"
NOT_THEIRS: Final = "token: another user's; open a socket of its own for that"


class At(NamedTuple):
    """The moment of an event: monotonic seconds, Unix milliseconds, at least 10 random bytes."""

    now: float
    wall_ms: int
    entropy: bytes

    def other(self, number: int) -> At:
        """For one of several events of this moment: one seed must not give two messages the same id."""
        return self._replace(entropy=number.to_bytes(2, "big") + self.entropy[2:])


class Session:
    """A welcome client."""

    __slots__ = (
        "_channels", "_head", "_heard_at", "_limits", "_manners", "_outbox", "_pinged_at", "_senders", "_sent_at",
        "_typing", "_watchlist", "who",
    )  # fmt: skip

    def __init__(self, who: Who, limits: Limits, epoch: str, head: int, now: float) -> None:
        self.who = who
        self._limits = limits
        self._head = head  # of the inbox at the welcome: older changes of groups are in the answer about them
        self._channels = Channels(who.user_id, epoch, head)
        self._manners = Manners(limits.burst, now)
        self._heard_at = self._pinged_at = now
        self._sent_at = 0
        # Made when first needed: most sockets only listen.
        self._outbox = NOTHING_SENT
        self._typing: Typists | None = None
        self._watchlist: Watchlist | None = None
        self._senders: dict[str, int] | None = None  # the newest message of each that this device has not confirmed

    def start(self, start: Start, *, asked: bool = False, resume_by: float | None = None) -> list[Action]:
        """At the welcome. `asked`: the client has said itself where it goes on; `resume_by`: it will, by then."""
        return self._channels.start(start, asked=asked, resume_by=resume_by)

    # Frames from the client

    def on_frame(self, text: str, at: At) -> Iterable[Action]:
        """What one text message of the client comes to."""
        self._heard_at = at.now
        wait = self._manners.wait_ms(self._limits, at.now, len(text))
        if wait:
            error = error_frame(codes.RATE_LIMITED, "too many frames", frames.id_of(text), wait)
            return self._blame(error, at.now, TOO_FAST_WEIGHT)
        most = self._limits.max_frame_bytes
        if len(text) > most or len(text.encode()) > most:
            error = error_frame(codes.TOO_LARGE, f"a frame has at most {most} bytes", frames.id_of(text))
            return self._blame(error, at.now)
        return self._on(frames.decode(text), at)

    def _on(self, frame: Frame | Refused, at: At) -> Iterable[Action]:
        match frame:
            case SendMessage():
                return self._send_message(frame, at)
            case Received():
                return self._received(frame, at.now)
            case Read():
                return self._read(frame, at.now)
            case Typing():
                return self._type(frame, at)
            case Subscribe() | Unsubscribe() | Resume():
                return self._on_channels(frame, at)
            case Watch() | Unwatch() | Status():
                return self._on_presence(frame, at.now)
            case Refresh():
                return (ShowToken(frame.token, frame.id),)
            case Refused():
                return self._blame(error_frame(frame.code, frame.message, frame.id), at.now)
        return (frames.pong_frame(frame.id, at.wall_ms),)

    def not_text(self, now: float) -> Iterable[Action]:
        return self._blame(error_frame(codes.BAD_FRAME, "send text frames: one JSON object in each", None), now)

    def heard(self, now: float) -> None:
        """A pong or any other sign of life."""
        self._heard_at = now

    def unread(self, seconds: float) -> None:
        """For so long the client's frames were left where they are."""
        self._manners.unread(self._limits, seconds)

    def _blame(self, error: bytes, now: float, weight: float = 1.0) -> list[Action]:
        """Answers a bad frame; a client that goes on sending them is closed."""
        closes = self._manners.blame(now, weight)
        return [error, Close(codes.ABUSE, "too many bad frames")] if closes else [error]

    # Its token

    def refreshed(self, asked: ShowToken, identity: Identity, ends_at: float, now: float) -> Iterable[Action]:
        """The token that it has shown is good, until `ends_at` on the monotonic clock."""
        if identity.user_id != self.who.user_id:
            return self._blame(error_frame(codes.FORBIDDEN, NOT_THEIRS, asked.id), now)
        self.who.ends_at, self.who.login_id, self.who.issued_at = ends_at, identity.session_id, identity.issued_at
        same, self.who.grants = identity.grants == self.who.grants, identity.grants
        answer = frames.refreshed_frame(asked.id, identity.expires_at * 1000)
        return (answer,) if same else (answer, *self._channels.ask_topics())

    def not_refreshed(self, asked: ShowToken, refusal: PushError, now: float) -> Iterable[Action]:
        """It is not good; the socket lives as long as the one before."""
        code = codes.UNAVAILABLE if refusal.retry_after_ms is not None else codes.UNAUTHORIZED
        return self._blame(error_frame(code, refusal.message, asked.id, refusal.retry_after_ms), now)

    # Messages of the client

    def _send_message(self, frame: SendMessage, at: At, *, final: bool = False) -> Iterable[Action]:
        refusal = unusable(frame, self.who.user_id)
        if refusal:
            return self._blame(error_frame(codes.BAD_FRAME, refusal, frame.id), at.now)
        if frame.channel is not None:
            if is_topic(frame.channel) and well_formed(frame.channel):
                return self._channels.wait_for_topic(frame.channel, frame)
            if self._channels.groups.get(frame.channel) is None:
                return self._no_group(frame.channel, frame, final=final)
        return self._send(frame, at)

    def _send(self, frame: SendMessage, at: At) -> Iterable[Action]:
        # Conversations are ordered by time: two messages of one socket in the same millisecond keep their order.
        self._sent_at = max(self._sent_at + 1, at.wall_ms)
        own = self._channels.inbox.subject
        try:
            send = begin(self.who.user_id, own, frame, at.now + SEND_SECONDS, self._sent_at, at.entropy)
        except BadId as error:
            return self._blame(error_frame(codes.BAD_FRAME, f"recipient_id: {error}", frame.id), at.now)
        if self._outbox is NOTHING_SENT:
            self._outbox = Outbox()
        busy = self._outbox.add(send)
        if busy is not None:
            return (error_frame(codes.UNAVAILABLE, busy, frame.id, RETRY_AFTER_MS),)
        if frame.recipient_id is None or send.own == send.recipient:
            return self.allowed(send.message_id)
        return (AskBlocks(send.message_id, frame.recipient_id),)

    def allowed(self, message_id: str) -> Iterable[Action]:
        """The recipient takes messages from this user."""
        return self._outbox.go(message_id)

    def blocked(self, message_id: str) -> Iterable[Action]:
        return self._outbox.blocked(message_id)

    def known(self, message_id: str, held: KnownMessage | None, epoch: str) -> Iterable[Action]:
        """What history has under the id of a message that says `retry`."""
        return self._outbox.known(message_id, held, epoch)

    def published(self, message_id: str, epoch: str, seq: int, duplicate: bool) -> Iterable[Action]:
        """The log has a copy, under `seq` of its channel."""
        return self._outbox.published(message_id, self._channels.get, epoch, seq, duplicate)

    def found(self, message_id: str, epoch: str, seq: int, stored: Stored | None) -> Iterable[Action]:
        """What the log holds under an id that it knew already; None when it is gone from the log."""
        return self._outbox.found(message_id, self._channels.get, epoch, seq, stored)

    def failed(self, message_id: str, reason: str) -> Iterable[Action]:
        return self._outbox.failed(message_id, reason)

    def bus_lost(self) -> Iterable[Action]:
        return self._outbox.bus_lost()

    # What the client has, and what its user does

    def _received(self, frame: Received, now: float) -> Iterable[Action]:
        reading = self._channels.get(frame.channel)
        if reading is None:
            return self._blame(_not_read(frame), now)
        if reading.undecided:
            return ()  # from where on it will be sent what it misses is not known yet
        # A client cannot hold what it was not sent: a cursor ahead of that would skip messages for ever.
        seq = min(frame.seq, reading.delivered)
        cursor = Cursor(reading.channel, reading.epoch, seq)
        return (cursor, *self._confirmed(reading, seq)) if reading is self._channels.inbox else (cursor,)

    def _confirmed(self, reading: Reading, seq: int) -> list[Report]:
        """What the senders are told. A sender whose newest message is not among it is told with that one."""
        senders = [sender for sender, newest in (self._senders or {}).items() if newest <= seq]
        return [self._report("delivered", reading, (self._senders or {}).pop(sender), sender) for sender in senders]

    def _read(self, frame: Read, now: float) -> Iterable[Action]:
        reading = self._channels.get(frame.channel)
        if reading is None:
            return self._blame(_not_read(frame), now)
        if reading is self._channels.inbox and frame.conversation is None:
            words = "conversation: required on an inbox: with which user"
            return self._blame(error_frame(codes.BAD_FRAME, words, frame.id), now)
        if reading.undecided:
            return ()
        conversation = frame.conversation if reading is self._channels.inbox else None
        return (self._report("read", reading, min(frame.seq, reading.delivered), conversation),)

    def _report(
        self, kind: Literal["delivered", "read"], reading: Reading, seq: int, conversation: str | None
    ) -> Report:
        return Report(kind, self.who.user_id, reading.channel, reading.epoch, seq, conversation)

    def _type(self, frame: Typing, at: At, *, final: bool = False) -> Iterable[Action]:
        if (frame.recipient_id is None) == (frame.channel is None):
            words = "one of the fields `recipient_id` and `channel` is required"
            return self._blame(error_frame(codes.BAD_FRAME, words, frame.id), at.now)
        target = frame.channel if frame.channel is not None else inbox(frame.recipient_id or "")
        if not well_formed(target):
            return self._blame(error_frame(codes.BAD_FRAME, "recipient_id, channel: not well-formed", frame.id), at.now)
        if frame.channel is not None:
            membership = self._channels.groups.get(frame.channel)
            if membership is None:
                return self._no_group(frame.channel, frame, final=final)
            if membership.members > MAX_TYPING_MEMBERS:
                return ()  # nobody is told in a large group
        typing = self._typing = self._typing or Typists()
        told = typing.start(target, at.now) if frame.state == START else typing.stop(target)
        return (self._tell_typing(target, frame.state),) if told else ()

    def _tell_typing(self, target: str, state: str) -> Tell:
        is_direct = is_inbox(target)
        recipient = target.partition(":")[2] if is_direct else None
        frame = typing_frame(self.who.user_id, None if is_direct else target, state)
        return Tell(ephemeral_subject(channel_subject(target)), frame, recipient)

    # Presence

    def _on_presence(self, frame: OfPresence, now: float) -> Iterable[Action]:
        self._watchlist = self._watchlist or Watchlist(now)
        if isinstance(frame, Watch):
            return self._watch(frame, self._watchlist, now)
        if isinstance(frame, Unwatch):
            self._watchlist.users.difference_update(frame.user_ids)
            return (UnwatchUsers(frame.user_ids),)
        self._watchlist.say(frame.status == AWAY, self.who.away)
        return self._status_due(now)

    def _watch(self, frame: Watch, watchlist: Watchlist, now: float) -> Iterable[Action]:
        user_ids = list(dict.fromkeys(frame.user_ids))
        if not all(map(_is_user, user_ids)):
            return self._blame(error_frame(codes.BAD_FRAME, "user_ids: not well-formed", frame.id), now)
        wait = watchlist.wait_ms(len(user_ids), now)
        if wait:
            return self._blame(error_frame(codes.RATE_LIMITED, WATCHES_TOO_FAST, frame.id, wait), now, TOO_FAST_WEIGHT)
        if not watchlist.has_room(user_ids):
            return self._blame(error_frame(codes.BAD_FRAME, WATCHES_TOO_MANY, frame.id), now)
        watchlist.users.update(user_ids)
        return (WatchUsers(user_ids, frame.id),)

    def not_watched(self, asked: WatchUsers, user_ids: Iterable[str]) -> Iterable[Action]:
        """This gateway has no room for them."""
        if self._watchlist is not None:
            self._watchlist.users.difference_update(user_ids)
        return (error_frame(codes.UNAVAILABLE, "too many are watched here", asked.id, RETRY_AFTER_MS),)

    def _status_due(self, now: float) -> Iterable[Action]:
        away = self._watchlist.due(now) if self._watchlist is not None else None
        if away is None:
            return ()
        self.who.away = away
        return (SET_STATUS,)

    # Channels

    def _on_channels(self, frame: OfChannels, at: At) -> Iterable[Action]:
        if isinstance(frame, Subscribe):
            return self._subscribe(frame, at)
        if isinstance(frame, Unsubscribe):
            return self._unsubscribe(frame, at.now)
        return self._resume(frame, at)

    def _subscribe(self, frame: Subscribe, at: At, *, final: bool = False) -> list[Action]:
        if self._channels.get(frame.channel) is not None:
            return self._channels.subscribe(frame)
        if is_inbox(frame.channel):
            return self._blame(error_frame(codes.FORBIDDEN, FOREIGN, frame.id, None, frame.channel), at.now)
        if is_topic(frame.channel) and well_formed(frame.channel):
            return self._channels.wait_for_topic(frame.channel, frame)
        membership = self._channels.groups.get(frame.channel)
        if membership is None or membership.leaving:
            return self._no_group(frame.channel, frame, final=final)
        return self._channels.subscribe(frame)

    def _unsubscribe(self, frame: Unsubscribe, now: float) -> list[Action]:
        reading = self._channels.get(frame.channel)
        if reading is None:
            return self._blame(_not_read(frame), now)
        return [*self._channels.unsubscribe(reading, frame), *self._outbox.overdue(reading)]

    def _resume(self, frame: Resume, at: At) -> list[Action]:
        wanted = [Subscribe(channel, place, frame.id) for channel, place in frame.channels.items()]
        actions = [action for one in wanted for action in self._subscribe(one, at)]
        return [*actions, *self._channels.placed()]  # last: what the frame names goes on from there

    def _no_group(self, channel: str, frame: Waiting, *, final: bool) -> list[Action]:
        """A group that is not known: it may be new, so a fresh answer decides."""
        if final or not channel.startswith("group:") or not well_formed(channel):
            words = NOT_A_MEMBER if final else UNKNOWN
            return [error_frame(codes.NOT_FOUND, words, frame.id, None, channel)]
        return self._channels.wait_for_groups(frame)

    def groups(self, memberships: Iterable[Membership], places: Places, at: At) -> list[Action]:
        """The groups that the user is in now, and where this device stopped in them."""
        first = self._channels.groups.known is None
        new, actions, held = self._channels.answered(memberships)
        for number, frame in enumerate(held):  # before the rest: where the client itself wants to go on counts
            actions += self._again(frame, at.other(number))
        return [*actions, *self._channels.join_all(new, places, first=first)]

    def topic(self, channel: str, rights: TopicRights | None, at: At) -> list[Action]:
        """What the policies let the user do on a topic; None when that is not to be had now. The token may let them do
        more, whoever answers."""
        rights = self._granted(channel, rights)
        actions: list[Action] = self._channels.no_longer(channel) if rights is not None and not rights.read else []
        for number, frame in enumerate(self._channels.topic_frames(channel)):
            if rights is None:
                actions.append(error_frame(codes.UNAVAILABLE, "ask again", frame.id, RETRY_AFTER_MS, channel))
            elif not (rights.write if isinstance(frame, SendMessage) else rights.read):
                actions.append(error_frame(codes.FORBIDDEN, NOT_YOURS, frame.id, None, channel))
            elif isinstance(frame, SendMessage):
                actions += self._send(frame, at.other(number))
            elif isinstance(frame, Subscribe):
                actions += self._channels.subscribe(frame)
        return actions

    def _granted(self, channel: str, rights: TopicRights | None) -> TopicRights | None:
        topic = channel.partition(":")[2]
        read, write = self.who.grants.reads(topic), self.who.grants.writes(topic)
        if rights is None:
            return TopicRights(read, write, for_everyone=False) if read and write else None
        return TopicRights(rights.read or read, rights.write or write, for_everyone=False)

    def topics_changed(self) -> list[Action]:
        """Policies have changed: is what is read still to be read?"""
        return self._channels.ask_topics()

    def _again(self, frame: Waiting, at: At) -> Iterable[Action]:
        """A frame that waited: the answer is there now."""
        if isinstance(frame, SendMessage):
            return self._send_message(frame, at, final=True)
        if isinstance(frame, Subscribe):
            return self._subscribe(frame, at, final=True)
        return self._type(frame, at, final=True)

    # Catching up

    def positioned(self, request: Recover, epoch: str, head: int, reason: str | None) -> list[Action]:
        """The channel ends at `head`; what follows the request's place can be had from the log, or there is a `reason`
        why not."""
        reading = request.reading
        return self._shown(reading, reading.positioned(request.behind, epoch, head, request.place, reason))

    def wanted(self, request: Recover) -> int | None:
        """The seq after which to read on; None when nothing is to be read any more."""
        return request.reading.wanted(request.behind)

    def replayed(self, request: Recover, page: Iterable[Delivered]) -> list[Action]:
        """The next messages of the log."""
        return self._shown(request.reading, request.reading.replayed(request.behind, page))

    def gave_up(self, request: Recover, reason: str | None) -> list[Action]:
        """The log has no more of what is missing: forgotten meanwhile, for a `reason`, or there was nothing more."""
        return self._shown(request.reading, request.reading.gave_up(request.behind, reason))

    def _shown(self, reading: Reading, items: Iterable[Shown]) -> list[Action]:
        actions: list[Action] = []
        for item in items:
            if isinstance(item, Delivered):
                actions += self._show(reading, item)
                if reading.stopped:  # by what was shown: nothing after a removal is for who was removed
                    break
            elif isinstance(item, bytes):
                actions.append(item)
            elif item is UP_TO_HERE:
                actions += self._outbox.overdue(reading)
        return actions

    # Events from the bus

    def deliver(self, channel: str, message: Delivered) -> Iterable[Action]:
        """The next message of a channel: its frame, the ack in its place when it is our own, nothing for a repeat."""
        reading = self._channels.get(channel)
        if reading is None:
            return ()
        if reading.stopped and message.change is not None:  # not shown, and heeded all the same
            return self._channels.changed(reading, message.seq, message.change, self.who.user_id)
        return self._show(reading, message) if reading.takes(message) else ()

    def _show(self, reading: Reading, message: Delivered) -> Iterable[Action]:
        ack = self._outbox.acks(reading, message)
        if message.change is not None:
            if reading is self._channels.inbox and message.seq <= self._head:
                return (message.frame,)
            actions = [message.frame, *self._channels.changed(reading, message.seq, message.change, self.who.user_id)]
            return [*actions, *self._outbox.overdue(reading)] if reading.stopped else actions
        if ack is None and reading is self._channels.inbox:
            self._came(message)
        return (message.frame if ack is None else ack,)

    def _came(self, message: Delivered) -> None:
        """A `received` will tell its sender."""
        if not message.sender or message.sender == self.who.user_id:
            return
        senders = self._senders = self._senders if self._senders is not None else {}
        senders[message.sender] = message.seq
        if len(senders) > MAX_SENDERS:
            del senders[next(iter(senders))]  # the next message of theirs tells it

    def told(self, channel: str, told: Told) -> bytes | None:
        """What is not stored, for those who read the channel now."""
        reading = self._channels.get(channel)
        if reading is None or reading.stopped or told.sender == self.who.user_id:
            return None
        return told.frame

    def left(self) -> Iterable[Action]:
        """The socket is gone."""
        return self._typing_ended(float("inf"))

    # Time

    def tick(self, now: float) -> Iterable[Action]:
        """Called about once a second: heartbeat, token expiry, sends that nobody answered, who types no more."""
        if now >= self.who.ends_at:
            return (Close(codes.TOKEN_EXPIRED, "the access token has expired"),)
        idle = now - self._heard_at
        if idle > self._limits.heartbeat_s * HEARTBEATS_TO_LIVE:
            return (Close(codes.HEARTBEAT_MISSED, "no sign of life"),)
        actions: list[Action] = [*self._outbox.expired(now), *self._channels.tick(now), *self._status_due(now)]
        if idle > self._limits.heartbeat_s and now - self._pinged_at > self._limits.heartbeat_s:
            self._pinged_at = now
            actions.append(Ping())
        return [*actions, *self._typing_ended(now)] if self._typing is not None else actions

    def _typing_ended(self, now: float) -> list[Tell]:
        ended = self._typing.ended(now) if self._typing is not None else ()
        return [self._tell_typing(target, STOP) for target in ended]

    def welcome_frame(self, wall_ms: int, *, resumes: bool) -> bytes:
        """`resumes`: a `subscribed` for the inbox follows, and says from where on it goes."""
        who, limits, here = self.who, self._limits, self._channels.inbox
        return encode(
            {
                "type": "welcome",
                "user_id": who.user_id,
                "device_id": who.device_id,
                "session_id": who.session_id,
                "heartbeat_s": limits.heartbeat_s,
                "max_frame_bytes": limits.max_frame_bytes,
                "server_time": wall_ms,
                "inbox": {"epoch": here.epoch, "seq": here.delivered},
                "resumes": resumes,
            }
        )


def _not_read(frame: Received | Read | Unsubscribe) -> bytes:
    return error_frame(codes.NOT_FOUND, "channel: not one that this socket reads", frame.id, None, frame.channel)


def _is_user(user_id: str) -> bool:
    return well_formed(inbox(user_id))
