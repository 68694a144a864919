"""The streams: this service alone makes and changes them.

The **epoch** says which log a seq belongs to. It is random, set by whoever creates the stream, stands in the stream's
metadata and is sent again in every update. When the log is found to be shorter than what history has of it (its disk
was lost or restored), it gets a new epoch before anything else happens, and clients are told. That one follows from the
old one, so that replicas that find it out at the same time all come to the same.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from typing import Any, Final

from push_workloads.common import push_jobs
from push_workloads.common.bus import Bus
from push_workloads.common.errors import Unavailable
from push_workloads.common.subjects import stream_name
from push_workloads.message.config import MessageConfig
from push_workloads.message.store import HistoryStore

DEDUP_WINDOW_SECONDS: Final = 120
PUSH_MAX_AGE_DAYS: Final = 32  # what is to be sent in a month waits here; how long each is worth it, the job says
DEAD_MAX_AGE_DAYS: Final = 30
# Of what the log may hold. The log has four fifths of the broker's disk, so these are 8 and 2 % of the disk, and a
# tenth of it is left for the broker's own files.
PUSH_PART: Final = 10
DEAD_PART: Final = 40
_EPOCH_BYTES: Final = 6
_NANOSECONDS: Final = 1_000_000_000
_log = logging.getLogger(__name__)


async def ensure_log(bus: Bus, store: HistoryStore, config: MessageConfig, shard: int) -> str:
    """Makes or updates the log of one shard; returns its epoch. Raises Unavailable."""
    wanted = log_stream(config, shard)
    made = await _made_or_found(bus, {**wanted, "metadata": {"epoch": _new_epoch()}})
    epoch = made["config"].get("metadata", {}).get("epoch") or _new_epoch()
    while (held := await store.log_state(shard, epoch)) is not None:
        # Asked after history: what is written and read meanwhile must not make the log look short.
        if await _last_seq(bus, wanted["name"]) >= held.seq:
            break
        epoch = _successor(epoch)
        _log.warning("the log is shorter than its history: a new epoch", extra={"shard": shard, "history": held.seq})
    _check(await _call(bus, "UPDATE", {**wanted, "metadata": {"epoch": epoch}}))
    return epoch


async def ensure_push_queue(bus: Bus, config: MessageConfig) -> None:
    """Makes or updates the queue of push jobs, and where what could not be handled is kept. Raises Unavailable."""
    for wanted in (push_stream(config), dead_stream(config)):
        await _made_or_found(bus, wanted)
        _check(await _call(bus, "UPDATE", wanted))


def log_stream(config: MessageConfig, shard: int) -> dict[str, Any]:
    """No limit per channel: one would drop messages that history has not read yet. Full means refused, not dropped."""
    source = f"log.{shard}.>"
    return {
        "name": stream_name(shard),
        "subjects": [source],
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_age": config.log_max_age_hours * 3600 * _NANOSECONDS,
        "max_bytes": config.log_max_bytes // config.nats.shards,
        "duplicate_window": DEDUP_WINDOW_SECONDS * _NANOSECONDS,
        "num_replicas": config.log_replicas,
        "republish": {"src": source, "dest": "dlv.>"},
        "allow_direct": True,
    }


def push_stream(config: MessageConfig) -> dict[str, Any]:
    """What a full queue has no room for is not worth a stop: the oldest goes."""
    return {
        "name": push_jobs.STREAM,
        "subjects": [*push_jobs.SUBJECTS],
        "retention": "workqueue",
        "storage": "file",
        "discard": "old",
        "max_age": PUSH_MAX_AGE_DAYS * 86_400 * _NANOSECONDS,
        "max_bytes": config.log_max_bytes // PUSH_PART,
        "duplicate_window": DEDUP_WINDOW_SECONDS * _NANOSECONDS,
        "num_replicas": config.log_replicas,
        "allow_msg_schedules": True,
    }


def dead_stream(config: MessageConfig) -> dict[str, Any]:
    return {
        "name": push_jobs.DEAD_STREAM,
        "subjects": [*push_jobs.DEAD_SUBJECTS],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": DEAD_MAX_AGE_DAYS * 86_400 * _NANOSECONDS,
        "max_bytes": config.log_max_bytes // DEAD_PART,
        "duplicate_window": DEDUP_WINDOW_SECONDS * _NANOSECONDS,
        "num_replicas": config.log_replicas,
        "allow_direct": True,
    }


async def _last_seq(bus: Bus, stream: str) -> int:
    found = await bus.ask(f"$JS.API.STREAM.INFO.{stream}")
    _check(found)
    return int(found["state"]["last_seq"])


async def _made_or_found(bus: Bus, wanted: dict[str, Any]) -> dict[str, Any]:
    """The stream as it is now. A refusal to make it counts only when it is not there: while the log holds its part of
    the disk, the server answers a second CREATE of it with "insufficient storage", not with "exists"."""
    created = await _call(bus, "CREATE", wanted)
    if "error" not in created:
        return created
    found = await bus.ask(f"$JS.API.STREAM.INFO.{wanted['name']}")
    _check(created if "error" in found else found)
    return found


async def _call(bus: Bus, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    return await bus.ask(f"$JS.API.STREAM.{verb}.{body['name']}", body, timeout=10)


def _check(answer: dict[str, Any]) -> None:
    error = answer.get("error")
    if error:
        raise Unavailable(f"a stream cannot be made: {error.get('description')}", retry_after_ms=1000)


def _new_epoch() -> str:
    return secrets.token_hex(_EPOCH_BYTES)


def _successor(epoch: str) -> str:
    return hashlib.blake2b(epoch.encode(), digest_size=_EPOCH_BYTES).hexdigest()
