"""What the push service puts into its queue: at once, or at a time. The port, on JetStream, and its twin in memory.

A timer is a NATS schedule: an entry on `push.timer.<id>` that the server moves to its target at its time. It outlives
both of us, and costs no memory here.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error as NatsError

from push_workloads.common.errors import Unavailable
from push_workloads.push import sends
from push_workloads.push.sends import Send

PUBLISH_SECONDS: Final = 5.0
_TIMER: Final = "push.timer."


class Queue(Protocol):
    """Each returns when the queue has it, and may raise Unavailable. `entry_id`: putting the same one again, within two
    minutes, changes nothing."""

    async def put(self, subject: str, payload: bytes, entry_id: str) -> None: ...

    async def put_at(self, at_ms: int, subject: str, payload: bytes, entry_id: str) -> None:
        """To be there at `at_ms`, Unix milliseconds; at once when that is over."""


class JetStreamQueue:
    def __init__(self, client: Client) -> None:
        self._js = client.jetstream(timeout=PUBLISH_SECONDS)

    async def put(self, subject: str, payload: bytes, entry_id: str) -> None:
        await self._publish(subject, payload, {"Nats-Msg-Id": entry_id})

    async def put_at(self, at_ms: int, subject: str, payload: bytes, entry_id: str) -> None:
        headers = {"Nats-Msg-Id": entry_id, "Nats-Schedule": f"@at {_rfc3339(at_ms)}", "Nats-Schedule-Target": subject}
        await self._publish(_TIMER + timer_id(entry_id), payload, headers)

    async def _publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        try:
            await self._js.publish(subject, payload, headers=headers)
        except (NatsError, OSError, TimeoutError) as error:
            raise Unavailable("the push queue is not available now", retry_after_ms=1000) from error


async def put_send(queue: Queue, send: Send) -> None:
    """Into the queue of its platform."""
    await queue.put(sends.subject(send), sends.encode(send), sends.send_id(send))


async def put_send_at(queue: Queue, at_ms: int, send: Send, now_ms: int) -> None:
    """The same at that time, Unix milliseconds; since it waits, it is looked at again then.

    `now_ms` is part of its id: what waits a second time is another entry, even until the same time, as when a clock
    that is behind the server's finds the quiet hours not over yet.
    """
    waits = replace(send, decided_at=0)
    await queue.put_at(at_ms, sends.subject(send), sends.encode(waits), f"{sends.send_id(send)}:{at_ms}:{now_ms}")


def timer_id(entry_id: str) -> str:
    """One subject token of bounded length for whatever the entry is called."""
    return hashlib.blake2b(entry_id.encode(), digest_size=16).hexdigest()


def _rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Put(NamedTuple):
    """`at_ms` None: at once."""

    subject: str
    payload: bytes
    entry_id: str
    at_ms: int | None = None


class MemoryQueue:
    """For tests: keeps what was put, by its id."""

    def __init__(self) -> None:
        self.entries: dict[str, Put] = {}

    async def put(self, subject: str, payload: bytes, entry_id: str) -> None:
        self.entries.setdefault(entry_id, Put(subject, payload, entry_id))

    async def put_at(self, at_ms: int, subject: str, payload: bytes, entry_id: str) -> None:
        self.entries.setdefault(entry_id, Put(subject, payload, entry_id, at_ms))
