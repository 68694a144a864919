"""The channels that this device reads, over all connections. Pure.

The inbox and the groups are read by themselves, topics when the application asks. After a cut each goes on from its own
cursor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from push_client.actions import SEND, SUBSCRIBE, Action, HangUp, Settle, Write
from push_client.channel import Channel
from push_client.errors import Refused
from push_client.events import Cursor, Frame, Gap, Limits, Saved, Subscribed, membership_of, message_of
from push_client.mailbox import Mailbox
from push_client.outbox import AGAIN, DEFAULT_RETRY_MS, Outbox

RESUMED_AT_ONCE: Final = 100  # channels of one `resume` frame
AT_ONCE: Final = float("-inf")


class Channels:
    """`user_id` is empty before the first welcome. Events go into the mailbox."""

    def __init__(self, limits: Limits, saved: Saved, mailbox: Mailbox, outbox: Outbox) -> None:
        self.user_id = ""
        self._owner = saved.user_id
        self._limits = limits
        self._mailbox = mailbox
        self._outbox = outbox
        self._topics = {
            name: cursor for name, cursor in saved.cursors.items() if name.startswith("topic:")
        }  # not asked for yet
        self._channels = {
            name: self._made(name, one) for name, one in saved.cursors.items() if name not in self._topics
        }
        self._seen: dict[tuple[str, str], None] = {}
        self._asked: dict[str, list[str]] = {}  # by the id of the frame that asked
        self._number = 0

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._channels.values())

    def get(self, name: str) -> Channel | None:
        return self._channels.get(name)

    @property
    def inbox(self) -> str:
        return f"user:{self.user_id}"

    @property
    def resumes(self) -> bool:
        """This device knows better than the server where its inbox was."""
        return any(one.resumable is not None for one in self if one.name.startswith("user:"))

    def cursors(self) -> dict[str, Cursor]:
        """What to keep over a restart: how far the application came."""
        return self._topics | {one.name: one.handed for one in self if one.handed and not one.provisional}

    def _made(self, name: str, cursor: Cursor | None) -> Channel:
        return Channel(name, cursor, self._limits.early)

    def lost(self) -> None:
        """The connection is gone."""
        self._asked.clear()
        for channel in self:
            channel.lost()

    # Where to go on

    def welcome(self, user_id: str, inbox: Cursor, sure_at: float) -> list[Action]:
        """Asks for all channels where they go on. What was saved may be of another user, who had this device before:
        then nothing of it counts. `sure_at`: when it is certain that the server does not know this device."""
        awaited = self.resumes
        if self._owner not in ("", user_id):
            self._topics.clear()
            self._channels.clear()
        self.user_id = self._owner = user_id
        if awaited and not self.resumes:  # this server waits for a `resume`; the next one goes on by itself
            return [HangUp("what was saved is of another user")]
        mine = self._channels.setdefault(self.inbox, self._made(self.inbox, None))
        if mine.resumable is not None:
            return [*self._resume(), *self.ask(AT_ONCE)]
        # It begins anew, and is the server's to go on with: that it does, unless `resume` is the first frame. A device
        # that was cut off before the server knew it may have missed what came since.
        missed = mine.provisional and mine.read != inbox
        mine.start(inbox, provisional=True)
        mine.sure_at = sure_at
        mine.passed()
        if missed:
            self._mailbox.put(Gap(self.inbox, "no_cursor"), mine)
        return self.ask(AT_ONCE)

    def _resume(self) -> list[Action]:
        places = {one.name: one.resumable._asdict() for one in self if one.waiting and one.resumable is not None}
        names = [self.inbox, *(name for name in places if name != self.inbox)]
        actions: list[Action] = []
        for start in range(0, len(names), RESUMED_AT_ONCE):
            part = names[start : start + RESUMED_AT_ONCE]
            channels = {name: places[name] for name in part}
            actions.append(Write({"type": "resume", "id": self._id_for(part), "channels": channels}))
        return actions

    def _id_for(self, names: list[str]) -> str:
        self._number += 1
        identifier = f"ask-{self._number}"
        self._asked[identifier] = names
        for name in names:
            self._channels[name].asked_at = None
            self._channels[name].question = identifier
        return identifier

    def ask(self, now: float) -> list[Action]:
        """For those that were not asked for on this connection, or have to be again by now."""
        actions: list[Action] = []
        for channel in self:
            if channel.asked_at is None or channel.asked_at > now:
                continue
            frame: Frame = {"type": "subscribe", "id": self._id_for([channel.name]), "channel": channel.name}
            if channel.resumable is not None:
                frame["since"] = channel.resumable._asdict()
            actions.append(Write(frame))
        return actions

    def subscribe(self, name: str) -> list[Action]:
        """Settles at once when it is read already; `ask` does the rest."""
        channel = self._channels.get(name)
        if channel is None:
            self._channels[name] = self._made(name, self._topics.pop(name, None))
        elif not channel.waiting and channel.read is not None:
            return [Settle(SUBSCRIBE + name, Subscribed(name, channel.read))]
        return []

    def unsubscribe(self, name: str) -> bool:
        """True when it was read."""
        self._topics.pop(name, None)
        return self._channels.pop(name, None) is not None

    def refused(self, frame: Frame, now: float) -> list[Action] | None:
        """An error; None when it does not answer a question of ours."""
        asked = self._asked.get(frame.get("id") or "")
        if asked is None:
            return None
        names = [name for name in ([frame["channel"]] if "channel" in frame else asked) if name in self._channels]
        if frame["code"] in AGAIN:
            for name in names:
                self._channels[name].asked_at = now + (frame.get("retry_after_ms") or DEFAULT_RETRY_MS) / 1000
            return []
        if self.inbox in names:
            return [HangUp(f"the inbox is refused: {frame['code']}")]
        for name in names:
            del self._channels[name]
        error = Refused(frame["code"], frame["message"], frame.get("channel"))
        return [Settle(SUBSCRIBE + name, error) for name in names]

    # What comes

    def subscribed(self, frame: Frame) -> list[Action]:
        """The answer to a question, or told by the server of a group or of the inbox."""
        name = frame["channel"]
        channel = self._channels.setdefault(name, self._made(name, None))
        if not channel.goes_on_with(frame.get("id")):
            return []
        since = Cursor(frame["epoch"], frame["since"] if "since" in frame else frame["seq"])
        settled: list[Action] = [Settle(SUBSCRIBE + name, Subscribed(name, since))]
        early, known = channel.take_early(), channel.resumable
        if frame["recovered"]:
            ahead = known is not None and known.epoch == since.epoch and known.seq > since.seq
            channel.start(known if ahead and known is not None else since)  # what comes may be known already
            self._mailbox.put(Subscribed(name, since), channel)
            return settled
        channel.start(known or since)
        self._mailbox.put(Gap(name, frame.get("reason") or "unknown"), channel)
        actions = [action for one in early for action in self._take(channel, one)]  # they will not come again
        channel.start(since)
        channel.passed()
        return [*actions, *settled]

    def placed(self, frame: Frame) -> list[Action]:
        """A message, or anything else that has a place in a channel."""
        channel = self._channels.get(frame["channel"])
        if channel is None:
            return []  # left, and this was on its way
        if channel.waiting:
            channel.lay_aside(frame)
            return []
        return self._take(channel, frame)

    def acknowledged(self, frame: Frame) -> None:
        """An ack stands in its message's place, so it moves the cursor of a channel that is read."""
        channel = self._channels.get(frame["channel"])
        self._first_time(frame["channel"], frame["message_id"])
        if channel is None or channel.waiting or channel.read is None or channel.read.epoch != frame["epoch"]:
            return  # its place comes again, or is not known any more
        if channel.takes(Cursor(frame["epoch"], frame["seq"])):
            channel.passed()

    def _take(self, channel: Channel, frame: Frame) -> list[Action]:
        if not channel.takes(Cursor(frame["epoch"], frame["seq"])):
            return []
        first = self._first_time(channel.name, frame.get("message_id"))
        mine = frame.get("from") == self.user_id
        if mine and (sent := self._outbox.settle(frame.get("dedup_id"), frame)) is not None:
            channel.passed()
            return [Settle(SEND + frame["dedup_id"], sent)]  # written before a cut, and this is the proof
        if frame["type"] == "message" and first:
            self._mailbox.put(message_of(frame, self.user_id), channel)
        elif frame["type"] == "membership" and first:
            return self._changed(channel, frame)
        else:
            channel.passed()
        return []

    def _changed(self, channel: Channel, frame: Frame) -> list[Action]:
        """Of a group. The inbox tells where a new member begins; what a removed one read is over."""
        change = membership_of(frame, self.inbox)
        self._mailbox.put(change, channel)
        concerned = self.user_id in change.user_ids
        if change.change == "deleted" or (change.change == "removed" and concerned):
            self._channels.pop(change.channel, None)
        if change.change != "added" or change.since is None or not concerned:
            return []
        return self._join(change.channel, change.since)

    def _join(self, name: str, since: Cursor) -> list[Action]:
        """Reads a group from where this user became a member. A server that was not told of a cursor, because this
        device was away, has begun at the end."""
        joined = self._channels.get(name)
        if joined is None:
            self._channels[name] = self._made(name, since)
        elif not joined.skipped(since):
            return []
        elif not joined.go_back(since):
            self._mailbox.put(Gap(name, "no_cursor"), joined)
        return self.ask(AT_ONCE)

    def _first_time(self, channel: str, message_id: str | None) -> bool:
        if message_id is None:
            return True
        key = (channel, message_id)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._limits.ids:
            del self._seen[next(iter(self._seen))]
        return True
