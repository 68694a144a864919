"""The log as the gateway uses it: lean publishes whose answers come to one callback, and reads from the leader.

Publishes never wait and are never buffered over a reconnect. Reads go to the stream's leader (`STREAM.MSG.GET`): a
follower can be behind right after an ack. Only pages (`DIRECT.GET`) may come from a follower: what it has is without
holes, and its word that there is no more is not believed.
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

from push_workloads.common.bus import REQUEST_SECONDS, DirectClient, header_number, header_text
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
from push_workloads.gateway.recovery import Entry, LogState

UNANSWERED_SECONDS: Final = 31.0  # beyond the session's own limit: then nobody waits any more
PAGE_MESSAGES: Final = 100
PAGE_BYTES: Final = 131_072
MSG_ID: Final = b"\r\nNats-Msg-Id: "
SEQ: Final = b"\r\nNats-Sequence: "
LAST_SEQ: Final = b"\r\nNats-Last-Sequence: "  # in a page: the seq before it in the page, 0 for the first
_STATUS: Final = b"NATS/1.0 "  # a header block with a status is an answer without a message
_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """The log's word on one publish. `failure` None: stored under `seq`, `duplicate` when it was there before."""

    seq: int
    duplicate: bool
    failure: str | None


OnAnswer = Callable[[Answer], None]


class _Waiting(Struct, gc=False):
    publication: Publish
    on_answer: OnAnswer
    since: float
    tries: int
    connection: int  # which one it was first sent on


class _Page(Struct):
    """A page on its way: its messages come one by one, then a status."""

    done: asyncio.Future[None]
    entries: list[Entry]


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


class _State(Struct, frozen=True):
    first_seq: int = 0
    last_seq: int = 0


class _Info(Struct):
    config: _Config | None = None
    state: _State = _State()
    error: _Fault | None = None


_decode_ack = msgspec.json.Decoder(_PubAck).decode
_decode_got = msgspec.json.Decoder(_Got).decode
_encode = msgspec.json.Encoder().encode
_decode_info = msgspec.json.Decoder(_Info).decode


class Log:
    """One gateway's way to the streams. Answers to publishes come back on subjects that are this process's alone."""

    def __init__(self, client: DirectClient, shards: int, instance: str) -> None:
        self._client = client
        self._shards = shards
        self._reply_prefix = f"_INBOX_gateway.{instance}."
        self._there = [False] * shards  # the stream has answered since the connection stands
        self._waiting: dict[int, _Waiting] = {}
        self._pages: dict[int, _Page] = {}
        self._number = 0
        self._connection = 0

    def waiting(self) -> str | None:
        """A readiness check."""
        return None if all(self._there) else "waiting for the log"

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

    def answered(self, subject: bytes, payload: bytes, headers: bytes) -> None:
        """An answer to a publish arrived, or a part of a page."""
        number = int(subject[len(self._reply_prefix) :])
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            page = self._pages.get(number)
            if page is not None:
                _turn(page, payload, headers)
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
        self._there = [False] * self._shards
        self._connection += 1
        self._client.drop_unsent()
        self._waiting.clear()
        for page in self._pages.values():
            _fail(page)

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

    async def after(self, channel: str, seq: int) -> list[Entry]:
        """The next messages of a channel after `seq`, a page of them; none only when there are none. Raises
        Unavailable."""
        question = {"seq": seq + 1, "next_by_subj": log_subject(channel, self._shards)}
        page = await self._page(channel, question | {"batch": PAGE_MESSAGES, "max_bytes": PAGE_BYTES})
        if page:
            return page
        entry = await self._get(channel, question)
        return [entry] if entry is not None else []

    async def stored(self, channel: str, seq: int) -> Stored | None:
        """What is stored under `seq`, None when it is gone. Raises Unavailable."""
        entry = await self._get(channel, {"seq": seq})
        return msgspec.json.decode(entry.payload, type=Stored) if entry is not None else None

    async def state(self, shard: int) -> LogState | None:
        """What the log of a shard holds; None while there is no log yet. Raises Unavailable."""
        info = _decode_info(await self._request(f"$JS.API.STREAM.INFO.{stream_name(shard)}", b""))
        epoch = info.config.metadata.get("epoch") if info.config is not None else None
        self._there[shard] = epoch is not None
        return LogState(epoch, info.state.first_seq, info.state.last_seq) if epoch is not None else None

    def tell(self, subject: str, frame: bytes) -> None:
        """Publishes what is not stored; lost when the bus is away."""
        self._client.tell(subject, frame)

    async def _page(self, channel: str, question: dict[str, object]) -> list[Entry]:
        self._number += 1
        number, page = self._number, _Page(asyncio.get_running_loop().create_future(), [])
        self._pages[number] = page
        subject = f"$JS.API.DIRECT.GET.{stream_name(shard_of(channel, self._shards))}"
        try:
            if not self._client.send(subject, f"{self._reply_prefix}{number}", b"NATS/1.0\r\n\r\n", _encode(question)):
                raise Unavailable("the log is away", retry_after_ms=1000)
            async with asyncio.timeout(REQUEST_SECONDS):
                await page.done
        except TimeoutError as error:
            raise Unavailable("the log does not answer", retry_after_ms=1000) from error
        finally:
            del self._pages[number]
        return page.entries

    async def _get(self, channel: str, question: dict[str, object]) -> Entry | None:
        stream = stream_name(shard_of(channel, self._shards))
        got = _decode_got(await self._request(f"$JS.API.STREAM.MSG.GET.{stream}", _encode(question)))
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


def _turn(page: _Page, payload: bytes, headers: bytes) -> None:
    """One more part of a page. A part that does not follow the one before it means that something was dropped."""
    if page.done.done():
        return
    last = page.entries[-1].seq if page.entries else 0
    follows = header_number(headers, LAST_SEQ) == last
    if not headers.startswith(_STATUS) and follows:
        message_id = header_text(headers, MSG_ID).partition(":")[0]
        page.entries.append(Entry(header_number(headers, SEQ), message_id, payload))
    elif headers.startswith(b"204" if last else b"404", len(_STATUS)) and follows:
        page.done.set_result(None)
    else:
        _fail(page)


def _fail(page: _Page) -> None:
    if not page.done.done():
        page.done.set_exception(Unavailable("the log does not answer", retry_after_ms=1000))
