"""The log as the gateway uses it: lean publishes whose answers come to one callback, and reads from the leader.

Publishes never wait and are never buffered over a reconnect. Reads go to the stream's leader (`STREAM.MSG.GET`): a
follower can be behind right after an ack.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct
from nats.errors import Error as NatsError

from push_workloads.common.bus import REQUEST_SECONDS, DirectClient, header_text
from push_workloads.common.errors import Unavailable
from push_workloads.common.sending import (
    AWAY,
    IN_PROCESS,
    LOG_FULL,
    MAX_TRIES,
    NOT_NOW,
    RETRY_IN_PROCESS_SECONDS,
    Publish,
    Stored,
    headers,
)
from push_workloads.common.subjects import log_subject, shard_of, stream_name

UNANSWERED_SECONDS: Final = 31.0  # beyond the session's own limit: then nobody waits any more
MSG_ID: Final = b"\r\nNats-Msg-Id: "
_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """The log's word on one publish. `failure` None: stored under `seq`, `duplicate` when it was there before."""

    seq: int
    duplicate: bool
    failure: str | None


class Entry(NamedTuple):
    """One message of the log."""

    seq: int
    message_id: str
    payload: bytes


OnAnswer = Callable[[Answer], None]


class _Waiting(Struct, gc=False):
    publication: Publish
    on_answer: OnAnswer
    since: float
    tries: int
    connection: int  # which one it was first sent on


class _Fault(Struct):
    code: int = 0
    err_code: int = 0


class _PubAck(Struct):
    seq: int = 0
    duplicate: bool = False
    error: _Fault | None = None


class _Message(Struct):
    seq: int
    data: bytes = b""
    hdrs: bytes = b""


class _Got(Struct):
    message: _Message | None = None
    error: _Fault | None = None


class _Config(Struct):
    metadata: dict[str, str] = {}


class _Info(Struct):
    config: _Config | None = None
    error: _Fault | None = None


_decode_ack = msgspec.json.Decoder(_PubAck).decode
_decode_got = msgspec.json.Decoder(_Got).decode
_decode_info = msgspec.json.Decoder(_Info).decode


class Log:
    """One gateway's way to the streams. Answers to publishes come back on subjects that are this process's alone."""

    def __init__(self, client: DirectClient, shards: int, instance: str) -> None:
        self._client = client
        self._shards = shards
        self._reply_prefix = f"_INBOX_gateway.{instance}."
        self._there = False  # the stream has answered since the connection stands
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0
        self._connection = 0

    def waiting(self) -> str | None:
        """A readiness check."""
        return None if self._there else "waiting for the log"

    def open(self) -> None:
        """Begins to listen for answers; survives reconnects."""
        self._client.watch(self._reply_prefix + "*")

    def publish(self, publication: Publish, on_answer: OnAnswer) -> None:
        """Sends one copy; `on_answer` is called once, later, or never when the answer is lost (the session's tick
        gives up then)."""
        self._attempt(_Waiting(publication, on_answer, asyncio.get_running_loop().time(), 0, self._connection))

    def _attempt(self, waiting: _Waiting) -> None:
        if waiting.connection != self._connection:
            return  # its sender was told `unavailable` when the connection went
        publication = waiting.publication
        self._number += 1
        reply = f"{self._reply_prefix}{self._number}"
        subject = log_subject(publication.subject, self._shards)
        if not self._client.send(subject, reply, _headers(publication), publication.payload):
            call = asyncio.get_running_loop().call_soon
            call(waiting.on_answer, Answer(0, False, AWAY))
            return
        waiting.tries += 1
        self._waiting[self._number] = waiting

    def answered(self, subject: bytes, payload: bytes) -> None:
        """An answer to a publish arrived."""
        waiting = self._waiting.pop(int(subject[len(self._reply_prefix) :]), None)
        if waiting is None:
            return
        try:
            ack = _decode_ack(payload) if payload else _PubAck(error=_Fault(code=503))
        except msgspec.DecodeError:
            ack = _PubAck(error=_Fault())
        if ack.error is None:
            waiting.on_answer(Answer(ack.seq, ack.duplicate, None))
        elif ack.error.err_code == IN_PROCESS and waiting.tries < MAX_TRIES:
            pause = RETRY_IN_PROCESS_SECONDS * waiting.tries * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries
            asyncio.get_running_loop().call_later(pause, self._attempt, waiting)
        else:
            if ack.error.err_code not in (IN_PROCESS, LOG_FULL):
                _log.warning(
                    "the log refused a message", extra={"code": ack.error.code, "err_code": ack.error.err_code}
                )
            waiting.on_answer(Answer(0, False, NOT_NOW))

    def lost(self) -> None:
        """After a lost connection no answer comes any more, and nothing that waits may go out later."""
        self._there = False
        self._connection += 1
        self._client.drop_unsent()
        self._waiting.clear()

    def sweep(self) -> None:
        """Drops what was never answered; called once a second. The oldest stand first."""
        limit = asyncio.get_running_loop().time() - UNANSWERED_SECONDS
        for number, waiting in tuple(self._waiting.items()):
            if waiting.since > limit:
                break
            del self._waiting[number]

    @property
    def unanswered(self) -> int:
        return len(self._waiting)

    async def head(self, channel: str) -> int:
        """The seq of the last message of a channel, 0 when it has none. Raises Unavailable."""
        entry = await self._get(channel, {"last_by_subj": log_subject(channel, self._shards)})
        return entry.seq if entry else 0

    async def following(self, channel: str, seq: int) -> Entry | None:
        """The first message of a channel after `seq`, None when there is none. Raises Unavailable."""
        return await self._get(channel, {"seq": seq + 1, "next_by_subj": log_subject(channel, self._shards)})

    async def stored(self, channel: str, seq: int) -> Stored | None:
        """What is stored under `seq`, None when it is gone. Raises Unavailable."""
        entry = await self._get(channel, {"seq": seq})
        return msgspec.json.decode(entry.payload, type=Stored) if entry is not None else None

    async def epoch(self) -> str | None:
        """The epoch of the log, None while there is no log yet. Raises Unavailable."""
        raw = await self._request(f"$JS.API.STREAM.INFO.{stream_name(0)}", b"")
        info = _decode_info(raw)
        epoch = info.config.metadata.get("epoch") if info.config is not None else None
        self._there = epoch is not None
        return epoch

    async def _get(self, channel: str, question: dict[str, object]) -> Entry | None:
        stream = stream_name(shard_of(channel, self._shards))
        got = _decode_got(await self._request(f"$JS.API.STREAM.MSG.GET.{stream}", msgspec.json.encode(question)))
        if got.message is not None:
            message_id = header_text(got.message.hdrs, MSG_ID).partition(":")[0]
            return Entry(got.message.seq, message_id, got.message.data)
        if got.error is not None and got.error.code == 404:
            return None
        raise Unavailable("the log does not answer", retry_after_ms=1000)

    async def _request(self, subject: str, body: bytes) -> bytes:
        try:
            return (await self._client.request(subject, body, timeout=REQUEST_SECONDS)).data
        except (NatsError, TimeoutError) as error:
            raise Unavailable("the log does not answer", retry_after_ms=1000) from error


def _headers(publication: Publish) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers(publication).items())
    return f"NATS/1.0\r\n{fields}\r\n".encode()
