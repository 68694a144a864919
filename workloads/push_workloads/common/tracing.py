"""Where a message has been, in spans (OpenTelemetry); for a share of the messages, when it is asked for.

The context travels as the header `traceparent` of the log's messages (W3C Trace Context, version 00). What has that
header is traced by everybody who touches it. Pure: who sends the spans is in `collector.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Protocol
from zlib import crc32

from push_workloads.common.config import Env

HEADER: Final = "traceparent"
RAW_HEADER: Final = b"\r\ntraceparent: "
_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_ALL: Final = 2**32  # checksums


class Kind(IntEnum):
    """Who asked for it: a client; this process itself, by sending on; whoever sent it. Numbers are OTLP's."""

    SERVER = 2
    PRODUCER = 4
    CONSUMER = 5


class Parent(NamedTuple):
    """A trace and a span of it, in hex."""

    trace: str
    span: str


class Span(Protocol):
    """A piece of the way."""

    @property
    def traceparent(self) -> str:
        """The header for whatever comes of it."""

    def end(self, failure: str | None = None) -> None:
        """Once. `failure`: in words, why it came to nothing."""


class Tracer(Protocol):
    def begin(
        self, name: str, kind: Kind, parent: str | None, *, start_ns: int | None = None,
        attributes: Mapping[str, str | int] | None = None,
    ) -> Span:  # fmt: skip
        """`start_ns`: in Unix nanoseconds, now unless given. A parent that cannot be read is none."""


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """`endpoint`: of a collector that takes OTLP over HTTP; None: off. `ratio`: the share of messages, 0 to 1."""

    endpoint: str | None = None
    ratio: float = 0.0

    @classmethod
    def read(cls, env: Env) -> TracingConfig:
        if env.optional("TRACING_ENDPOINT") is None:
            return cls()
        endpoint = env.url("TRACING_ENDPOINT", ("http", "https"))
        return cls(endpoint.rstrip("/"), env.number("TRACING_RATIO", 0.01, 0, 1))

    def takes(self, message_id: str) -> bool:
        """Is this message among those that are traced? Always the same answer for the same one."""
        return crc32(message_id.encode()) < self.ratio * _ALL


def parent_of(header: str | None) -> Parent | None:
    """The trace and the span that a header names; None for none, and for what is none."""
    found = _PARENT.fullmatch(header or "")
    return Parent(found[1], found[2]) if found is not None else None
