"""What the pipeline puts into the push queue: at once, or at a time.

A timer is a NATS schedule: an entry on `push.timer.<id>` that the server moves to its target at its time. It outlives
both of us, and costs no memory here.
"""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from push_workloads.push import sends
from push_workloads.push.outbox import Entry, Outbox, timer
from push_workloads.push.sends import Send


class Queue:
    """Each returns when the queue has it, and may raise Unavailable. `entry_id`: putting the same one again, within two
    minutes, changes nothing."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def put(self, subject: str, payload: bytes, entry_id: str) -> None:
        await self._outbox.put([Entry(subject, payload, entry_id)])

    async def put_at(self, at_ms: int, subject: str, payload: bytes, entry_id: str) -> None:
        """To be there at `at_ms`, Unix milliseconds; at once when that is over."""
        await self._outbox.put([Entry(subject, payload, entry_id, at_ms, timer(timer_id(entry_id)))])


async def put_send(queue: Queue, send: Send) -> None:
    """Into the queue of its platform."""
    await queue.put(sends.subject(send), sends.encode(send), sends.send_id(send))


async def put_send_at(queue: Queue, at_ms: int, send: Send, now_ms: int) -> None:
    """The same at that time, Unix milliseconds; since it waits, it is looked at again then.

    `now_ms` is part of its id: what waits a second time is another entry, even until the same time, as when a clock
    that is behind the server's finds the quiet hours not over yet.
    """
    waits = replace(send, decided_at=0, rechecked=True)
    await queue.put_at(at_ms, sends.subject(send), sends.encode(waits), f"{sends.send_id(send)}:{at_ms}:{now_ms}")


def timer_id(entry_id: str) -> str:
    """One subject token of bounded length for whatever the entry is called."""
    return hashlib.blake2b(entry_id.encode(), digest_size=16).hexdigest()
