"""The client protocol's frames. Pure: text in, values out; values in, bytes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from push_workloads.common.outgoing import Id, Outgoing
from push_workloads.gateway.codes import BAD_FRAME, UNKNOWN_TYPE

MAX_CHANNELS: Final = 512  # of one `resume`


class SendMessage(Outgoing, tag_field="type", tag="send_message"):
    """An Outgoing as a frame."""


class Received(Struct, tag_field="type", tag="received"):
    channel: str
    seq: Annotated[int, Meta(ge=0)]
    id: Id | None = None


class Place(Struct, frozen=True, gc=False):
    """A cursor: everything up to and including `seq` has been seen."""

    epoch: Annotated[str, Meta(max_length=64)]
    seq: Annotated[int, Meta(ge=0)]


class Subscribe(Struct, tag_field="type", tag="subscribe"):
    channel: str
    since: Place | None = None
    id: Id | None = None


class Unsubscribe(Struct, tag_field="type", tag="unsubscribe"):
    channel: str
    id: Id | None = None


class Resume(Struct, tag_field="type", tag="resume"):
    channels: Annotated[dict[str, Place], Meta(min_length=1, max_length=MAX_CHANNELS)]
    id: Id | None = None


class Ping(Struct, tag_field="type", tag="ping"):
    id: Id | None = None


Frame = SendMessage | Received | Subscribe | Unsubscribe | Resume | Ping


class Refused(Struct):
    """Why a frame could not be read; `id` is the frame's own when that much could be read."""

    code: str
    message: str
    id: str | None


class _Loose(Struct):
    type: str | UnsetType = UNSET
    id: Id | None = None


_decode: Final[Callable[[str], Frame]] = msgspec.json.Decoder(Frame).decode
_decode_loose = msgspec.json.Decoder(_Loose).decode
_KNOWN: Final = frozenset({"send_message", "received", "subscribe", "unsubscribe", "resume", "ping"})


def decode(text: str) -> Frame | Refused:
    """One frame from a text message; anything unusable comes back as Refused, never as an exception."""
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        return _refuse(text, str(error))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return Refused(BAD_FRAME, f"a frame is one JSON object: {error}", None)


def id_of(text: str) -> str | None:
    """The `id` of a frame that is not looked at any further, None when it cannot be read."""
    try:
        return _decode_loose(text).id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _refuse(text: str, reason: str) -> Refused:
    """Tells a wrong type from a wrong field, and keeps the id when it can be read."""
    try:
        loose = _decode_loose(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Refused(BAD_FRAME, reason, None)
    if loose.type is UNSET:
        return Refused(BAD_FRAME, 'the field "type" is missing', loose.id)
    if loose.type not in _KNOWN:
        known = ", ".join(sorted(_KNOWN))
        return Refused(
            UNKNOWN_TYPE, f"this server does not know the type {loose.type[:64]!r}; it knows {known}", loose.id
        )
    return Refused(BAD_FRAME, reason, loose.id)


encode: Final = msgspec.json.Encoder().encode


def error_frame(
    code: str, message: str, identifier: str | None, retry_after_ms: int | None = None, channel: str | None = None
) -> bytes:
    frame: dict[str, object] = {"type": "error", "code": code, "message": message}
    if identifier is not None:
        frame["id"] = identifier
    if channel is not None:
        frame["channel"] = channel
    if retry_after_ms is not None:
        frame["retry_after_ms"] = retry_after_ms
    return encode(frame)


def pong_frame(identifier: str | None, server_time: int) -> bytes:
    if identifier is None:
        return b'{"type":"pong","server_time":%d}' % server_time
    return encode({"type": "pong", "id": identifier, "server_time": server_time})


def reconnect_frame(after_ms: int, reason: str) -> bytes:
    return encode({"type": "reconnect", "after_ms": after_ms, "reason": reason})


def subscribed_frame(
    channel: str, epoch: str, head: int, since: int, reason: str | None, identifier: str | None
) -> bytes:
    """What comes after `since` follows; `reason`: why that is not all that was missed."""
    frame: dict[str, object] = {"type": "subscribed", "channel": channel, "epoch": epoch, "seq": head, "since": since}
    frame["recovered"] = reason is None
    if reason is not None:
        frame["reason"] = reason
    if identifier is not None:
        frame["id"] = identifier
    return encode(frame)


def unsubscribed_frame(channel: str, identifier: str | None) -> bytes:
    frame = {"type": "unsubscribed", "channel": channel}
    return encode(frame if identifier is None else frame | {"id": identifier})


def message_head(channel: str, epoch: str) -> bytes:
    """The part of a `message` frame that is the same for all messages of a channel; see `message_frame`."""
    return b'{"type":"message","channel":%b,"epoch":%b,"seq":' % (encode(channel), encode(epoch))


def message_frame(head: bytes, seq: int, prev: int, payload: bytes) -> bytes:
    """A `message` frame around a payload of the log, which is a JSON object that only gateways write.

    Joining bytes instead of decoding and encoding: the content is never parsed on its way through.
    """
    return b'%b%d,"prev":%d,%b' % (head, seq, prev, payload[1:])


def replayed_frame(head: bytes, seq: int, prev: int, payload: bytes) -> bytes:
    """The same for a message that its reader missed."""
    return b'%b%d,"prev":%d,"replayed":true,%b' % (head, seq, prev, payload[1:])
