"""The way of a message through gateways, for those that are traced: from its frame to its ack, each copy into the log,
each arrival from there at the sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from push_workloads.common.bus import header_text
from push_workloads.common.sending import AWAY, SEND_SECONDS, Publish
from push_workloads.common.tracing import RAW_HEADER, Kind, Span, Tracer, TracingConfig
from push_workloads.gateway.hub import SUBJECT_AT, Hub

MAX_OPEN: Final = 1000
UNANSWERED: Final = "not acknowledged"
_NS_IN_MS: Final = 1_000_000
Deliver = Callable[[bytes, bytes, bytes], None]


@dataclass(slots=True)
class _Way:
    """A message between its frame and the answers of the log. `root` None: it is acknowledged."""

    root: Span | None
    since: float
    copies: dict[str, Span] = field(default_factory=dict)

    def end(self, failure: str | None) -> None:
        for span in (*self.copies.values(), *((self.root,) if self.root is not None else ())):
            span.end(failure)


class Traces:
    def __init__(self, tracer: Tracer, config: TracingConfig) -> None:
        self._tracer, self._config = tracer, config
        self._ways: dict[str, _Way] = {}  # the oldest stand first

    def publishing(self, publication: Publish, now: float) -> None:
        """A copy goes into the log, and takes the context along. `now` is monotonic."""
        way = self._ways.get(publication.message_id)
        if way is None and self._config.takes(publication.message_id):
            way = self._open(publication, now)
        if way is not None and way.root is not None:
            about = _about(publication.message_id, publication.subject)
            span = self._tracer.begin("log publish", Kind.PRODUCER, way.root.traceparent, attributes=about)
            way.copies[publication.subject] = span
            publication.traceparent = span.traceparent

    def answered(self, publication: Publish, failure: str | None) -> None:
        """The log's word on a copy; without one the message is given up."""
        way = self._ways.get(publication.message_id)
        span = way.copies.pop(publication.subject, None) if way is not None else None
        if way is None or span is None:
            return
        span.end(failure)
        if failure is not None:
            self._give_up(publication.message_id, failure)
        elif way.root is None and not way.copies:
            del self._ways[publication.message_id]

    def acknowledged(self, message_id: str) -> None:
        """Its sender was told. The log's answer may come after that: the ack stands in the message's own place."""
        way = self._ways.get(message_id)
        if way is None or way.root is None:
            return
        way.root.end()
        way.root = None
        if not way.copies:
            del self._ways[message_id]

    def bus_lost(self) -> None:
        """No answer comes any more."""
        for message_id in tuple(self._ways):
            self._give_up(message_id, AWAY)

    def sweep(self, now: float) -> None:
        """Ends what nobody answers any more; called once a second."""
        for message_id, way in tuple(self._ways.items()):
            if now - way.since < SEND_SECONDS:
                return
            self._give_up(message_id, UNANSWERED)

    def delivering(self, hub: Hub) -> Deliver:
        """The hub's `arrived`, with a span around it for what is traced."""

        def arrived(subject: bytes, payload: bytes, headers: bytes) -> None:
            parent = header_text(headers, RAW_HEADER)
            if not parent:
                hub.arrived(subject, payload, headers)
                return
            channel = subject[SUBJECT_AT:].decode()
            began, before = time.time_ns(), hub.delivered
            readers = len(hub.members(channel))
            hub.arrived(subject, payload, headers)
            # `held`: it waits behind a gap, which is read from the log first; or it was a repeat.
            about = {"push.sockets": readers, "push.held": int(hub.delivered == before)}
            self._tracer.begin("deliver", Kind.CONSUMER, parent, start_ns=began, attributes=about).end()

        return arrived

    def _open(self, publication: Publish, now: float) -> _Way:
        if len(self._ways) >= MAX_OPEN:
            self._give_up(next(iter(self._ways)), UNANSWERED)
        about = _about(publication.message_id, publication.subject)
        root = self._tracer.begin("send", Kind.SERVER, None, start_ns=_came(publication.payload), attributes=about)
        way = self._ways[publication.message_id] = _Way(root, now)
        return way

    def _give_up(self, message_id: str, failure: str) -> None:
        way = self._ways.pop(message_id)
        way.end(failure)


def _about(message_id: str, subject: str) -> dict[str, str | int]:
    """Of the channel only its kind: who writes to whom is nobody's business."""
    return {"messaging.system": "nats", "messaging.message.id": message_id, "push.channel": subject[:1]}


def _came(payload: bytes) -> int:
    """When its frame came, in Unix nanoseconds: `sent_at`, 13 digits at the end of every message of ours."""
    return int(payload[-14:-1]) * _NS_IN_MS
