"""One client of the gateway: feeds its session and does what that says. How frames come and go is its wire's.

`websocket.py` has the wire for sockets.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Protocol, TypeVar

from push_workloads.common.errors import PushError, Unavailable
from push_workloads.common.ids import ms_of
from push_workloads.common.presence_keys import Opened
from push_workloads.common.questions import KnownMessage, Membership, Report, TopicRights
from push_workloads.common.sending import Find, Publish, Stored
from push_workloads.common.subjects import inbox, inbox_subject
from push_workloads.gateway import codes
from push_workloads.gateway.actions import (
    Action,
    AskBlocks,
    AskGroups,
    AskKnown,
    AskTopic,
    Close,
    Cursor,
    Leave,
    Ping,
    Recover,
    SetStatus,
    ShowToken,
    Start,
    Tell,
    UnwatchUsers,
    WatchUsers,
    Who,
)
from push_workloads.gateway.devices import Entered
from push_workloads.gateway.frames import Ack, Place, Refusal, reconnect_frame
from push_workloads.gateway.gateway import CLOSE_WAIT_SECONDS, Gateway
from push_workloads.gateway.hub import Channel
from push_workloads.gateway.joining import Joining
from push_workloads.gateway.joins import Joins
from push_workloads.gateway.log import Answer
from push_workloads.gateway.presence import Open
from push_workloads.gateway.recovery import Delivered, Told
from push_workloads.gateway.session import At, Session

STALL_SECONDS: Final = 30.0  # a replay waits so long for a client that does not read
JOIN_RETRY_SECONDS: Final = 0.5
MAX_AFTER_MS: Final = 1000
ENTERING: Final = -1
_T = TypeVar("_T")


class Wire(Protocol):
    """How a client is connected. `kind` is told to the user: `ws` or `sse`."""

    kind: ClassVar[str]

    def send(self, frame: bytes) -> None: ...

    def ping(self) -> None: ...

    def buffered(self) -> int:
        """Bytes that wait for the client."""

    def waits(self) -> bool:
        """Whether what the client sends is left where it is for now."""

    def close(self, code: int, reason: str) -> None:
        """Says goodbye; the client may answer."""

    def disconnect(self) -> None:
        """At once, whatever waits."""


class Peer:
    """Lives from `connected` to `disconnected`."""

    __slots__ = (
        "_channel", "_closing", "_gateway", "_joins", "_paused", "_wire", "_writable", "number", "state", "who",
    )  # fmt: skip

    def __init__(self, gateway: Gateway, who: Who) -> None:
        self._gateway = gateway
        self.who = who
        self.state: Joining | Session = Joining(who, gateway.config.limits, time.monotonic())
        self._wire: Wire | None = None
        self._channel: Channel | None = None  # the inbox
        self._joins: Joins | None = None  # made when first needed
        self._paused = self._closing = False
        self._writable: asyncio.Event | None = None  # for replays that wait
        self.number = ENTERING  # of this connection among those of its device, 0 when it has none

    @property
    def closing(self) -> bool:
        return self._closing

    def connected(self, wire: Wire) -> None:
        gateway, who = self._gateway, self.who
        self._wire = wire
        gateway.clients.add(self)
        gateway.accepted += 1
        gateway.presence.connected(self.open())
        subject = inbox_subject(who.user_id)
        for older in gateway.others(who.user_id, who.device_id):
            older.give_way()  # at once, also without Redis: here the order is known
        self._channel = channel = gateway.hub.join(self, inbox(who.user_id), subject)
        entered = gateway.devices.enter(who, channel.epoch, gateway.hub.end_of(subject))
        entered.add_done_callback(self._entered)
        head = gateway.hub.known_head(channel)
        if head is not None and not who.resumes:
            self._welcome(channel, head, None)
        else:
            gateway.spawner.spawn(self._join(channel, entered))
        self.check_login()  # it may have been revoked since it was let in, when nobody could find its socket yet

    def open(self) -> Open:
        who, kind = self.who, self._wire.kind if self._wire is not None else None
        return Open(who.user_id, who.session_id, Opened(ms_of(who.session_id), kind, who.device_id, who.away))

    def disconnected(self) -> None:
        gateway = self._gateway
        self._closing = True
        self._wire = None
        gateway.clients.discard(self)
        gateway.slow.discard(self)
        gateway.disconnects += 1
        gateway.left.set()
        if self._channel is None:
            return
        self.perform(self.state.left())
        names = (self._channel.name, *(self._joins.names if self._joins is not None else ()))
        gateway.hub.leave(self, self._channel)
        if self._joins is not None:
            self._joins.close(self)
        if self.number != ENTERING:
            gateway.devices.leave(self.who, self.number, names)
        gateway.watching.left(self)
        gateway.presence.disconnected(self.who.user_id, self.who.session_id)

    # From the wire

    def on_text(self, text: str) -> None:
        if not self._closing:
            self._gateway.frames_in += 1
            self.perform(self.state.on_frame(text, _now()))

    def not_text(self) -> None:
        self._gateway.frames_in += 1
        if isinstance(self.state, Session) and not self._closing:
            self.perform(self.state.not_text(time.monotonic()))

    def heard(self) -> None:
        self.state.heard(time.monotonic())

    def unread(self, seconds: float) -> None:
        """The client waited so long for its turn."""
        if isinstance(self.state, Session):
            self.state.unread(seconds)

    def said_goodbye(self) -> None:
        self._closing = True

    def pause(self) -> None:
        """The client reads more slowly than it is sent."""
        self._paused = True
        self._gateway.slow.add(self)

    def resume(self) -> None:
        self._paused = False
        self._gateway.slow.discard(self)
        self._gateway.watching.reads_again(self)
        if self._writable is not None:
            self._writable.set()

    def backlog(self) -> int:
        return self._wire.buffered() if self._wire is not None else 0

    # What the session says

    def perform(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self._do(action)

    def _do(self, action: Action) -> None:
        _DO[type(action)](self, action)

    def _send_counted(self, frame: bytes) -> None:
        self._count(frame)
        self.send(frame)

    def _count(self, frame: bytes) -> None:
        self._gateway.measures.sent(frame, time.monotonic())
        if self._gateway.traces is not None and isinstance(frame, Ack):
            self._gateway.traces.acknowledged(frame.message_id)

    def _publish(self, publication: Publish) -> None:
        self._gateway.ingress.publishing()
        publication.via = f"{self._gateway.config.common.instance} {self.who.device_id}"
        if self._gateway.traces is not None:
            self._gateway.traces.publishing(publication, time.monotonic())
        self._gateway.log.publish(publication, partial(self._published, publication))

    def _move(self, cursor: Cursor) -> None:
        self._gateway.cursors.moved(self.who.user_id, self.who.device_id, cursor)

    def _report(self, report: Report) -> None:
        self._gateway.receipts.reported(report)

    def _ping(self, _: Ping) -> None:
        if self._wire is not None and not self._closing:
            self._wire.ping()

    def _close(self, close: Close) -> None:
        self.close(close.code, close.reason)

    def _show_token(self, asked: ShowToken) -> None:
        session = self.state
        if not isinstance(session, Session):
            return
        now = time.monotonic()
        try:
            identity = self._gateway.unrevoked.verify(asked.token)
        except PushError as refusal:
            self.perform(session.not_refreshed(asked, refusal, now))
        else:
            self.perform(session.refreshed(asked, identity, now + identity.expires_at - time.time(), now))

    def check_login(self) -> None:
        who = self.who
        if self._gateway.unrevoked.revocations.hold(who.user_id, who.login_id, who.issued_at):
            self.close(codes.TOKEN_EXPIRED, "the access token was revoked")

    def _published(self, publication: Publish, answer: Answer) -> None:
        if self._gateway.traces is not None:
            self._gateway.traces.answered(publication, answer.failure)
        # Also after the client is gone: a message whose first copy is stored gets its second.
        if isinstance(self.state, Session):
            message_id = publication.message_id
            if answer.failure is None:
                epoch = self._gateway.hub.epoch_of(publication.subject)
                self.perform(self.state.published(message_id, epoch, answer.seq, answer.duplicate))
            else:
                self.perform(self.state.failed(message_id, answer.failure))

    def _look_up(self, question: Find) -> None:
        def told(session: Session, stored: Stored | None) -> Iterable[Action]:
            epoch = self._gateway.hub.epoch_of(question.subject)
            return session.found(question.message_id, epoch, question.seq, stored)

        self._ask(question.message_id, partial(self._gateway.log.stored, question.subject, question.seq), told)

    def _ask_known(self, question: AskKnown) -> None:
        def told(session: Session, held: KnownMessage | None) -> Iterable[Action]:
            return session.known(question.message_id, held, self._gateway.hub.epoch_of(question.subject))

        self._ask(question.message_id, partial(self._gateway.rights.known, question.subject, question.message_id), told)

    def _ask(
        self, message_id: str, question: Callable[[], Awaitable[_T]], told: Callable[[Session, _T], Iterable[Action]]
    ) -> None:
        """A question about a message that the client sends: it goes on with the answer, or fails."""

        async def asking() -> None:
            try:
                answer = await question()
            except Unavailable as error:
                if isinstance(self.state, Session):
                    self.perform(self.state.failed(message_id, error.message))
            else:
                if isinstance(self.state, Session):
                    self.perform(told(self.state, answer))

        self._gateway.spawner.spawn(asking())

    def _ask_blocks(self, asked: AskBlocks) -> None:
        answer = partial(self._takes, asked.message_id)
        self._gateway.rights.takes_from(asked.recipient_id, self.who.user_id, answer)

    def _takes(self, message_id: str, takes: bool) -> None:
        if isinstance(self.state, Session):
            self.perform(self.state.allowed(message_id) if takes else self.state.blocked(message_id))

    def _ask_topic(self, asked: AskTopic) -> None:
        topic = asked.channel.partition(":")[2]
        self._gateway.rights.on_topic(self.who.user_id, topic, partial(self._on_topic, asked.channel))

    def _on_topic(self, channel: str, rights: TopicRights | None) -> None:
        if isinstance(self.state, Session):
            self.perform(self.state.topic(channel, rights, _now()))

    def _tell(self, tell: Tell) -> None:
        """What is not stored; a user who blocks this one is spared it."""

        def told(takes: bool) -> None:
            if takes:
                self._gateway.log.tell(tell.subject, tell.frame)

        if tell.recipient_id is None:
            told(True)
        else:
            self._gateway.rights.takes_from(tell.recipient_id, self.who.user_id, told)

    def _watch(self, asked: WatchUsers) -> None:
        left_out = self._gateway.watching.watch(self, asked.user_ids)
        if left_out and isinstance(self.state, Session):
            self.perform(self.state.not_watched(asked, left_out))

    def _unwatch(self, asked: UnwatchUsers) -> None:
        self._gateway.watching.unwatch(self, asked.user_ids)

    def _set_status(self, _: SetStatus) -> None:
        if not self._closing:
            self._gateway.presence.connected(self.open())

    def _ask_groups(self, _: AskGroups) -> None:
        self._gateway.groups.ask(self)

    def grouped(self, memberships: list[Membership], places: Mapping[str, Place]) -> None:
        if isinstance(self.state, Session) and not self._closing:
            self.perform(self.state.groups(memberships, places, _now()))

    # Channels

    def _catch_up(self, request: Recover) -> None:
        if not isinstance(self.state, Session) or self._closing or self._channel is None:
            return
        gateway, reading = self._gateway, request.reading
        joins = self._joins = self._joins if self._joins is not None else Joins(gateway.hub)
        channel = self._channel if reading.channel == self._channel.name else joins.join(self, reading)
        joins.replay(gateway.catchup, gateway.spawner, self, self.state, channel, request)

    def _leave(self, leave: Leave) -> None:
        if self._joins is not None:
            self._joins.leave(self, leave.channel)

    def perform_paced(self, actions: Iterable[Action]) -> None:
        """For who waits until it is `drained`: what then stands in the queue is no reason to close."""
        for action in actions:
            if isinstance(action, bytes):
                self._count(action)
                self._write(action)
            else:
                self._do(action)

    async def drained(self) -> bool:
        """Waits until the client has read most of what it was sent; False when it is gone, or does not read."""
        if self._paused and not self._closing:
            if self._writable is None:
                self._writable = asyncio.Event()
            self._writable.clear()
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self._writable.wait()
            except TimeoutError:
                self._fell_behind()
        return not self._closing

    # The same device elsewhere

    def _entered(self, entered: asyncio.Future[Entered]) -> None:
        if entered.cancelled():
            return
        self.number = entered.result().number
        if self.number < 0:
            self.number = 0
            self.give_way()
        if self not in self._gateway.clients and self._channel is not None:  # it went in the meantime
            self._gateway.devices.leave(self.who, self.number, (self._channel.name,))

    def compare(self, number: int) -> None:
        """A connection of this device has that number."""
        if self.number != ENTERING and self.number < number:
            self.give_way()

    def give_way(self) -> None:
        if not self._closing:
            self._gateway.displaced += 1
            self.close(codes.DISPLACED, "the same device connected elsewhere")

    # The hub calls these

    def deliver(self, channel: str, message: Delivered) -> None:
        self.perform(self.state.deliver(channel, message))

    def told(self, channel: str, told: Told) -> None:
        """What is not stored is the first to go when the client is slow."""
        frame = self.state.told(channel, told)
        if frame is not None:
            self._write_or_shed(told.type, frame)

    def presence(self, frame: bytes) -> bool:
        """How it is with a user whom this client watches; False when the client is slow, and must hear it later."""
        return self._write_or_shed("presence", frame)

    def _write_or_shed(self, kind: str, frame: bytes) -> bool:
        if self._paused:
            self._gateway.shed[kind] = self._gateway.shed.get(kind, 0) + 1
            return False
        self._write(frame)
        return True

    def send_away(self) -> None:
        """Tells the client to come back after a random moment, then closes with 1012."""
        self.send(reconnect_frame(random.randrange(MAX_AFTER_MS), "restart"))  # noqa: S311 - spreads reconnects
        self.close(codes.RESTART, "restart")

    # To the wire

    def close(self, code: int, reason: str) -> None:
        """Says goodbye with a close code; the wire goes when the client answers, or after a moment."""
        if self._closing or self._wire is None:
            return
        self._closing = True
        self._wire.close(code, reason)
        asyncio.get_running_loop().call_later(CLOSE_WAIT_SECONDS, self.abort)

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.disconnect()

    def send(self, frame: bytes) -> None:
        self._write(frame)
        if self._paused and self._wire is not None and self._wire.buffered() > self._gateway.config.max_outbound_bytes:
            self._fell_behind()

    def _write(self, frame: bytes) -> None:
        if not self._closing and self._wire is not None:
            self._gateway.frames_out += 1
            self._wire.send(frame)

    def _fell_behind(self) -> None:
        # A close frame would wait behind what the client does not read.
        self._gateway.fell_behind += 1
        self.close(codes.FELL_BEHIND, "read too slowly")
        self.abort()

    # Time and the bus

    def tick(self, now: float) -> None:
        if self._gateway.ingress.pressed and self._wire is not None and self._wire.waits():
            self.state.heard(now)  # whether it lives is in what is not read
        if not self._closing:
            self.perform(self.state.tick(now))

    def topics_changed(self) -> None:
        if isinstance(self.state, Session) and not self._closing:
            self.perform(self.state.topics_changed())

    def bus_lost(self) -> None:
        self.perform(self.state.bus_lost())

    async def _join(self, channel: Channel, entered: asyncio.Future[Entered]) -> None:
        """Asks where the device goes on and where the inbox ends, until the log answers or the session's tick gives
        up."""
        start = (await entered).start if self.who.resumes else None
        if isinstance(start, str):
            self._gateway.catchup.count(start)
        while not self._closing:
            try:
                head = self._gateway.hub.known_head(channel)
                if head is None:
                    async with self._gateway.joins:
                        head = await self._gateway.hub.ask_head(channel)
            except Unavailable:
                await asyncio.sleep(JOIN_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries
            else:
                self._welcome(channel, head, start)
                return

    def _welcome(self, channel: Channel, head: int, start: Start) -> None:
        if isinstance(self.state, Joining):
            # What is below the floor is gone: to begin there keeps the cursor of an empty inbox from growing too old.
            head = max(head, self._gateway.hub.floor_of(channel.subject) - 1)
            self.state, actions = self.state.welcome(channel.epoch, head, _now(), start)
            self.perform(actions)


_DO: Final[dict[type, Callable[[Peer, Any], None]]] = {
    bytes: Peer.send,
    Ack: Peer._send_counted,
    Refusal: Peer._send_counted,
    Publish: Peer._publish,
    AskBlocks: Peer._ask_blocks,
    AskKnown: Peer._ask_known,
    Find: Peer._look_up,
    Cursor: Peer._move,
    Report: Peer._report,
    Recover: Peer._catch_up,
    Leave: Peer._leave,
    AskGroups: Peer._ask_groups,
    AskTopic: Peer._ask_topic,
    Tell: Peer._tell,
    Ping: Peer._ping,
    Close: Peer._close,
    ShowToken: Peer._show_token,
    WatchUsers: Peer._watch,
    UnwatchUsers: Peer._unwatch,
    SetStatus: Peer._set_status,
}


def _now() -> At:
    return At(time.monotonic(), time.time_ns() // 1_000_000, os.urandom(10))
