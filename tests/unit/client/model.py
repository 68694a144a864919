"""A platform made of lists, for the client's core: a log for each channel, and one connection that can be cut."""

from __future__ import annotations

from collections import deque
from typing import Any

from push_client.actions import SEND, Action, HangUp, Write
from push_client.errors import PushClientError
from push_client.events import Event, Frame, Limits, Message, Saved, Sent, Target
from push_client.mailbox import Item, handled
from push_client.outbox import Entry
from push_client.session import Session

ME = "me"
INBOX = "user:me"
GROUP = "group:g"
LIMITS = Limits(outbox=20, events=5, window=4, early=50, ids=1000)


class Log:
    def __init__(self, name: str) -> None:
        self.name = name
        self.frames: list[Frame] = []

    @property
    def head(self) -> int:
        return int(self.frames[-1]["seq"]) if self.frames else 0

    def add(self, skip: int, **fields: Any) -> Frame:
        seq = self.head + 1 + skip
        frame = {
            "type": "message", "channel": self.name, "epoch": "e", "seq": seq, "prev": self.head,
            "message_id": f"{self.name}-{seq}", "conversation": "you", "kind": "text", "content": seq, "sent_at": seq,
        }  # fmt: skip
        self.frames.append(frame | fields)
        return self.frames[-1]


class Platform:
    """The server side as docs/clients.md has it. `down` is on its way to the client, `up` to the server."""

    def __init__(self) -> None:
        self.logs = {name: Log(name) for name in (INBOX, GROUP)}
        self.stored: dict[str, Frame] = {}
        self.received: dict[str, int] = {}
        self.down: deque[Frame] = deque()
        self.up: deque[Frame] = deque()
        self.fails = 0
        self._reads: dict[str, int] = {}  # by channel: how far the socket was sent it
        self._own: set[str] = set()

    def connect(self, *, resumes: bool) -> None:
        self.down.clear()
        self.up.clear()
        self._own.clear()
        head = self.logs[INBOX].head
        self._reads = {INBOX: head}
        welcome = {"type": "welcome", "user_id": ME, "device_id": "d", "heartbeat_s": 25, "max_frame_bytes": 65_536}
        self.down.append(welcome | {"inbox": {"epoch": "e", "seq": head}})
        if not resumes:
            if INBOX in self.received:
                self._begin(INBOX, self.received[INBOX], None)
            self._begin(GROUP, self.received.get(GROUP, self.logs[GROUP].head), None)
        else:  # a gateway that waits in vain for the `resume`, which is still on its way, begins groups at their end
            self._begin(GROUP, self.logs[GROUP].head, None)

    def _begin(self, channel: str, since: int, identifier: str | None) -> None:
        self._reads[channel] = since
        head = self.logs[channel].head
        answer = {"type": "subscribed", "channel": channel, "epoch": "e", "seq": head, "since": since, "id": identifier}
        self.down.append(answer | {"recovered": True})
        self.deliver()

    def deliver(self) -> None:
        for channel, since in self._reads.items():
            for frame in self.logs[channel].frames:
                if frame["seq"] > since:
                    self.down.append(self._ack(frame) if frame.get("dedup_id") in self._own else frame)
            self._reads[channel] = self.logs[channel].head

    def _ack(self, frame: Frame, **more: Any) -> Frame:
        kept = {name: frame[name] for name in ("message_id", "channel", "epoch", "seq", "sent_at", "dedup_id")}
        return {"type": "ack", "id": frame["dedup_id"], **kept, **more}

    def write(self, channel: str, skip: int) -> None:
        """Somebody else does."""
        self.logs[channel].add(skip, **{"from": "you"})
        self.deliver()

    def serve(self) -> None:
        """The next frame of the client."""
        frame = self.up.popleft()
        match frame["type"]:
            case "resume":
                for channel, place in frame["channels"].items():
                    self._begin(channel, place["seq"], frame["id"])
            case "subscribe":
                since = frame.get("since", {"seq": self.logs[frame["channel"]].head})
                self._begin(frame["channel"], since["seq"], frame["id"])
            case "received":
                sent = self._reads.get(frame["channel"], 0)
                told = max(self.received.get(frame["channel"], 0), min(frame["seq"], sent))
                self.received[frame["channel"]] = told
            case "send_message":
                self._store(frame)

    def _store(self, frame: Frame) -> None:
        if self.fails:
            self.fails -= 1
            answer = {"type": "error", "id": frame["id"], "code": "unavailable", "message": "", "retry_after_ms": 1}
            self.down.append(answer)
            return
        key = frame["dedup_id"]
        channel = frame.get("channel", INBOX)
        if key in self.stored:
            stored = self.stored[key]
            if stored["seq"] <= self._reads.get(channel, -1):
                self.down.append(self._ack(stored, duplicate=True))
            else:
                self._own.add(key)
            return
        self._own.add(key)
        more = {"from": ME, "dedup_id": key, "content": frame["content"]}
        self.stored[key] = self.logs[channel].add(0, **more)
        if channel not in self._reads:
            self.down.append(self._ack(self.stored[key]))
        self.deliver()


class Device:
    """The client's core with an application that writes down what it hears. Can be started again from what it saved."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.now = 0.0
        self.heard: list[Event] = []
        self.outcomes: dict[str, list[object]] = {}
        self.session = Session(LIMITS, Saved("d"), fresh=True)
        self._given: Item | None = None
        self.connect()

    def connect(self) -> None:
        self.session.cut()
        self.session.opened(self.now)
        self.platform.connect(resumes=self.session.channels.resumes)

    def restart(self) -> None:
        """A crash: what the application had not handled comes again, what it wanted to send is its own to know."""
        saved = Saved("d", ME, self.session.channels.cursors())
        self._given = None
        self.session = Session(LIMITS, saved)
        self.connect()

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            assert not isinstance(action, HangUp), action
            if isinstance(action, Write):
                self.platform.up.append(action.frame)
            elif action.key.startswith(SEND):
                assert isinstance(action.outcome, Sent | PushClientError)
                self.outcomes.setdefault(action.key, []).append(action.outcome)

    def send(self, key: str, target: Target) -> None:
        self.perform(self.session.send(Entry(key, target, {"content": key}, self.now + 1e9), self.now))

    def hear(self) -> None:
        """The next frame of the server, if the client still reads."""
        if self.platform.down and not self.session.mailbox.full:
            self.perform(self.session.on_frame(self.platform.down.popleft(), self.now))

    def handle(self) -> None:
        """The application is done with an event, and takes the next one."""
        if self._given is not None:
            handled(self._given)
            self.heard.append(self._given.event)
        self._given = self.session.mailbox.take() if self.session.mailbox else None

    def tick(self) -> None:
        self.now += 1.0
        self.perform(self.session.tick(self.now))

    def drain(self) -> None:
        """Until nothing is on its way any more."""
        self.platform.fails = 0
        for _ in range(1000):
            self.tick()
            while self.platform.up:
                self.platform.serve()
            for _ in range(10):
                self.hear()
                self.handle()
            if not (self.platform.up or self.platform.down or self.session.mailbox or len(self.session.outbox)):
                break
        self.handle()

    def messages(self, channel: str) -> list[int]:
        return [
            one.place.seq for one in self.heard if isinstance(one, Message) and one.channel == channel and one.place
        ]
