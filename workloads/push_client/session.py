"""One device of one user as a state machine. Pure: frames, time and the application's wishes come in; what to write,
and what became of a send, go out. Events for the application wait in the mailbox.

A connection is cut at any moment, and the next one goes on: channels from their cursors, sends under their keys. So
whatever interleaving of replays, live messages, acks and cuts there is, the application gets each message once and in
order, and each send has one outcome.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from push_client.actions import SEND, SUBSCRIBE, Action, HangUp, Settle, Write
from push_client.channels import Channels
from push_client.errors import PushClientError
from push_client.events import (
    Connected,
    Cursor,
    Frame,
    Limits,
    Presence,
    Saved,
    Typing,
    presence_of,
    receipt_of,
    typing_of,
)
from push_client.mailbox import Mailbox
from push_client.outbox import Entry, Outbox
from push_client.telling import Telling
from push_client.watching import Mood, Watching

SURE_SECONDS: Final = 12.0  # a server that knows this device has said so by then, or closed
ANSWER_SECONDS: Final = 15.0  # no frame at all in this time after one that wants an answer: the connection is dead


class Session:
    """`leave_at`: a `reconnect` frame said when to be gone. `listening` False: for programs that only send. `fresh`:
    the device was just made, so no server knows it."""

    def __init__(self, limits: Limits, saved: Saved, *, listening: bool = True, fresh: bool = False) -> None:
        self.mailbox = Mailbox(limits.events, is_open=listening)
        self.outbox = Outbox(limits.window)
        self.channels = Channels(limits, saved, self.mailbox, self.outbox)
        self.leave_at: float | None = None
        self._fresh = fresh
        self._telling = Telling()
        self._watching = Watching()
        self._connected = False
        self._heartbeat = 25.0
        self._written_at = 0.0
        self._answer_due: float | None = None

    # The connection

    def opened(self, now: float) -> None:
        """A socket is there; the welcome is awaited."""
        self._answer_due = now + ANSWER_SECONDS
        self._written_at = now

    def cut(self) -> None:
        """The connection is gone."""
        self._connected = False
        self._answer_due = None
        self.leave_at = None
        self.outbox.lost()
        self.channels.lost()
        self._telling.lost()
        self._watching.lost()

    def end(self, why: PushClientError) -> list[Action]:
        """The client is over, and with it whatever somebody waits for."""
        failed: list[Action] = [Settle(SEND + key, error) for key, error in self.outbox.fail_all(why)]
        return [*failed, *(Settle(SUBSCRIBE + one.name, why) for one in self.channels if one.waiting)]

    def on_frame(self, frame: Frame, now: float) -> list[Action]:
        """Raises KeyError, TypeError or ValueError for a frame that is none of the protocol's."""
        self._answer_due = None
        match frame["type"]:
            case "welcome":
                return self._welcomed(frame, now)
            case "ack":
                return self._acknowledged(frame, now)
            case "subscribed":
                return self.channels.subscribed(frame)
            case "error":
                return self._refused(frame, now)
            case "receipt" | "typing" | "presence":
                self._told(frame, now)
            case "reconnect":
                self.leave_at = now + frame.get("after_ms", 0) / 1000
            case "message" | "membership":
                return self.channels.placed(frame)
            case _ if "channel" in frame and "seq" in frame:  # a newer kind of what is logged: it has its place
                return self.channels.placed(frame)
        return []

    def _welcomed(self, frame: Frame, now: float) -> list[Action]:
        self._connected = True
        self._heartbeat = float(frame["heartbeat_s"])
        self.outbox.max_bytes = frame["max_frame_bytes"]
        again = bool(self.channels.user_id)
        self.mailbox.put(Connected(frame["user_id"], frame["device_id"], again))
        head = Cursor(frame["inbox"]["epoch"], frame["inbox"]["seq"])
        actions = self.channels.welcome(frame["user_id"], head, now if self._fresh else now + SURE_SECONDS)
        self._fresh = False
        # At once, so that the server knows a new device when it comes back.
        watched = [Write(one) for one in self._watching.connected()]
        return [*actions, *self.tellings(now, at_once=True), *self._flush(now), *watched]

    def _refused(self, frame: Frame, now: float) -> list[Action]:
        actions = self.channels.refused(frame, now)
        if actions is not None:
            return actions
        if frame.get("retry_after_ms") is not None and "id" not in frame:
            self._watching.refused(now)
        failed = self.outbox.refuse(frame, now)
        return [Settle(SEND + failed[0], failed[1])] if failed is not None else []

    # Sends

    def send(self, entry: Entry, now: float) -> list[Action]:
        self.outbox.add(entry)
        return self._flush(now)

    def _flush(self, now: float) -> list[Action]:
        return [Write(frame) for frame in self.outbox.due(now)] if self._connected else []

    def _acknowledged(self, frame: Frame, now: float) -> list[Action]:
        self.channels.acknowledged(frame)
        key = frame.get("dedup_id") or frame.get("id")
        sent = self.outbox.settle(key, frame)
        return [*([Settle(f"{SEND}{key}", sent)] if sent else []), *self._flush(now)]

    # Channels

    def subscribe(self, name: str) -> list[Action]:
        actions = self.channels.subscribe(name)
        return [*actions, *self.channels.ask(float("-inf"))] if self._connected else actions

    def unsubscribe(self, name: str) -> list[Action]:
        was_read = self.channels.unsubscribe(name)
        return [Write({"type": "unsubscribe", "channel": name})] if was_read and self._connected else []

    # What is told now and then

    def _told(self, frame: Frame, now: float) -> None:
        if frame["type"] == "receipt":
            self.mailbox.put(receipt_of(frame))
        elif frame["type"] == "typing":
            self._typing(typing_of(frame), now)
        else:
            self._presence(presence_of(frame))

    def _typing(self, typing: Typing, now: float) -> None:
        if self._telling.heard(typing, now):
            self.mailbox.put(typing)

    def type(self, target: str, frame: Frame, now: float) -> list[Action]:
        """This user types."""
        if not self._connected or not self._telling.types(target, frame["state"], now):
            return []
        return [Write(frame)]

    # Presence

    @property
    def mood(self) -> Mood:
        """What this device says of its user."""
        return self._watching.mood

    def _presence(self, presence: Presence) -> None:
        if self._watching.heard(presence):
            self.mailbox.put(presence)

    def watch(self, user_ids: Iterable[str]) -> list[Action]:
        """Raises ValueError when they become too many."""
        return self._now_or_with_the_welcome(self._watching.watch(user_ids))

    def unwatch(self, user_ids: Iterable[str]) -> list[Action]:
        return self._now_or_with_the_welcome(self._watching.unwatch(user_ids))

    def status(self, mood: Mood) -> list[Action]:
        return self._now_or_with_the_welcome(self._watching.status(mood))

    def _now_or_with_the_welcome(self, frames: list[Frame]) -> list[Action]:
        return [Write(frame) for frame in frames] if self._connected else []

    def read(self, channel: str, place: Cursor | None, conversation: str | None) -> None:
        """The user has read everything up to there; None: everything that the application was given."""
        known = self.channels.get(channel)
        place = place or (known.handed if known is not None else None)
        if place is not None:
            self._telling.read(channel, place, conversation)

    def tellings(self, now: float, *, at_once: bool = False) -> list[Action]:
        """How far this device is, and how far the user has read."""
        due = [(one.name, one.due(now, at_once=at_once)) for one in self.channels]
        received: list[Frame] = [
            {"type": "received", "channel": name, "seq": seq} for name, seq in due if seq is not None
        ]
        live = {one.name: one.read for one in self.channels if not one.waiting and one.read is not None}
        return [Write(frame) for frame in [*received, *self._telling.reads_due(live)]]

    # Time

    def tick(self, now: float) -> list[Action]:
        """Called a few times a second. `now` is monotonic seconds, as everywhere here."""
        for ended in self._telling.typing_ended(now):
            self.mailbox.put(ended)
        over: list[Action] = [Settle(SEND + key, error) for key, error in self.outbox.ended(now)]
        if self._is_dead(now):
            return [*over, HangUp("no answer")]
        if self.leave_at is not None and now >= self.leave_at:
            return [*over, HangUp("the gateway restarts")]
        if not self._connected:
            return over
        watched = [Write(one) for one in self._watching.due(now)]
        written = [*self._flush(now), *self.channels.ask(now), *self.tellings(now), *watched]
        return [*over, *written, *self._ping(now, bool(written))]

    def _is_dead(self, now: float) -> bool:
        """The other side owes an answer, and did not give it although somebody reads."""
        if self._answer_due is None or now < self._answer_due:
            return False
        if self.mailbox.full:
            self._answer_due = now + ANSWER_SECONDS
        return not self.mailbox.full

    def _ping(self, now: float, written: bool) -> Iterable[Action]:
        if written:
            self._written_at = now
        if now - self._written_at < self._heartbeat:
            return []
        self._written_at = now
        self._answer_due = now + ANSWER_SECONDS
        return [Write({"type": "ping"})]
