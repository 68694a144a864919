"""The sends that have no answer yet, in the order of sending, each under its idempotency key. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from push_client.errors import PushClientError, Refused, Unconfirmed
from push_client.events import Frame, Sent, Target

DEDUP_SECONDS: Final = 110.0  # the log knows a dedup_id for 2 minutes; later the server has to ask the history
ANSWER_SECONDS: Final = 35.0  # the server gives a send up after 30 s, and says so
AGAIN: Final = frozenset({"rate_limited", "unavailable"})
DEFAULT_RETRY_MS: Final = 1000
Outcome = Sent | PushClientError


def encoded(frame: Frame) -> str:
    """As it goes over the wire. Raises TypeError or ValueError for what is no JSON value."""
    return json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Entry:
    """`wired_at`: when it was written last; `first_at`: when it was written first. All times are monotonic seconds."""

    __slots__ = ("deadline", "first_at", "frame", "key", "not_before", "size", "target", "wired_at")

    def __init__(self, key: str, target: Target, fields: Frame, deadline: float) -> None:
        self.key = key
        self.target = target
        self.frame: Frame = {"type": "send_message", "id": key, "dedup_id": key, **target.fields, **fields}
        self.size = len(encoded(self.frame).encode())
        self.deadline = deadline
        self.first_at: float | None = None
        self.wired_at = 0.0
        self.not_before = float("-inf")

    def wire(self, now: float) -> Frame:
        """The frame as it is written now."""
        self.wired_at = now
        self.first_at = now if self.first_at is None else self.first_at
        return self.frame if now - self.first_at < DEDUP_SECONDS else self.frame | {"retry": True}

    def sent(self, answer: dict[str, Any]) -> Sent:
        return Sent(answer["message_id"], self.target, answer["sent_at"], bool(answer.get("duplicate")))


class Outbox:
    """At most `window` of them wait for their ack on the wire; the others are idle."""

    def __init__(self, window: int) -> None:
        self._entries: dict[str, Entry] = {}
        self._idle: dict[str, Entry] = {}
        self._wired: dict[str, Entry] = {}
        self._window = window
        self._not_before = float("-inf")
        self.max_bytes: int | None = None  # of a frame, from the welcome

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        self._entries[entry.key] = self._idle[entry.key] = entry

    def lost(self) -> None:
        """The connection is gone: whatever was written on it may have arrived or not."""
        self._put_back(self._wired)
        self._not_before = float("-inf")

    def settle(self, key: str | None, answer: dict[str, Any]) -> Sent | None:
        """An ack, or the message itself on its channel; None when nobody waits for it any more."""
        entry = self._remove(key or "")
        return entry.sent(answer) if entry is not None else None

    def drop(self, key: str) -> None:
        """The application wants to hear of it no more."""
        self._remove(key)

    def refuse(self, frame: Frame, now: float) -> tuple[str, Refused] | None:
        """An error. One that passes puts its send off, and one that says to slow down all of them; another one is the
        send's end. An error without `id` may be about any that is unanswered."""
        entry = self._entries.get(frame.get("id") or "")
        if frame["code"] not in AGAIN:
            if entry is None:
                return None
            self._remove(entry.key)
            return entry.key, Refused(frame["code"], frame["message"], frame.get("channel"))
        until = now + (frame.get("retry_after_ms") or DEFAULT_RETRY_MS) / 1000
        unanswered = {entry.key: entry} if entry is not None else {} if frame.get("id") else dict(self._wired)
        for one in unanswered.values():
            one.not_before = until
        self._put_back(unanswered)
        if frame["code"] == "rate_limited":
            self._not_before = max(self._not_before, until)
        return None

    def due(self, now: float) -> Iterable[Frame]:
        """What to write now, in the order of sending but for those that were put off."""
        if now < self._not_before or not self._idle:
            return
        for entry in tuple(islice(self._idle.values(), self._window - len(self._wired))):
            if now < entry.not_before:
                continue
            del self._idle[entry.key]
            self._wired[entry.key] = entry
            yield entry.wire(now)

    def ended(self, now: float) -> list[tuple[str, PushClientError]]:
        """Those that are over their time or their size. One that nobody answered is written again."""
        self._put_back({key: one for key, one in self._wired.items() if now - one.wired_at >= ANSWER_SECONDS})
        over: list[tuple[str, PushClientError]] = []
        for entry in self._entries.values():
            if now >= entry.deadline:
                over.append((entry.key, Unconfirmed(sent=entry.first_at is not None)))
            elif self.max_bytes is not None and entry.size > self.max_bytes:
                over.append((entry.key, Refused("too_large", f"a frame has at most {self.max_bytes} bytes")))
        for key, _ in over:
            self._remove(key)
        return over

    def fail_all(self, why: PushClientError) -> list[tuple[str, PushClientError]]:
        failed = [(key, why) for key in self._entries]
        for key, _ in failed:
            self._remove(key)
        return failed

    def _put_back(self, entries: dict[str, Entry]) -> None:
        if not entries:
            return
        self._wired = {key: one for key, one in self._wired.items() if key not in entries}
        self._idle = {key: one for key, one in self._entries.items() if key not in self._wired}

    def _remove(self, key: str) -> Entry | None:
        self._idle.pop(key, None)
        self._wired.pop(key, None)
        return self._entries.pop(key, None)
