"""What a client may send, through whichever door: a frame on a socket or a request over HTTP. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct

from push_workloads.common.tokens import SERVICE

Id = Annotated[str, Meta(min_length=1, max_length=64)]
DedupId = Annotated[str, Meta(min_length=16, max_length=128)]
UserId = Annotated[str, Meta(min_length=1, max_length=128)]
Channel = Annotated[str, Meta(min_length=1, max_length=160)]
MessageId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+\Z")]
Kind = Literal["text", "edit", "delete", "reaction"]

CALL_IS_TOLD: Final = "silent: a call is told: say either `call` or `silent`"
MAX_DEPTH: Final = 64  # of arrays and objects in `content`


class PushHint(Struct, omit_defaults=True):
    """How a notification for this message should look, if one is needed. `call`: phones ring; servers of the platform's
    owner alone may say it."""

    title: Annotated[str, Meta(max_length=256)] | None = None
    body: Annotated[str, Meta(max_length=1024)] | None = None
    data: dict[str, str] | None = None
    collapse_key: Annotated[str, Meta(max_length=64)] | None = None
    ttl_s: Annotated[int, Meta(ge=0, le=2_419_200)] | None = None
    silent: bool = False
    call: bool = False


class Options(Struct, kw_only=True):
    """What may be said of a message beside its target and its content."""

    id: Id | None = None
    dedup_id: DedupId | None = None
    kind: Kind = "text"
    ref: MessageId | None = None
    push: PushHint | None = None
    retry: bool = False


class Outgoing(Options, kw_only=True):
    """A message to one user, or to a group or topic."""

    recipient_id: UserId | None = None
    channel: Channel | None = None
    content: Raw


def unusable(message: Outgoing, user_id: str) -> str | None:
    """In words why this message of that user is not taken, beyond what the types say."""
    if (message.recipient_id is None) == (message.channel is None):
        return "one of the fields `recipient_id` and `channel` is required"
    if message.channel is not None and message.channel.startswith("user:"):
        return "channel: a group or a topic; for a user, say `recipient_id`"
    if message.kind != "text" and message.ref is None:
        return f"ref: required with kind {message.kind}: the message_id that it is about"
    if too_deep(bytes(message.content)):
        return f"content: nested over {MAX_DEPTH} levels"
    if message.retry and message.dedup_id is None:
        return "retry: goes with the dedup_id of the first attempt"
    return _unusable_hint(message.push, user_id) if message.push is not None else None


def _unusable_hint(hint: PushHint, user_id: str) -> str | None:
    """Whoever may write to somebody may not ring them: a call comes through where a message does not, and a phone's
    owner has no other way to be left alone than to mute."""
    if hint.call and user_id != SERVICE:
        return "push.call: phones ring for your own servers alone: send it with a service credential"
    if hint.call and hint.silent:
        return CALL_IS_TOLD
    return None


_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


def too_deep(content: bytes) -> bool:
    """Is JSON nested over MAX_DEPTH levels? Whatever is stored must be readable by everyone who reads it later, and
    decoders give up at depths of their own."""
    if content.count(b"[") + content.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for found in _BRACKETS.finditer(content):
        depth += 1 if found[1] else -1 if found[2] else 0
        if depth > MAX_DEPTH:
            return True
    return False
