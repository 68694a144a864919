"""The client protocol's frames. Pure: text in, values out; values in, bytes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from push_workloads.common.announcements import Status as Presence
from push_workloads.common.changes import PREFIX
from push_workloads.common.outgoing import Channel, Id, Outgoing, UserId
from push_workloads.common.questions import MAX_WATCHED
from push_workloads.common.sending import SEND_SECONDS, Send
from push_workloads.common.tokens import MAX_TOKEN_BYTES
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


class Read(Struct, tag_field="type", tag="read"):
    """The user has read everything up to `seq`; on the inbox of the conversation with one user."""

    channel: str
    seq: Annotated[int, Meta(ge=0)]
    conversation: UserId | None = None
    id: Id | None = None


class Typing(Struct, tag_field="type", tag="typing"):
    state: Literal["start", "stop"]
    recipient_id: UserId | None = None
    channel: Channel | None = None
    id: Id | None = None


UserIds = Annotated[list[UserId], Meta(min_length=1, max_length=MAX_WATCHED)]


class Watch(Struct, tag_field="type", tag="watch"):
    """Tell how it is with these users, and from now on what changes."""

    user_ids: UserIds
    id: Id | None = None


class Unwatch(Struct, tag_field="type", tag="unwatch"):
    user_ids: UserIds
    id: Id | None = None


class Status(Struct, tag_field="type", tag="status"):
    """What the user is, as far as this device knows."""

    status: Literal["online", "away"]
    id: Id | None = None


class Refresh(Struct, tag_field="type", tag="refresh"):
    """A newer access token of the same user: the socket lives as long as that."""

    token: Annotated[str, Meta(max_length=MAX_TOKEN_BYTES)]
    id: Id | None = None


class Ping(Struct, tag_field="type", tag="ping"):
    id: Id | None = None


OfChannels = Subscribe | Unsubscribe | Resume
OfPresence = Watch | Unwatch | Status
Frame = SendMessage | Received | Read | Typing | OfChannels | OfPresence | Refresh | Ping


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
_KNOWN: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Frame))


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


class Ack(bytes):
    """An `ack` frame; `began`: when its message's frame came, in monotonic seconds."""

    began: float
    message_id: str


class Refusal(bytes):
    """An `error` frame."""

    code: str


def error_frame(
    code: str, message: str, identifier: str | None, retry_after_ms: int | None = None, channel: str | None = None
) -> Refusal:
    frame: dict[str, object] = {"type": "error", "code": code, "message": message}
    if identifier is not None:
        frame["id"] = identifier
    if channel is not None:
        frame["channel"] = channel
    if retry_after_ms is not None:
        frame["retry_after_ms"] = retry_after_ms
    made = Refusal(encode(frame))
    made.code = code
    return made


def pong_frame(identifier: str | None, server_time: int) -> bytes:
    if identifier is None:
        return b'{"type":"pong","server_time":%d}' % server_time
    return encode({"type": "pong", "id": identifier, "server_time": server_time})


def refreshed_frame(identifier: str | None, expires_at: int) -> bytes:
    """`expires_at` in Unix milliseconds."""
    frame = {"type": "refreshed", "expires_at": expires_at}
    return encode(frame if identifier is None else frame | {"id": identifier})


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


def ack_frame(send: Send, channel: str, epoch: str, seq: int) -> Ack:
    frame: dict[str, object] = {"type": "ack"}
    if send.frame.id is not None:
        frame["id"] = send.frame.id
    frame["message_id"] = send.message_id
    if send.frame.dedup_id is not None:
        frame["dedup_id"] = send.frame.dedup_id
    frame.update(channel=channel, epoch=epoch, seq=seq, sent_at=send.sent_at)
    if send.duplicate:
        frame["duplicate"] = True
    made = Ack(encode(frame))
    made.began = send.deadline - SEND_SECONDS
    made.message_id = send.message_id
    return made


def typing_frame(user_id: str, channel: str | None, state: str) -> bytes:
    frame = {"type": "typing", "from": user_id, "state": state}
    return encode(frame if channel is None else frame | {"channel": channel})


def presence_frame(user_id: str, status: Presence, last_seen: int | None) -> bytes:
    """`last_seen` in Unix milliseconds."""
    return encode({"type": "presence", "user_id": user_id, "status": status, "last_seen": last_seen})


_MESSAGE: Final = b'{"type":"message"'
_MEMBERSHIP: Final = b'{"type":"membership"'


def message_head(channel: str, epoch: str) -> bytes:
    """The part of a `message` frame that is the same for all messages of a channel; see `logged_frame`."""
    return b'%b,"channel":%b,"epoch":%b,"seq":' % (_MESSAGE, encode(channel), encode(epoch))


def logged_frame(head: bytes, seq: int, prev: int, payload: bytes, *, replayed: bool = False) -> bytes:
    """A `message` or `membership` frame around a payload of the log, which is a JSON object that only we write;
    `replayed` for one that its reader missed.

    Joining bytes instead of decoding and encoding: the content is never parsed on its way through.
    """
    if payload.startswith(PREFIX):
        head = _MEMBERSHIP + head[len(_MESSAGE) :]
    return b'%b%d,"prev":%d,%b%b' % (head, seq, prev, b'"replayed":true,' if replayed else b"", payload[1:])


class _Sent(Struct, rename={"sender": "from"}):
    sender: str = ""


_FROM: Final = b'","from":"'
_decode_sent: Final = msgspec.json.Decoder(_Sent).decode


def sender_of(payload: bytes) -> str:
    """Who sent the message in a payload of the log, "" for a membership change.

    `from` is its second field, and the first, the message_id, has no escapes (`common/sending.py`): so it is cut out,
    and the content is parsed only when the name has escapes.
    """
    at = payload.find(_FROM, 0, 128)
    if at < 0:
        return ""
    start = at + len(_FROM)
    name = payload[start : payload.index(b'"', start)]
    return _decode_sent(payload).sender if b"\\" in name else name.decode()
