"""What a broadcast is, and each step of its way. Pure.

A broadcast goes through all devices once, a page at a time. Its **place** says how far it has come, and moves on when
all sends of a page are on the queue. Whoever comes after a crash begins at the place: a page is put there again under
the same ids. A user's devices have one message id, that of the user's **bucket** (`<broadcast>.<bucket>`), and the
claim of a send is for one message id, user and device: so it does not matter how pages are cut, how often one is read,
or by whom; no device is sent to twice.
"""

from __future__ import annotations

import hashlib
import zlib
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from push_workloads.common.errors import BadRequest
from push_workloads.common.ids import message_id_of, uuid7
from push_workloads.common.outgoing import DedupId
from push_workloads.common.push_jobs import PushJob
from push_workloads.common.subjects import BadId, token
from push_workloads.common.tokens import SERVICE
from push_workloads.push import requests
from push_workloads.push.broadcast import segments
from push_workloads.push.broadcast.segments import Segment
from push_workloads.push.devices import Device
from push_workloads.push.preferences import Preferences, is_muted, quiet_until
from push_workloads.push.requests import DEFAULT_TEMPLATE, Shown

BUCKETS: Final = 256  # partitions of the delivery records: 10 million devices are 40,000 in each
DEFAULT_PER_SECOND: Final = 500
MAX_PER_SECOND: Final = 10_000
TTL_S: Final = 86_400  # where none is asked for
LEAST_TTL_S: Final = 10  # "now or never": now takes a while
TARGET: Final = "broadcast"  # beside SERVICE and the dedup_id, what a broadcast id is made of
GRACE_MS: Final = 3_600_000  # after a broadcast's worth is over, for what is still to be recorded of it

Topic = Annotated[str, Meta(min_length=1, max_length=128)]


class NewBroadcast(Shown, kw_only=True):
    """To a `segment`, of which `{}` is all devices, or to those who follow a `topic`. `send_at`: Unix milliseconds."""

    segment: Segment | None = None
    topic: Topic | None = None
    send_at: int | None = None
    per_second: Annotated[int, Meta(ge=1, le=MAX_PER_SECOND)] = DEFAULT_PER_SECOND
    dedup_id: DedupId | None = None


class Stage(StrEnum):
    """SENDING: all of it is on the queue."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    SENDING = "sending"
    DONE = "done"
    STOPPED = "stopped"


class Ends(Struct, frozen=True):
    """How many devices came to which end."""

    sent: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def all(self) -> int:
        return self.sent + self.failed + self.cancelled


class Broadcast(NamedTuple):
    """`order`: what was asked, as JSON. `version` grows with each change; `changed_at`: of the stage or the place.
    `place` None: at the first page, or behind the last. `seen`: devices that were looked at; `queued`: those of them
    that it is for. `ends`: counted for good."""

    broadcast_id: str
    version: int
    digest: bytes
    order: bytes
    created_at: int
    stage: Stage
    changed_at: int
    started_at: int | None = None
    place: str | None = None
    seen: int = 0
    queued: int = 0
    ends: Ends | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do about it."""
        return self.ends is None


class Going(NamedTuple):
    """The send goes now, or at `at` (Unix milliseconds): when quiet hours end."""

    at: int | None = None


class NotGoing(NamedTuple):
    reason: str


def check(asked: NewBroadcast, now_ms: int) -> None:
    """Raises BadRequest that names the field."""
    requests.check(asked)
    requests.check_time(asked.send_at, now_ms)
    if (asked.segment is None) == (asked.topic is None):
        raise BadRequest("one of the fields `segment` and `topic` is required; the segment {} is all devices")
    if asked.segment is not None:
        segments.check(asked.segment)
    if asked.topic is not None:
        checked_topic(asked.topic)


def checked_topic(name: str) -> str:
    """Raises BadRequest."""
    try:
        token(name)
    except BadId as error:
        raise BadRequest(f"topic: {error}") from error
    return name


def broadcast_of(asked: NewBroadcast, now_ms: int, entropy: bytes) -> Broadcast:
    """`entropy`: 10 random bytes or more."""
    dedup_id = asked.dedup_id
    broadcast_id = uuid7(now_ms, entropy) if dedup_id is None else message_id_of(SERVICE, TARGET, dedup_id)
    order = msgspec.json.encode(asked, order="sorted")
    later = asked.send_at is not None and asked.send_at > now_ms
    stage = Stage.SCHEDULED if later else Stage.RUNNING
    digest = hashlib.blake2b(order, digest_size=16).digest()
    return Broadcast(broadcast_id, 1, digest, order, now_ms, stage, now_ms)


def order_of(broadcast: Broadcast) -> NewBroadcast:
    return _decode(broadcast.order)


_decode: Final = msgspec.json.Decoder(NewBroadcast).decode


def begins_at(broadcast: Broadcast, asked: NewBroadcast) -> int:
    return max(broadcast.created_at, asked.send_at or 0)


def expires_ms(broadcast: Broadcast, asked: NewBroadcast) -> int:
    """Nobody is told after that; Unix milliseconds."""
    ttl_s = TTL_S if asked.ttl_s is None else max(asked.ttl_s, LEAST_TTL_S)
    return begins_at(broadcast, asked) + ttl_s * 1000


def message_id(broadcast_id: str, user_id: str) -> str:
    """Of all sends to this user."""
    return f"{broadcast_id}.{zlib.crc32(user_id.encode()) % BUCKETS}"


def message_ids(broadcast_id: str) -> list[str]:
    return [f"{broadcast_id}.{bucket}" for bucket in range(BUCKETS)]


def job_for(broadcast: Broadcast, asked: NewBroadcast, user_id: str) -> PushJob:
    """What is rendered for each device of the user."""
    made, at = message_id(broadcast.broadcast_id, user_id), begins_at(broadcast, asked)
    hint, kind = requests.hint_of(asked), asked.template or DEFAULT_TEMPLATE
    if hint.ttl_s is None:
        hint = msgspec.structs.replace(hint, ttl_s=TTL_S)
    return PushJob(made, user_id, made, "", 0, SERVICE, at, hint=hint, kind=kind)


def decided(
    asked: NewBroadcast, device: Device, preferences: Preferences, expires: int, now_ms: int
) -> Going | NotGoing:
    """What takes calls alone gets no broadcasts, nor does who mutes `*`. In quiet hours that hold, it is held to their
    end, if it is still worth telling then; in silent ones it does not go: there is no badge that it could change, and
    it would be no news later."""
    if device.calls_only:
        return NotGoing("calls_only")
    if is_muted(preferences, "", now_ms):
        return NotGoing("muted")
    until = None if asked.silent else quiet_until(preferences.quiet, device.time_zone, now_ms)
    if until is None:
        return Going()
    holds = preferences.quiet is not None and preferences.quiet.mode == "hold"
    return Going(until) if holds and until <= expires else NotGoing("quiet")


def moved(broadcast: Broadcast, place: str | None, seen: int, queued: int, now_ms: int) -> Broadcast:
    """After a page; `place` None: it was the last."""
    stage = Stage.RUNNING if place is not None else Stage.SENDING
    return broadcast._replace(
        stage=stage,
        place=place,
        seen=broadcast.seen + seen,
        queued=broadcast.queued + queued,
        started_at=broadcast.started_at or now_ms,
        changed_at=now_ms,
    )


def ended(broadcast: Broadcast, ends: Ends, expires: int, now_ms: int) -> Broadcast | None:
    """With its ends for good; None while there are others to come. Of a stopped one nothing that has no end yet is sent
    any more."""
    if broadcast.stage is Stage.STOPPED:
        settled = now_ms >= broadcast.changed_at + STOP_MS
        return broadcast._replace(ends=stopped_ends(broadcast, ends)) if settled else None
    if broadcast.stage is Stage.SENDING and (ends.all >= broadcast.queued or now_ms > expires + GRACE_MS):
        return broadcast._replace(stage=Stage.DONE, ends=ends, changed_at=now_ms)
    return None


STOP_MS: Final = 60_000  # so long what was being sent at the stop may take to be recorded


def stopped_ends(broadcast: Broadcast, ends: Ends) -> Ends:
    return Ends(ends.sent, ends.failed, max(ends.cancelled, broadcast.queued - ends.sent - ends.failed))


class Rate(NamedTuple):
    """`per_second`: devices that came to an end, since it began. `eta_s`: until all have, None while nobody knows how
    many there are."""

    per_second: float
    eta_s: float | None


def rate_of(broadcast: Broadcast, ends: Ends, now_ms: int) -> Rate:
    until = now_ms if broadcast.is_open else broadcast.changed_at
    seconds = max(until - (broadcast.started_at or until), 1) / 1000
    per_second = ends.all / seconds if ends.all else 0.0
    left = broadcast.queued - ends.all
    known = broadcast.stage is Stage.SENDING and per_second > 0
    return Rate(round(per_second, 1), round(max(left, 0) / per_second, 1) if known else None)


def paced(next_at: float, now: float, count: int, per_second: float) -> tuple[float, float]:
    """How many seconds to wait before so many go, and when the next ones may. What was missed is not made up for."""
    begins = max(next_at, now)
    return begins - now, begins + count / per_second
